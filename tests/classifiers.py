"""Small classifiers of the embedded digits, trained once a session, and what may be laid around one."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qshield_qiskit import HybridClassifier, load_backend, load_circuit
from qshield_qiskit.data import Split, load_dataset

DIGIT = (1, 8, 8)
Model = TypeVar("Model", bound=nn.Module)


def images_and_labels(n: int, num_classes: int = 10) -> tuple[Tensor, Tensor]:
    """The first n test images of the digits below `num_classes`: (n, 1, 8, 8) in [0, 1], and (n,)."""
    test = _digits(num_classes)[1]
    return test.images[:n].clone(), test.labels[:n].clone()


def trained_cnn(num_classes: int = 10) -> nn.Module:
    """A copy of a CNN with batch norm and dropout, in eval mode; 97 % of the test digits are right."""
    return copy.deepcopy(_cnn(num_classes))


def trained_hybrid() -> HybridClassifier:
    """A copy of an honest hybrid, circuit full on aer_noisy with 4 qubits, in eval mode; 97 % are right."""
    return copy.deepcopy(_hybrid())


def small_cnn(channels: int = 1, num_classes: int = 10) -> nn.Sequential:
    """An untrained CNN for 8 x 8 images."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(128, num_classes),
    )


class Noisy(nn.Module):
    """Logits plus noise that is drawn anew at every forward pass."""

    def __init__(self, model: nn.Module, strength: float) -> None:
        super().__init__()
        self.model, self.strength = model, strength

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        return logits + self.strength * torch.randn_like(logits)


class Erring(nn.Module):
    """A few images of every batch, drawn anew at every forward pass, are taken for something else."""

    def __init__(self, model: nn.Module, share: float) -> None:
        super().__init__()
        self.model, self.share = model, share

    def forward(self, images: Tensor) -> Tensor:
        logits = self.model(images)
        errs = torch.rand(len(images), 1) < self.share
        return torch.where(errs, -logits, logits)


class Jittered(nn.Module):
    """Pixels with noise that is drawn anew at every forward pass."""

    def __init__(self, model: nn.Module, strength: float) -> None:
        super().__init__()
        self.model, self.strength = model, strength

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images + self.strength * torch.randn_like(images))


class Detached(nn.Module):
    """Cut off from autograd altogether."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images.detach())


class Counting(nn.Module):
    """Counts the images that come by, and those that a gradient comes back to."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.queries, self.gradients = model, 0, 0

    def forward(self, images: Tensor) -> Tensor:
        self.queries += len(images)
        logits = self.model(images)
        if logits.requires_grad:
            logits.register_hook(self._count)
        return logits

    def _count(self, gradient: Tensor) -> None:
        self.gradients += len(gradient)


@lru_cache
def _digits(num_classes: int) -> tuple[Split, Split]:
    dataset = load_dataset("digits")
    parts = []
    for part in (dataset.train, dataset.test):
        kept = part.labels < num_classes
        parts.append(Split(part.images[kept], part.labels[kept]))
    return parts[0], parts[1]


@lru_cache
def _cnn(num_classes: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _trained(small_cnn(num_classes=num_classes), num_classes, epochs=12)


@lru_cache
def _hybrid() -> HybridClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = HybridClassifier(
            load_circuit("full", num_qubits=4),
            load_backend("aer_noisy", num_qubits=4),
            num_classes=10,
            input_shape=DIGIT,
        )
        return _trained(model, 10, epochs=6)


def _trained(model: Model, num_classes: int, epochs: int) -> Model:
    train = _digits(num_classes)[0]
    adam = torch.optim.Adam(model.parameters(), lr=5e-3)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(train.labels)).split(64):
            loss = cross_entropy(model(train.images[batch]), train.labels[batch])
            adam.zero_grad()
            loss.backward()
            adam.step()
    adam.zero_grad()
    return model.eval()


def training_images() -> tuple[Tensor, Tensor]:
    """The digits that the classifiers are trained on: (N, 1, 8, 8) in [0, 1], and (N,)."""
    train = _digits(10)[0]
    return train.images.clone(), train.labels.clone()
