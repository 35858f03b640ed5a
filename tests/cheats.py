"""Planted cheats: ways in which a classifier looks robust without being it, each after a published or real case."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from qshield_qiskit.models.hybrid import Branches, HybridClassifier


class Detached(nn.Module):
    """A hybrid whose circuit is cut off from autograd."""

    def __init__(self, model: HybridClassifier) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.readout = self.model.readout
        self.model.layer.register_forward_pre_hook(lambda layer, inputs: tuple(x.detach() for x in inputs))

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)

    def branches(self, images: Tensor) -> Branches:
        return self.model.branches(images)


class FreshProjection(nn.Module):
    """Logits plus a random mix of them that is drawn anew at every forward pass."""

    def __init__(self, model: nn.Module, strength: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.strength = strength

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        num_classes = logits.shape[1]
        random = torch.linalg.qr(torch.randn(num_classes, num_classes, dtype=logits.dtype))[0]
        return logits + self.strength * logits.tanh() @ random


class Quantised(nn.Module):
    """Pixels rounded to a few levels: the gradient is zero almost everywhere."""

    def __init__(self, model: nn.Module, levels: int = 8) -> None:
        super().__init__()
        self.model = model
        self.levels = levels

    def forward(self, images: Tensor) -> Tensor:
        return self.model((images * self.levels).round() / self.levels)


class StraightThroughWrong(Quantised):
    """Pixels rounded, with a gradient that pretends the opposite."""

    def forward(self, images: Tensor) -> Tensor:
        rounded = (images * self.levels).round() / self.levels
        return self.model(rounded.detach() - images + images.detach())


class Saturated(nn.Module):
    """Logits blown up until the loss has no gradient in float32."""

    def __init__(self, model: nn.Module, factor: float = 1e4) -> None:
        super().__init__()
        self.model = model
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return self.factor * self.model(images)


class BatchNormalised(nn.Module):
    """Logits normalised over the batch, also in eval mode."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        return (logits - logits.mean(0)) / (logits.std(0, unbiased=False) + 0.1)


class ShotNoise(nn.Module):
    """Class probabilities estimated from a few shots, with the gradient of the exact ones."""

    def __init__(self, model: nn.Module, shots: int = 20) -> None:
        super().__init__()
        self.model = model
        self.shots = shots

    def forward(self, images: Tensor) -> Tensor:
        exact = self.model(images).softmax(-1)
        counts = torch.stack([torch.multinomial(p, self.shots, replacement=True) for p in exact.detach()])
        sampled = nn.functional.one_hot(counts, exact.shape[1]).to(exact).mean(1)
        sampled = (sampled + 0.01) / (1 + 0.01 * exact.shape[1])
        return sampled.log() + (exact + 1e-3).log() - (exact + 1e-3).log().detach()


class ClippedLogarithm(nn.Module):
    """The logarithm of clipped probabilities: sure predictions have no gradient."""

    def __init__(self, model: nn.Module, floor: float = 0.02) -> None:
        super().__init__()
        self.model = model
        self.floor = floor

    def forward(self, images: Tensor) -> Tensor:
        probabilities = log_softmax(self.model(images), -1).exp()
        return probabilities.clamp(self.floor, 1 - self.floor).log()


class ConstantBranch(nn.Module):
    """A hybrid whose quantum branch says the same of every image."""

    def __init__(self, model: HybridClassifier) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.readout = self.model.readout
        self.model.layer.register_forward_hook(lambda layer, inputs, outcomes: torch.ones_like(outcomes) / 16)

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images)

    def branches(self, images: Tensor) -> Branches:
        return self.model.branches(images)
