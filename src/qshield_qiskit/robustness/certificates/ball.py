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

    def extremes(self, slopes: Tensor) -> tuple[Tensor, Tensor]:
        r"""Bound linear functions from below and above.

        Args:
            slopes: (D + S, ...), a function of pixel changes and symbols in each place behind the first axis.

        Returns:
            Bounds over the ball and all symbols, each (...), in float64.
        """
        flat, symbols = self._split(slopes)  # (D, M), (S, M)
        if self.norm == "linf":
            middle, half = (self._down + self._up) / 2, (self._up - self._down) / 2
            centre, reach = middle @ flat, half @ flat.abs()
            low, high = centre - reach, centre + reach
            room = ROUNDING * ((middle.abs() + half) @ flat.abs())
        else:
            free, grows, shrinks = self._sides
            both = flat[free].square_().sum(0)
            black, white = flat[grows], flat[shrinks]
            up = both + black.clamp(min=0).square_().sum(0) + white.clamp(max=0).square_().sum(0)
            down = both + black.clamp(max=0).square_().sum(0) + white.clamp(min=0).square_().sum(0)
            low, high = -self.radius * down.sqrt(), self.radius * up.sqrt()
            room = ROUNDING * (high - low)
        room = room + (1 + ROUNDING) * symbols.abs().sum(0)
        shape = slopes.shape[1:]
        return (low - room).double().reshape(shape), (high + room).double().reshape(shape)

    def reach(self, slopes: Tensor) -> Tensor:
        """Bound the sum of all terms' magnitudes, (...), in float64: by how much rounding may matter."""
        flat, symbols = self._split(slopes)
        size = self.radius * flat.norm(dim=0) if self.norm == "l2" else self._most @ flat.abs()
        size = (1 + ROUNDING) * (size + symbols.abs().sum(0))
        return size.double().reshape(slopes.shape[1:])

    def _split(self, slopes: Tensor) -> tuple[Tensor, Tensor]:
        flat = slopes.reshape(len(slopes), -1)
        return flat[: self.image.numel()], flat[self.image.numel() :]

    @cached_property
    def _down(self) -> Tensor:
        """How far each pixel can go down, (D,), at most 0."""
        return -self.image.flatten().clamp(max=self.radius).float()

    @cached_property
    def _up(self) -> Tensor:
        """How far each pixel can go up, (D,), at least 0."""
        return (1 - self.image.flatten()).clamp(max=self.radius).float()

    @cached_property
    def _sides(self) -> tuple[Tensor, Tensor, Tensor]:
        """The pixels that can go either way, only up and only down."""
        grows, shrinks = self._down == 0, self._up == 0
        return (
            torch.nonzero(~grows & ~shrinks)[:, 0],
            torch.nonzero(grows)[:, 0],
            torch.nonzero(shrinks)[:, 0],
        )

    @cached_property
    def _most(self) -> Tensor:
        return torch.maximum(-self._down, self._up)
