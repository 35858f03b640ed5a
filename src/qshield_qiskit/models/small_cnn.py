"""The default backbone: a small convolutional network that trains on a laptop."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qshield_qiskit.errors import InputError

SMALLEST_SIDE = 8  # smaller images would have nothing left after three stages
LARGEST_MAP = 8  # stages go on until a side is at most this, so that the linear layer stays small
CHANNELS = (32, 64, 128)  # of the first stages; later ones keep the last
DROPOUT = 0.5


class SmallCNN(nn.Module):
    """Convolve, normalise, rectify and halve, three times or more, then mix what is left into a feature vector.

    After three stages more follow until the longer side is at most 8, or the shorter one 1: 71x71 takes three, 72x72
    four. Images whose shorter side is below 16 are not halved in the first, so that 15x31 takes three, 15x36 four.

    Args:
        input_shape: (C, H, W) of one image, with H and W at least 8.
        num_features: Length of the feature vector.

    Raises:
        InputError: The images are smaller than 8x8.
    """

    def __init__(self, input_shape: tuple[int, int, int], num_features: int = 128) -> None:
        super().__init__()
        channels, height, width = input_shape
        if min(height, width) < SMALLEST_SIDE:
            raise InputError(
                f"backbone small_cnn: images are {height}x{width}, but it needs at least 8x8; "
                "try model.backbone=dnn"
            )
        stages: list[nn.Module] = []
        while len(stages) < len(CHANNELS) or (max(height, width) > LARGEST_MAP and min(height, width) > 1):
            out_channels = CHANNELS[min(len(stages), len(CHANNELS) - 1)]
            halved = bool(stages) or min(height, width) >= 2 * SMALLEST_SIDE
            stages.append(_stage(channels, out_channels, halved=halved))
            channels = out_channels
            if halved:
                height, width = height // 2, width // 2
        self.num_features = num_features
        self.stages = nn.Sequential(*stages)
        self.mix = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(DROPOUT),
            nn.Linear(channels * height * width, num_features, bias=False),  # the norm brings the bias
            nn.BatchNorm1d(num_features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Describe each image by a feature vector.

        Args:
            images: (B, C, H, W), [0, 1].

        Returns:
            Features, (B, num_features), non-negative.
        """
        features: Tensor = self.mix(self.stages(images))
        return features


def _stage(in_channels: int, out_channels: int, *, halved: bool) -> nn.Sequential:
    """Halve before the norm: the same receptive field for a quarter of its cost."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
    return nn.Sequential(
        convolution.to(memory_format=torch.channels_last),  # twice as fast on a CPU
        nn.MaxPool2d(2) if halved else nn.Identity(),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )
