r"""Does one model lose more images than another? The paired test of a hybrid against its twin.

For each image i, d_i is the number of seeds in which only the first model was fooled less the number in which only
the second was. If the two are alike, an image is as likely to have d_i as -d_i, so that the sum of all is one of 2^m
equally likely ones, m being the number of images with a d_i other than 0. That law is computed exactly, without
sampling. With one seed it is McNemar's exact test; with several, an image counts once however many seeds saw it, for
its outcomes under several seeds are not independent. It is a statement about images, given these trained models: what
another seed would give, the interval over seeds says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qshield_qiskit.intervals import t_interval


@dataclass(frozen=True)
class Comparison:
    """Two models on the images that both classify correctly, seed by seed.

    Attributes:
        seeds: In which both were attacked.
        images: Pairs of image and seed.
        first_only: Pairs of which only the first model was fooled.
        second_only: Pairs of which only the second was.
        difference: Mean over seeds of ASR of the first less ASR of the second.
        interval: Its 95 % t interval over seeds; None for one seed.
        p: Two-sided, of the exact sign-flip test over images.
    """

    seeds: int
    images: int
    first_only: int
    second_only: int
    difference: float
    interval: tuple[float, float] | None
    p: float


def compare_pairs(
    pairs: Sequence[tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]],
) -> Comparison | None:
    """Compare two models over seeds.

    Args:
        pairs: For each seed, each (N,): which images both models classify correctly, which of the N the first lost,
            and which the second lost. The N images are the same ones for every seed.

    Returns:
        The comparison; None if no image is common.
    """
    pairs = [pair for pair in pairs if pair[0].any()]
    if not pairs:
        return None
    differences = [float(one[both].mean() - other[both].mean()) for both, one, other in pairs]
    signs = [np.where(both, one.astype(int) - other.astype(int), 0) for both, one, other in pairs]
    return Comparison(
        seeds=len(pairs),
        images=sum(int(both.sum()) for both, _, _ in pairs),
        first_only=sum(int((sign > 0).sum()) for sign in signs),
        second_only=sum(int((sign < 0).sum()) for sign in signs),
        difference=float(np.mean(differences)),
        interval=t_interval(differences),
        p=sign_flip_p(np.sum(signs, axis=0)),
    )


def sign_flip_p(differences: NDArray[np.int64]) -> float:
    r"""Give the two-sided p of \sum d_i if every d_i were as likely to be -d_i: P(|\sum \pm d_i| >= |\sum d_i|).

    Args:
        differences: (N,), whole numbers.

    References:
        Fisher, "The Design of Experiments" (1935); with d_i of -1, 0 and 1: McNemar, Psychometrika 12, 153 (1947).

    >>> sign_flip_p(np.array([1, 1, 1, 1, 1, 0]))  # 2 / 2^5
    0.0625
    """
    sizes = np.abs(differences[differences != 0])
    if not len(sizes):
        return 1.0
    total = int(sizes.sum())
    law = np.zeros(2 * total + 1)  # of the sum, from -total to total
    law[total] = 1.0
    for size in sizes:
        law = (np.roll(law, size) + np.roll(law, -size)) / 2  # nothing reaches the ends too early
    seen = abs(int(differences.sum()))
    values = np.arange(-total, total + 1)
    return min(1.0, float(law[np.abs(values) >= seen].sum()))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, by Holm's step-down method.

    References:
        Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Statist. 6, 65 (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    corrected, largest = [math.nan] * len(p_values), 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
