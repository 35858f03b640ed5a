"""Leaving a model, and every random generator, as they were found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import nn

from qshield_qiskit import seeding

Value = TypeVar("Value")


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
def full_precision() -> Iterator[None]:
    """Let convolutions and products keep all digits of single precision for a while.

    By default a GPU rounds what a convolution multiplies to ten bits (TF32), and products too where the process asked
    for it, a CPU's even to seven: by more than certificates allow for, and than gradients to pixels can spare.
    """
    backends = torch.backends
    parts: list[Any] = [
        getattr(room, operation)
        for room in (backends.cuda, backends.cudnn, backends.mkldnn)
        for operation in ("matmul", "conv", "rnn")
        if hasattr(room, operation)
    ]
    before = [part.fp32_precision for part in parts]
    # torch has two sets of switches, and refuses to read the old ones where they contradict the new.
    convolutions = _readable(lambda: bool(backends.cudnn.allow_tf32))
    products = _readable(torch.get_float32_matmul_precision)

    def switch(convolutions: bool | None, products: str | None, each: list[str]) -> None:
        if convolutions is not None:
            backends.cudnn.allow_tf32 = convolutions
        if products is not None:
            torch.set_float32_matmul_precision(products)
        for part, precision in zip(parts, each, strict=True):
            part.fp32_precision = precision

    switch(False, "highest", ["ieee"] * len(parts))
    try:
        yield
    finally:
        switch(convolutions, products, before)


def _readable(read: Callable[[], Value]) -> Value | None:
    try:
        return read()
    except RuntimeError:
        return None


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
