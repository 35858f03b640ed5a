"""Copies of a model of which finite differences can be taken: in float64, and without randomness."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from qshield_qiskit.robustness.undisturbed import seeded

LOWER = (torch.float32, torch.float16, torch.bfloat16)
LOWERING = (Tensor.float, Tensor.half, Tensor.bfloat16)


class InDouble(nn.Module):
    """A float64 model that stays one where it casts to another precision, or multiplies weights it never registered."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Classify images (B, C, H, W)."""
        with _Widened():
            logits: Tensor = self.model(images)
        return logits


class Frozen(nn.Module):
    """A random model that starts from the same state at every forward pass, be its generators its own or everybody's.

    What draws its seed from the operating system stays random.
    """

    def __init__(self, model: nn.Module, seed: int) -> None:
        super().__init__()
        self.model = model
        self.seed = seed

    def forward(self, images: Tensor) -> Tensor:
        """Classify images (B, C, H, W)."""
        with seeded(self.seed):
            logits: Tensor = copy.deepcopy(self.model)(images)
        return logits


class _Widened(TorchFunctionMode):
    """Turns casts to a lower precision into casts to float64, and mixed arguments into float64 where torch refuses."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        function = Tensor.double if function in LOWERING else function
        args = tuple(_double_for(each) for each in args)
        named = {name: _double_for(each) for name, each in (kwargs or {}).items()}
        try:
            return function(*args, **named)
        except RuntimeError:
            if not any(_is_narrow(each) for each in (*args, *named.values())):
                raise
            return function(*map(_widen, args), **{name: _widen(each) for name, each in named.items()})


def _double_for(value: Any) -> Any:
    return torch.float64 if isinstance(value, torch.dtype) and value in LOWER else value


def _is_narrow(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype in LOWER


def _widen(value: Any) -> Any:
    return value.double() if _is_narrow(value) else value
