"""What a circuit trains between its encoding and its entanglers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from qshield_qiskit.errors import unknown


def none(circuit: QuantumCircuit, weights: Sequence[Parameter]) -> None:
    """Train nothing: the paper's circuit."""


def rotations(circuit: QuantumCircuit, weights: Sequence[Parameter]) -> None:
    """Turn every qubit by RZ RY RZ, any rotation of the Bloch sphere, with three weights in radians."""
    for qubit in range(circuit.num_qubits):
        circuit.rz(weights[3 * qubit], qubit)
        circuit.ry(weights[3 * qubit + 1], qubit)
        circuit.rz(weights[3 * qubit + 2], qubit)


@dataclass(frozen=True)
class Ansatz:
    """A trainable layer and its price."""

    apply: Callable[[QuantumCircuit, Sequence[Parameter]], None]
    num_weights: Callable[[int], int]


ANSATZE = {
    "none": Ansatz(none, lambda num_qubits: 0),
    "rotations": Ansatz(rotations, lambda num_qubits: 3 * num_qubits),
}


def find_ansatz(name: str) -> Ansatz:
    """Look an ansatz up by name.

    Raises:
        InputError: There is none of that name.
    """
    if name not in ANSATZE:
        raise unknown("ansatz", name, ANSATZE)
    return ANSATZE[name]
