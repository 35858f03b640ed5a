"""torchvision's ResNet-18 as a backbone, its stem adapted to the images' channels as in the paper."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from qshield_qiskit.errors import InputError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class ResNet18(nn.Module):
    """ResNet-18 without its last layer; for one channel its first convolution is averaged over colours.

    With ImageNet weights the images are first standardised as ImageNet's were; without, they are taken as
    they are. Mean and scale are buffers, so a saved model remembers which.

    Args:
        input_shape: (C, H, W) of one image, C being 1 or 3.
        pretrained: Start from ImageNet weights (a download of 45 MB, kept in torch's cache).

    Raises:
        InputError: Another number of channels, or weights that cannot be fetched.

    References:
        He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. Azimi et al., arXiv 2604.10933
        (2026).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, input_shape: tuple[int, int, int], pretrained: bool = False) -> None:
        super().__init__()
        channels = input_shape[0]
        if channels not in (1, 3):
            raise InputError(
                f"backbone resnet18: images have {channels} channels, expected 1 or 3; "
                "try model.backbone=small_cnn"
            )
        network = _imagenet() if pretrained else torchvision.models.resnet18()
        if channels == 1:
            colour = network.conv1
            network.conv1 = nn.Conv2d(1, 64, kernel_size=7, stride=2, padding=3, bias=False)
            with torch.no_grad():
                network.conv1.weight.copy_(colour.weight.mean(dim=1, keepdim=True))
        self.num_features = network.fc.in_features
        network.fc = nn.Identity()
        self.network = network
        mean = IMAGENET_MEAN if pretrained else (0.0,) * 3
        std = IMAGENET_STD if pretrained else (1.0,) * 3
        self.register_buffer("mean", _per_channel(mean, channels))
        self.register_buffer("std", _per_channel(std, channels))

    def forward(self, images: Tensor) -> Tensor:
        """Describe each image by a feature vector.

        Args:
            images: (B, C, H, W), [0, 1].

        Returns:
            Features, (B, 512), non-negative.
        """
        features: Tensor = self.network((images - self.mean) / self.std)
        return features


def _per_channel(values: tuple[float, ...], channels: int) -> Tensor:
    """Shape three colours' constants to (C, 1, 1), averaging them for a gray image."""
    colours = torch.tensor(values)
    return (colours if channels == 3 else colours.mean().reshape(1)).reshape(channels, 1, 1)


def _imagenet() -> torchvision.models.ResNet:
    weights = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    try:
        return torchvision.models.resnet18(weights=weights)
    except (URLError, OSError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise InputError(
            f"ImageNet weights cannot be fetched ({getattr(error, 'reason', error)}): "
            f"put {Path(weights.url).name} from {weights.url} into {folder}, or set model.pretrained=false"
        ) from error
