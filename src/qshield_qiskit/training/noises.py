"""Noise on images, kind by kind, each (B, C, H, W) in [0, 1] to the same."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from qshield_qiskit.config import NoiseSettings

AddNoise = Callable[[Tensor, NoiseSettings, torch.Generator], Tensor]


def gaussian(images: Tensor, settings: NoiseSettings, generator: torch.Generator) -> Tensor:
    """Add normal noise of one standard deviation to every value."""
    noise = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return (images + settings.gaussian * noise).clamp(0, 1)


def salt_and_pepper(images: Tensor, settings: NoiseSettings, generator: torch.Generator) -> Tensor:
    """Turn a share of the pixels white or black, all channels together."""
    draws = _uniform(images[:, :1], generator)
    share = settings.salt_and_pepper
    salted = torch.where(draws < share / 2, 1.0, images)
    return torch.where(draws > 1 - share / 2, 0.0, salted)


def occlusion(images: Tensor, settings: NoiseSettings, generator: torch.Generator) -> Tensor:
    """Black out a square somewhere in the image."""
    height, width = images.shape[-2:]
    side = math.ceil(settings.occlusion * min(height, width))
    corner = torch.rand(2, len(images), 1, generator=generator, device=images.device)
    hidden = []
    for length, draw in zip((height, width), corner, strict=True):
        first = (draw * (length - side + 1)).floor()  # (B, 1)
        place = torch.arange(length, device=images.device)
        hidden.append((place >= first) & (place < first + side))  # (B, length)
    rows, columns = hidden
    square = rows[:, None, :, None] & columns[:, None, None, :]
    return images.masked_fill(square, 0.0)


def poisson(images: Tensor, settings: NoiseSettings, generator: torch.Generator) -> Tensor:
    """Count photons: Poisson distributed about the image, with so many of them where it is white."""
    return (torch.poisson(images * settings.photons, generator=generator) / settings.photons).clamp(0, 1)


def geometric(images: Tensor, settings: NoiseSettings, generator: torch.Generator) -> Tensor:
    """Turn, scale and shift; what comes in from outside repeats the edge."""
    draws = 2 * torch.rand(4, len(images), generator=generator, device=images.device) - 1  # (-1, 1)
    turn = math.radians(settings.rotation) * draws[0]
    scale = 1 + settings.scaling * draws[1]
    height, width = images.shape[-2:]
    # the grid is that of the source, in units of half the image; a turn is one of pixels that are square
    cosine, sine = turn.cos() / scale, turn.sin() / scale
    rows = [
        torch.stack([cosine, -sine * height / width, 2 * settings.shift * draws[2]], dim=-1),
        torch.stack([sine * width / height, cosine, 2 * settings.shift * draws[3]], dim=-1),
    ]
    grid = affine_grid(torch.stack(rows, dim=1).to(images.dtype), list(images.shape), align_corners=False)
    return grid_sample(images, grid, padding_mode="border", align_corners=False).clamp(0, 1)


NOISES: dict[str, AddNoise] = {
    "gaussian": gaussian,
    "salt_and_pepper": salt_and_pepper,
    "occlusion": occlusion,
    "poisson": poisson,
    "geometric": geometric,
}


def augment(images: Tensor, settings: NoiseSettings, generator: torch.Generator) -> Tensor:
    """Put a share of the images (B, C, H, W) under noise, each under one kind, which is drawn at random."""
    draws = torch.rand(len(images), generator=generator, device=images.device)
    choice = (draws * len(settings.kinds) / settings.share).floor()  # beyond the last kind: none
    noisy = images.clone()
    for index, kind in enumerate(settings.kinds):
        chosen = torch.nonzero(choice == index).squeeze(1)
        if len(chosen):
            noisy[chosen] = NOISES[kind](images[chosen], settings, generator)
    return noisy


def _uniform(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(like.shape, generator=generator, device=like.device)
