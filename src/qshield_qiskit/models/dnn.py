"""The paper's fully connected backbone, for images of any size and for tables."""

from __future__ import annotations

import math

from torch import Tensor, nn

WIDTHS = (1024, 512, 256, 128)
DROPOUT = 0.2


class DNN(nn.Module):
    """Flatten, then linear layers with batch norm, ReLU and dropout 0.2.

    The hidden widths are those of 1024-512-256-128 that are smaller than the input: 512-256-128 for 28x28 and
    all four for 32x32x3, as in the paper. Inputs of at most 256 numbers keep 256-128.

    Args:
        input_shape: (C, H, W) of one image; (1, 1, F) for a table of F features.

    References:
        Azimi et al., "QShield", arXiv 2604.10933 (2026).
    """

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        size = math.prod(input_shape)
        widths = [width for width in WIDTHS if width < size or width <= WIDTHS[-2]]
        layers: list[nn.Module] = [nn.Flatten()]
        for width in widths:
            layers += [nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(DROPOUT)]
            size = width
        self.num_features = widths[-1]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Describe each image by a feature vector.

        Args:
            images: (B, C, H, W), [0, 1].

        Returns:
            Features, (B, 128), non-negative.
        """
        features: Tensor = self.layers(images)
        return features
