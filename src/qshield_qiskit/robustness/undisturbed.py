"""Leaving a model, and every random generator, as they were found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from qshield_qiskit import seeding
from qshield_qiskit.precision import full_precision


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Put a model into eval mode with frozen weights, and give back its modes, gradients and weights' flags.

    Frozen weights let the quantum layer fuse all that follows its last input into one matrix, and spare every
    backward pass the weights' share. Meanwhile all digits of single precision are kept.

    Args:
        model: The model.
    """
    modes = {module: module.training for module in model.modules()}
    parameters = [(parameter, parameter.requires_grad, parameter.grad) for parameter in model.parameters()]
    model.eval()
    model.requires_grad_(False)
    try:
        with full_precision():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
        for parameter, requires_grad, gradient in parameters:
            parameter.requires_grad_(requires_grad)
            parameter.grad = gradient


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed every generator for a while, and give them back their states.

    ART's random starts follow NumPy's global generator, a random model follows torch's.

    Args:
        seed: In [0, 2**32).
    """
    before = seeding.state()
    seeding.seed_everything(seed)
    try:
        yield
    finally:
        seeding.restore(before)
