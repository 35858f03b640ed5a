"""What a certificate is: radii within which a prediction cannot change, image by image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

Norm = Literal["linf", "l2"]

Progress = Callable[[int, int], None]
"""Called with images done and images in all."""


class DoesNotApplyError(Exception):
    """A certificate says nothing about this model; the message says why, in one line."""


@dataclass(frozen=True)
class Certified:
    """One certificate on N images.

    Attributes:
        norm: Norm of the radii.
        predicted: (N,), the class that is certified; -1 where the certified classifier abstains.
        radii: (N,), in pixel values: no change of the image smaller than this changes that class. Nothing is certified
            where it is 0.
        seconds: All together.
        says: What has to be known to read it, in one line.
        figures: Whatever else was found out on the way, for those who want to look deeper.
    """

    norm: Norm
    predicted: Tensor
    radii: Tensor
    seconds: float
    says: str
    figures: dict[str, Any] = field(default_factory=dict)

    def holds(self, labels: Tensor, radius: float) -> Tensor:
        """Say which images are certified to be classified as labelled within a radius, (N,)."""
        return (self.predicted == labels) & (self.radii >= radius)
