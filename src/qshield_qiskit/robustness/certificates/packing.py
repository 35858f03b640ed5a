"""Rows of slopes that pixels far from each other share, as long as no value depends on two pixels of one row.

After a convolution or two a value depends on a small window of the image, and nearly all of its slopes are zero. Pixels
whose places differ by a multiple of `period` then go into one row: which of them a value depends on follows from where
its window lies. That makes the first, largest layers of a network many times cheaper, and changes no number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from qshield_qiskit.robustness.certificates.window import Window

PERIOD = 10
"""What two 3x3 convolutions with their halvings see of an image."""


@dataclass(frozen=True)
class Packing:
    """How pixels share rows.

    Attributes:
        shape: (C, H, W) of the image.
        start: Where the window of the first value of a layer begins, in pixels; below 0 in the padding.
        step: How much further the next value's begins.
        size: Side of a window, in pixels.
    """

    shape: tuple[int, ...]
    start: int = 0
    step: int = 1
    size: int = 1

    @property
    def periods(self) -> tuple[int, int]:
        """Distance of the pixels that share a row, down and across; the whole side if that is not longer."""
        return min(PERIOD, self.shape[1]), min(PERIOD, self.shape[2])

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.shape[0] * self.periods[0] * self.periods[1]

    @property
    def shares(self) -> bool:
        """Whether any two pixels share a row."""
        return self.periods != self.shape[1:]

    def behind(self, window: Window) -> Packing | None:
        """Give the packing behind a layer; None if values there may depend on two pixels of one row."""
        size = self.size + (window.size - 1) * self.step
        sides = zip(self.periods, self.shape[1:], strict=True)
        if any(size > period and period < side for period, side in sides):
            return None
        return replace(
            self, start=self.start - window.padding * self.step, step=self.step * window.stride, size=size
        )

    def identity(self, device: torch.device) -> Tensor:
        """Give the slopes of the pixels themselves, (rows, C, H, W)."""
        channels, height, width = self.shape
        down, across = self.periods
        mine = torch.arange(height, device=device)[None] % down == torch.arange(down, device=device)[:, None]
        other = (
            torch.arange(width, device=device)[None] % across == torch.arange(across, device=device)[:, None]
        )
        plane = (mine[:, None, :, None] & other[None, :, None, :]).flatten(0, 1)  # (down * across, H, W)
        slopes = torch.zeros(channels, len(plane), channels, height, width, dtype=torch.bool, device=device)
        for channel in range(channels):
            slopes[channel, :, channel] = plane
        return slopes.flatten(0, 1)

    def pixels(self, height: int, width: int, device: torch.device) -> Tensor:
        """Say which pixel each row stands for, at each place of a layer.

        Returns:
            (rows, height, width), positions in the flattened image; -1 where it stands for none.
        """
        down = self._along(height, self.periods[0], self.shape[1], device)  # (periods, height)
        across = self._along(width, self.periods[1], self.shape[2], device)
        place = down[:, None, :, None] * self.shape[2] + across[None, :, None, :]
        place = torch.where((down >= 0)[:, None, :, None] & (across >= 0)[None, :, None, :], place, -1)
        place = place.flatten(0, 1)
        planes = torch.arange(self.shape[0], device=device)[:, None, None, None] * (
            self.shape[1] * self.shape[2]
        )
        return torch.where(place >= 0, place + planes, -1).flatten(0, 1)

    def _along(self, count: int, period: int, side: int, device: torch.device) -> Tensor:
        """Give the pixel along one side for each row and place, (period, count), -1 outside of the image."""
        residues = torch.arange(period, device=device)[:, None]
        if period == side:
            return residues.expand(-1, count)  # every pixel has a row of its own
        begins = self.start + self.step * torch.arange(count, device=device)[None]
        found = begins + (residues - begins) % period
        return torch.where((found >= 0) & (found < side), found, -1)

    def unpacked(self, slopes: Tensor) -> Tensor:
        """Give every pixel a row of its own: (rows, C', H', W') to (C * H * W, C', H', W')."""
        channels, height, width = self.shape
        places = self.pixels(slopes.shape[-2], slopes.shape[-1], slopes.device).clamp(min=0)
        wide = slopes.new_zeros(channels * height * width, *slopes.shape[1:])
        return wide.scatter_add_(
            0, places[:, None].expand_as(slopes), slopes
        )  # a row that stands for none is zero
