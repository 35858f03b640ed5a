"""The backbones by name: each turns images (B, C, H, W) into features (B, num_features)."""

from __future__ import annotations

from torch import nn

from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.models.dnn import DNN
from qshield_qiskit.models.mlp import MLP
from qshield_qiskit.models.resnet18 import ResNet18
from qshield_qiskit.models.small_cnn import SmallCNN

BACKBONES = ("small_cnn", "resnet18", "dnn", "mlp")


def build_backbone(name: str, input_shape: tuple[int, int, int], *, pretrained: bool = False) -> nn.Module:
    """Make a backbone with fresh weights.

    Args:
        name: One of BACKBONES.
        input_shape: (C, H, W) of one image.
        pretrained: Start from ImageNet weights; only resnet18 has them.

    Returns:
        A module with an attribute `num_features`, from (B, C, H, W) in [0, 1] to (B, num_features).

    Raises:
        InputError: An unknown name, images that do not suit it, or weights that do not exist or cannot be
            fetched.
    """
    if pretrained and name in BACKBONES and name != "resnet18":
        raise InputError(
            f"backbone {name} has no pretrained weights; "
            "try model.backbone=resnet18 or model.pretrained=false"
        )
    match name:
        case "small_cnn":
            return SmallCNN(input_shape)
        case "resnet18":
            return ResNet18(input_shape, pretrained=pretrained)
        case "dnn":
            return DNN(input_shape)
        case "mlp":
            return MLP(input_shape)
    raise unknown("backbone", name, BACKBONES)
