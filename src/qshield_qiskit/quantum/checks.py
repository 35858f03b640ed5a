"""What a circuit's inputs and a layer's numbers have to be, said in one line each."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from qshield_qiskit.errors import InputError


def check_inputs(inputs: Tensor, num_inputs: int) -> None:
    """Hold a batch of inputs to floating-point angles (..., num_inputs).

    Raises:
        InputError: They have another shape or dtype.
    """
    if inputs.ndim == 0 or inputs.shape[-1] != num_inputs:
        raise InputError(f"inputs have shape {tuple(inputs.shape)}; expected (..., {num_inputs}) angles")
    if not inputs.is_floating_point():
        raise InputError(
            f"inputs have dtype {inputs.dtype}; expected floating-point angles: call .float() on them"
        )


def check_whole(smallest: int, **numbers: object) -> None:
    """Hold numbers, given by name, to whole ones from the smallest on; None is let pass.

    Raises:
        InputError: One is not.
    """
    for name, number in numbers.items():
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < smallest:
            raise InputError(f"{name}={number!r}: expected a whole number from {smallest} on")
