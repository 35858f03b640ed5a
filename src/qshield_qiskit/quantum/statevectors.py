"""Final states of a noiseless circuit for many values of its parameters at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from torch import Tensor

from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.blocks import group
from qshield_qiskit.quantum.evolution import Frame, Kind, ProductState, SegmentEvolution
from qshield_qiskit.quantum.lowering import lower
from qshield_qiskit.quantum.representations import Amplitudes


def statevectors(circuit: QuantumCircuit, parameters: Sequence[Parameter], values: Tensor) -> Tensor:
    """Run a circuit without noise.

    Args:
        circuit: Unitary gates, none of them transpiled to a device.
        parameters: All of its parameters, in the order of the values' columns.
        values: (B, P), radians.

    Returns:
        (B, 2^n) complex amplitudes in Qiskit's order, up to a phase each.

    Raises:
        InputError: There are not as many columns as parameters.
    """
    if values.ndim != 2 or values.shape[1] != len(parameters):
        raise InputError(f"values have shape {tuple(values.shape)}; expected (B, {len(parameters)}) angles")
    kind = Kind(torch.float64, torch.complex128, values.device)
    frame = Frame(Amplitudes(), tuple(parameters), (), kind)
    grouped = group(lower(circuit, None), parameters)
    inputs, nothing = values.to(torch.float64).T, values.new_zeros(0, 1, dtype=torch.float64)
    state = ProductState(grouped.prefixes, frame)(inputs, nothing)  # (1, 2^n, B)
    for each in grouped.segments:
        segment = SegmentEvolution(each, None, frame)
        state = segment(state, inputs, nothing, segment.prepare(inputs[:, :1], nothing))
    return state[0].T
