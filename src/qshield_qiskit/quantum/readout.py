"""From a final state to what the user asked for: outcome probabilities or expectation values, readout error included.

Readout error is a confusion matrix for each qubit, P(measured | true). On probabilities it acts as it stands. An
expectation value is measured in the basis of its Pauli string, so each factor P becomes a I + b P with
b = 1 - P(1|0) - P(0|1) and a = P(0|1) - P(1|0); the change of basis itself is taken to be free of noise.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from qiskit.quantum_info import Pauli, SparsePauliOp
from torch import Tensor

from qshield_qiskit.quantum.lowering import LoweredCircuit

PAULI_INDEX = {"I": 0, "X": 1, "Y": 2, "Z": 3}

Weights = Sequence[tuple[float, float]]  # (a, b) of each of the user's qubits


def readout_rows(circuit: LoweredCircuit, observables: Sequence[SparsePauliOp] | None) -> NDArray[np.float64]:
    """The real linear map from Pauli coefficients Tr(P rho) to outputs.

    Args:
        circuit: Says where each qubit ends and how it is misread.
        observables: Hermitian operators on the user's qubits, or None for outcome probabilities.

    Returns:
        (O, 4^n) rows, the highest qubit most significant in both indices.
    """
    if observables is None:
        return _probability_rows(circuit)
    weights = _misreading(circuit)
    return np.stack([_observable_row(circuit, operator, weights) for operator in observables])


def _probability_rows(circuit: LoweredCircuit) -> NDArray[np.float64]:
    exact = np.array([[0.5, 0, 0, 0.5], [0.5, 0, 0, -0.5]])  # P(0), P(1) from Tr(rho), <X>, <Y>, <Z>
    factors = [np.array([[1.0, 0, 0, 0]])] * circuit.num_qubits  # a qubit that nobody reads is traced out
    for position, confusion in zip(circuit.positions, circuit.readout, strict=True):
        factors[position] = exact if confusion is None else confusion.T @ exact
    rows: NDArray[np.float64] = _kron(factors)  # outcomes in the order of physical qubits
    descending = sorted(circuit.positions, reverse=True)
    axes = [descending.index(position) for position in reversed(circuit.positions)]
    return rows.reshape(*[2] * len(axes), -1).transpose(*axes, -1).reshape(rows.shape)


def _observable_row(
    circuit: LoweredCircuit, operator: SparsePauliOp, weights: Weights
) -> NDArray[np.float64]:
    row = np.zeros(4**circuit.num_qubits)
    for label, coefficient in operator.to_list():
        factors = [np.eye(4)[0]] * circuit.num_qubits
        for position, letter, (a, b) in zip(circuit.positions, reversed(label), weights, strict=True):
            if letter != "I":
                factors[position] = a * np.eye(4)[0] + b * np.eye(4)[PAULI_INDEX[letter]]
        row += coefficient.real * _kron(factors)
    return row


def _kron(factors: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The Kronecker product of one factor a qubit, the last most significant."""
    product: NDArray[np.float64] = np.ones(1)
    for factor in factors:
        product = np.asarray(np.kron(factor, product), dtype=np.float64)
    return product


def _misreading(circuit: LoweredCircuit) -> list[tuple[float, float]]:
    return [
        (0.0, 1.0) if c is None else (float(c[1, 0] - c[0, 1]), float(1 - c[0, 1] - c[1, 0]))
        for c in circuit.readout
    ]


class AmplitudeReadout:
    """Outputs from amplitudes (S, 2^n, B), averaged over S trajectories and normalised by their mean norm.

    Args:
        circuit: Says where each qubit ends and how it is misread.
        observables: Hermitian operators on the user's qubits, or None for outcome probabilities.
    """

    def __init__(self, circuit: LoweredCircuit, observables: Sequence[SparsePauliOp] | None) -> None:
        self._circuit = circuit
        self._terms = None if observables is None else _grouped_terms(circuit, observables)

    def __call__(self, amplitudes: Tensor) -> Tensor:
        """Outputs (B, O), real."""
        amplitudes = amplitudes.mT  # (S, B, 2^n)
        density = amplitudes.real**2 + amplitudes.imag**2  # (S, B, 2^n)
        norm = density.sum(-1).mean(0).unsqueeze(-1)  # (B, 1); 1 without noise
        if self._terms is None:
            return self._probabilities(density.mean(0)) / norm
        total = None
        for flip, matrix in self._terms:
            source = torch.from_numpy(np.arange(amplitudes.shape[-1]) ^ flip).to(amplitudes.device)
            products = amplitudes.conj() * amplitudes[..., source]  # (S, B, 2^n)
            term = (products.mean(0) @ torch.from_numpy(matrix).to(products)).real  # (B, O)
            total = term if total is None else total + term
        assert total is not None
        return total / norm

    def _probabilities(self, density: Tensor) -> Tensor:
        circuit = self._circuit
        axes = [1 + circuit.num_qubits - 1 - position for position in reversed(circuit.positions)]
        tensor = density.reshape(-1, *[2] * circuit.num_qubits)
        unread = [axis for axis in range(1, tensor.ndim) if axis not in axes]
        tensor = (
            tensor.permute(0, *axes, *unread).reshape(len(tensor), *[2] * len(axes), 2 ** len(unread)).sum(-1)
        )
        for axis, confusion in enumerate(reversed(circuit.readout), start=1):
            if confusion is not None:
                tensor = (tensor.movedim(axis, -1) @ torch.from_numpy(confusion).to(tensor)).movedim(-1, axis)
        return tensor.reshape(len(tensor), 2 ** len(axes))


def _grouped_terms(
    circuit: LoweredCircuit, observables: Sequence[SparsePauliOp]
) -> list[tuple[int, NDArray[np.complex128]]]:
    """Pauli strings grouped by the bits they flip: <psi|P|psi> = sum_i conj(psi_i) psi_(i xor flip) M[i, output]."""
    size, weights = 2**circuit.num_qubits, _misreading(circuit)
    groups: dict[int, NDArray[np.complex128]] = {}
    for output, operator in enumerate(observables):
        for label, coefficient in operator.to_list():
            for string, share in _misread_strings(label[::-1], weights):
                letters = ["I"] * circuit.num_qubits
                for position, letter in zip(circuit.positions, string, strict=True):
                    letters[position] = letter
                pauli = Pauli("".join(reversed(letters)))
                flip = sum(1 << q for q in range(circuit.num_qubits) if pauli.x[q])
                matrix = groups.setdefault(flip, np.zeros((size, len(observables)), dtype=np.complex128))
                matrix[:, output] += coefficient.real * share * _row_phases(pauli, flip)
    return list(groups.items())


def _row_phases(pauli: Pauli, flip: int) -> NDArray[np.complex128]:
    """P[i, i xor flip] for every row i of a Pauli string's matrix, which has one entry a row."""
    columns = np.arange(2**pauli.num_qubits) ^ flip
    signs = sum(((columns >> q) & 1) * int(pauli.z[q]) for q in range(pauli.num_qubits))
    return np.asarray((-1.0) ** np.asarray(signs) * 1j ** int((pauli.x & pauli.z).sum()), dtype=np.complex128)


def _misread_strings(string: str, weights: Weights) -> list[tuple[str, float]]:
    options = [
        [("I", 1.0)] if letter == "I" else [("I", a), (letter, b)]
        for letter, (a, b) in zip(string, weights, strict=True)
    ]
    strings = []
    for choice in itertools.product(*options):
        share = float(np.prod([factor for _, factor in choice]))
        if share != 0.0:
            strings.append(("".join(letter for letter, _ in choice), share))
    return strings
