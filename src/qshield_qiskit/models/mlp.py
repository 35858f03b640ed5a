"""The smallest backbone: without batch norm or dropout, so that an image's features depend on nothing but the image."""

from __future__ import annotations

import math

from torch import Tensor, nn

NUM_FEATURES = 128


class MLP(nn.Module):
    """Flatten, then two linear layers with ReLU.

    Training it in several processes gives the weights of one: batch norm would see each process's share of a batch, and
    dropout would draw in each anew.

    Args:
        input_shape: (C, H, W) of one image; (1, 1, F) for a table of F features.
    """

    def __init__(self, input_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.num_features = NUM_FEATURES
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(input_shape), NUM_FEATURES),
            nn.ReLU(),
            nn.Linear(NUM_FEATURES, NUM_FEATURES),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Describe each image by a feature vector.

        Args:
            images: (B, C, H, W), [0, 1].

        Returns:
            Features, (B, 128), non-negative.
        """
        features: Tensor = self.layers(images)
        return features
