"""What an attack came to, image by image, and the figures that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

CHANGED = 1e-6
"""A pixel counts as changed beyond this."""


@dataclass(frozen=True)
class Outcome:
    """One attack on N images, of which those are attacked that the model classifies correctly.

    Attributes:
        attack: Its name.
        norm: Norm of the perturbation.
        epsilon: Largest perturbation, or None.
        parameters: The attack's parameters.
        seed: Of the attack.
        labels: (N,).
        clean: (N,): predicted classes of the images.
        adversarial: (N,): predicted classes after the attack; `clean` where nothing was attacked.
        correct: (N,): whether the image was attacked.
        fooled: (N,): whether the attack was successful.
        examples: (N, C, H, W): the images after the attack, in [0, 1].
        l0: (N,): number of changed pixels, nan where nothing was attacked.
        l2: (N,): in pixel values.
        linf: (N,): in pixel values.
        queries: Forward passes for an attacked image, on average.
        gradients: Backward passes for an attacked image, on average.
        seconds: All together.
        weak: A sentence on why the parameters cannot be enough, or None.
    """

    attack: str
    norm: str
    epsilon: float | None
    parameters: dict[str, Any]
    seed: int
    labels: Tensor
    clean: Tensor
    adversarial: Tensor
    correct: Tensor
    fooled: Tensor
    examples: Tensor
    l0: Tensor
    l2: Tensor
    linf: Tensor
    queries: float
    gradients: float
    seconds: float
    weak: str | None = None

    @property
    def attacked(self) -> int:
        """Number of attacked images."""
        return int(self.correct.sum())

    @property
    def asr(self) -> float:
        """Fooled images over attacked ones, 0 if there are none."""
        return int(self.fooled.sum()) / max(1, self.attacked)

    def median(self, norm: str) -> float | None:
        """Give the median norm of the successful perturbations, None if there are none."""
        sizes: Tensor = getattr(self, norm)[self.fooled]
        return float(sizes.quantile(0.5)) if len(sizes) else None


def sizes(images: Tensor, examples: Tensor) -> dict[str, Tensor]:
    """Measure perturbations of images (N, C, H, W) in three norms, each (N,); L0 counts pixels, not channels."""
    change = (examples - images).abs()
    return {
        "l0": (change.amax(dim=1) > CHANGED).sum(dim=(1, 2)).to(change.dtype),
        "l2": change.square().sum(dim=(1, 2, 3)).sqrt(),
        "linf": change.amax(dim=(1, 2, 3)) if len(change) else torch.zeros(0),
    }
