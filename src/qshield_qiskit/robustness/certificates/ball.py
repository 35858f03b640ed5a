"""The set of images that a certificate speaks of: a ball around an image, within the bounds of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

ROUNDING = 1e-4
"""Relative room for the rounding of long sums of numbers in single precision."""


@dataclass(frozen=True)
class Ball:
    r"""All images x + \delta in [0, 1] with |\delta| <= radius.

    What it is asked for is how far linear functions can go, of the D pixels' changes \delta and of any number S of
    error symbols, unknowns in [-1, 1]. Where a pixel is 0 it can only grow, and where it is 1 only shrink: on images
    with an even background that halves what an attack can do.

    Attributes:
        image: (C, H, W), [0, 1].
        norm: "linf" or "l2".
        radius: In pixel values.
    """

    image: Tensor
    norm: str
    radius: float

    def extremes(self, slopes: Tensor, pixels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        r"""Bound linear functions from below and above.

        Args:
            slopes: (R + S, ...), a function of pixel changes and symbols in each place behind the first axis.
            pixels: (R, ...), which pixel a row stands for at each place, -1 for none; None if R is D, a row for each.

        Returns:
            Bounds over the ball and all symbols, each (...), in float64.
        """
        flat, symbols = self._split(slopes, pixels)
        if self.norm == "linf":
            centre = _weighed(flat, (self._down + self._up) / 2, pixels)
            reach = _weighed(flat.abs(), (self._up - self._down) / 2, pixels)
            low, high = centre - reach, centre + reach
            room = ROUNDING * self._terms(flat, pixels)
        else:
            positive, negative = flat.clamp(min=0).square_(), flat.clamp(max=0).square_()
            grows, shrinks = self._up.ne(0), self._down.ne(0)
            loss = _weighed(negative, grows, pixels) + _weighed(positive, shrinks, pixels)
            growth = _weighed(positive, grows, pixels) + _weighed(negative, shrinks, pixels)
            low, high = -self.radius * loss.sqrt(), self.radius * growth.sqrt()
            room = ROUNDING * (high - low)
        room = room + (1 + ROUNDING) * symbols.abs().sum(0)
        return (low - room).double(), (high + room).double()

    def reach(self, slopes: Tensor, pixels: Tensor | None = None) -> Tensor:
        """Bound the sum of all terms' magnitudes, (...), in float64: by how much rounding may matter."""
        flat, symbols = self._split(slopes, pixels)
        size = (1 + ROUNDING) * (self._terms(flat, pixels) + symbols.abs().sum(0))
        return size.double()

    def _terms(self, flat: Tensor, pixels: Tensor | None) -> Tensor:
        """Bound the sum of the pixels' terms' magnitudes, (...)."""
        if self.norm == "l2":
            norms: Tensor = torch.linalg.vector_norm(flat, dim=0)
            return self.radius * norms
        return _weighed(flat.abs(), self._most, pixels)

    def _split(self, slopes: Tensor, pixels: Tensor | None) -> tuple[Tensor, Tensor]:
        rows = self.image.numel() if pixels is None else len(pixels)
        return slopes[:rows], slopes[rows:]

    @cached_property
    def _down(self) -> Tensor:
        """How far each pixel can go down, (D,), at most 0."""
        return -self.image.flatten().double().clamp(max=self.radius)

    @cached_property
    def _up(self) -> Tensor:
        """How far each pixel can go up, (D,), at least 0."""
        return (1 - self.image.flatten().double()).clamp(max=self.radius)

    @cached_property
    def _most(self) -> Tensor:
        return torch.maximum(-self._down, self._up)


def _weighed(terms: Tensor, weights: Tensor, pixels: Tensor | None) -> Tensor:
    """Add up terms (R, ...), each times the weight of its pixel, (D,)."""
    weights = weights.to(terms)
    if pixels is None:
        return (weights @ terms.flatten(1)).reshape(terms.shape[1:])
    return (terms * torch.cat([weights, weights.new_zeros(1)])[pixels]).sum(0)  # -1, no pixel, is the last
