"""From PUBs in the user's terms to circuits that measure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit.library import HGate, SdgGate, UnitaryGate
from qiskit.quantum_info import Pauli, SparsePauliOp

MEASURED = "measured"
"""Name of the classical register that holds the user's qubits, qubit i in bit i."""


TO_Z = {"X": HGate().to_matrix(), "Y": HGate().to_matrix() @ SdgGate().to_matrix()}
"""What turns a Pauli's eigenstates into those of Z."""


def measured(circuit: QuantumCircuit, num_qubits: int, basis: Pauli | None = None) -> QuantumCircuit:
    """Measure the user's qubits at the end of a circuit, wherever transpiling has moved them.

    Args:
        circuit: What runs, as `backend.transpile` gives it.
        num_qubits: How many qubits were the user's own.
        basis: A letter for each of them, in which they are measured; I and Z, like None, need nothing. The change of
            basis has a label that no noise model knows.

    Returns:
        A copy that measures qubit i into bit i of the register `MEASURED`.
    """
    layout = circuit.layout
    places = range(num_qubits) if layout is None else layout.final_index_layout()[:num_qubits]
    copy = circuit.copy()
    register = ClassicalRegister(num_qubits, MEASURED)
    copy.add_register(register)
    copy.barrier()
    letters = "" if basis is None else reversed(basis.to_label())
    for place, letter in zip(places, letters, strict=False):
        if letter in TO_Z:
            copy.append(UnitaryGate(TO_Z[letter], label="change of basis"), [place])
    copy.measure(places, register)
    return copy


def frequencies(bits: Any) -> NDArray[np.float64]:
    """Count a `BitArray` of shape (P,): (P, 2**n) relative frequencies, qubit 0 least significant."""
    size = 2**bits.num_bits
    weights = 256 ** np.arange(bits.array.shape[-1])[::-1]  # bytes, the most significant first
    outcomes = bits.array.astype(np.int64) @ weights  # (P, shots)
    offsets = np.arange(len(outcomes))[:, None] * size
    counts = np.bincount((outcomes + offsets).ravel(), minlength=len(outcomes) * size)
    shares: NDArray[np.float64] = counts.reshape(len(outcomes), size) / bits.num_shots
    return shares


def bases_of(observables: Sequence[SparsePauliOp]) -> list[SparsePauliOp]:
    """Group the Pauli strings of observables, each once, by bases in which they are measured together."""
    labels = dict.fromkeys(label for operator in observables for label, _ in operator.simplify().to_list())
    groups: list[SparsePauliOp] = SparsePauliOp(list(labels)).group_commuting(qubit_wise=True)
    return groups
