"""Choosing images by class share: a part of a set, and a validation split held out of training."""

from __future__ import annotations

import numpy as np

from qshield_qiskit.data.arrays import Array
from qshield_qiskit.errors import InputError


def class_shares(counts: Array, total: int) -> Array:
    """Divide `total` among classes in proportion to `counts`, by largest remainder.

    Args:
        counts: (K,), how many there are of each class.
        total: How many are wanted, at most `counts.sum()`.

    Returns:
        (K,), how many to take of each; they sum to `total` and none exceeds its count.
    """
    shares, remainders = np.divmod(counts.astype(np.int64) * total, counts.sum())
    most_due = np.argsort(-remainders, kind="stable")[: total - shares.sum()]
    shares[most_due] += 1
    return np.asarray(shares)


def first_of_each_class(labels: Array, total: int) -> Array:
    """Choose `total` images, the first of each class in the set's own order, keeping the class shares.

    No chance is involved: runs of every seed are judged on the same images, also in a set sorted by class.

    Args:
        labels: (N,).
        total: From 1 to N.

    Returns:
        (total,), indices in rising order.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = class_shares(counts, total)
    chosen = [np.flatnonzero(labels == label)[:share] for label, share in zip(classes, shares, strict=True)]
    return np.sort(np.concatenate(chosen))


def hold_out(labels: Array, fraction: float, seed: int, what: str) -> Array:
    """Choose a stratified, seeded share of the images; every class keeps at least one image outside it.

    Args:
        labels: (N,).
        fraction: Share to hold out, in (0, 1).
        seed: The same seed chooses the same images.
        what: The dataset and the split that is cut, for the error.

    Returns:
        (N,), bool: True where held out.

    Raises:
        InputError: There are too few images to hold out any.
    """
    classes, counts = np.unique(labels, return_counts=True)
    shares = np.minimum(class_shares(counts, round(fraction * len(labels))), counts - 1)
    if shares.sum() == 0:
        images = f"{len(labels)} images in {len(classes)} classes"
        raise InputError(f"{what}: too few images: {fraction:g} of {images}, which each keep one, is none")
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for label, share in zip(classes, shares, strict=True):
        held_out[generator.permutation(np.flatnonzero(labels == label))[:share]] = True
    return held_out
