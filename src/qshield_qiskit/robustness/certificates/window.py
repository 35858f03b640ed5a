"""The windows that convolutions and poolings look through."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class Window:
    """What one value of a layer depends on: size x size values of the layer before, and where the next one's begins."""

    size: int
    stride: int
    padding: int


class Windows:
    """The k^2 places of the windows over values of a shape, each as a strided view."""

    def __init__(self, shape: torch.Size, window: Window) -> None:
        self.window = window
        sides = (side + 2 * window.padding - window.size for side in shape[-2:])
        self.rows, self.columns = (side // window.stride + 1 for side in sides)

    def one(self, values: Tensor, place: int, filler: float) -> Tensor:
        """Give the values (..., H', W') at one place of every window."""
        p, stride = self.window.padding, self.window.stride
        padded = pad(values, (p, p, p, p), value=filler) if p else values
        row, column = divmod(place, self.window.size)
        rows = slice(row, row + stride * (self.rows - 1) + 1, stride)
        columns = slice(column, column + stride * (self.columns - 1) + 1, stride)
        return padded[..., rows, columns]

    def of(self, values: Tensor, filler: float) -> Tensor:
        """Give the values at every place, (k^2, ..., H', W')."""
        return torch.stack([self.one(values, place, filler) for place in range(self.window.size**2)])
