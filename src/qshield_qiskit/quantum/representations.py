"""Two ways to hold a quantum state, as the matrices that a list of operations turns into.

A representation gives every qubit a local vector of `dimension` entries, every operation on k qubits a matrix of
`dimension`^k rows, and every Pauli rotation three matrices with

    R(angle) = A0 + cos(angle * scale) A1 + sin(angle * scale) A2.

* `PauliTransfer`: the 4^n real coefficients Tr(P rho). Any channel is one real matrix, so noise costs nothing extra.
* `Amplitudes`: the 2^n complex amplitudes. Channels are sampled: each of `samples` trajectories draws one Kraus
  operator a channel, once and for all (common random numbers), with probability q_k = Tr(K_k^dagger K_k) / 2^k, and
  carries K_k / sqrt(q_k). The draw does not depend on the state, so that gradients are exactly those of what is
  returned: the average over trajectories of |amplitude|^2, which is unbiased, over its sum (see `readout`), whose bias
  falls with the number of trajectories.

In both, the matrices of an operation on qubits (q_0, q_1) have q_0 least significant, as in Qiskit.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from qiskit.quantum_info import PTM, Kraus, Operator, Pauli, SuperOp

from qshield_qiskit.quantum.lowering import Channel, Gate, rotation_gate

Array = NDArray[Any]
"""Real or complex, in double precision."""


UNITARY = 1e-9
"""A Kraus operator is a multiple of a unitary if K^dagger K is one of the identity up to this."""


class Representation(Protocol):
    """What the block builder and the evolution need to know of a representation."""

    dimension: int
    scale: float
    samples: int
    zero: Array  # (dimension,), the local vector of |0>

    def fixed(self, operation: Gate | Channel) -> Array:
        """The operation's matrix: (samples or 1, dimension^k, dimension^k)."""
        ...

    def rotation(self, pauli: str) -> Array:
        """A0, A1 and A2 of a Pauli rotation: (3, dimension^k, dimension^k)."""
        ...


class PauliTransfer:
    """Real Pauli-transfer form: entry P of the state is Tr(P rho), P in (I, X, Y, Z)^n."""

    dimension = 4
    scale = 1.0
    samples = 1
    zero = np.array([1.0, 0.0, 0.0, 1.0])

    def fixed(self, operation: Gate | Channel) -> Array:
        """The operation's Pauli-transfer matrix, R_ij = Tr(P_i E(P_j)) / 2^k."""
        source = (
            Operator(operation.matrix) if isinstance(operation, Gate) else SuperOp(operation.superoperator)
        )
        matrix: Array = PTM(source).data.real[None]
        return matrix

    def rotation(self, pauli: str) -> Array:
        """The part that commutes with P, the part that turns, and the turn."""
        identity, quarter, half = (self._turn(pauli, angle) for angle in (0.0, np.pi / 2, np.pi))
        steady = (identity + half) / 2
        return np.stack([steady, identity - steady, quarter - steady])

    def _turn(self, pauli: str, angle: float) -> Array:
        matrix: Array = self.fixed(rotation_gate(pauli, angle, tuple(range(len(pauli)))))[0]
        return matrix


class Amplitudes:
    """Complex amplitudes, with trajectories where there is noise.

    Args:
        samples: Number of trajectories; 1 is meant for circuits without channels.
        seed: Seed of the draws; the same seed gives the same trajectories.
    """

    dimension = 2
    scale = 0.5
    zero = np.array([1.0, 0.0], dtype=np.complex128)

    def __init__(self, samples: int = 1, seed: int = 0) -> None:
        self.samples = samples
        self._random = np.random.default_rng(seed)

    def fixed(self, operation: Gate | Channel) -> Array:
        """The unitary itself, or one weighted Kraus operator for each trajectory."""
        if isinstance(operation, Gate):
            return operation.matrix[None]
        kraus = _evened(np.stack(Kraus(SuperOp(operation.superoperator)).data))  # (K, d, d)
        q = np.einsum("kij,kij->k", kraus.conj(), kraus).real / kraus.shape[-1]
        drawn = self._random.choice(len(q), size=self.samples, p=q / q.sum())
        weighted: Array = kraus[drawn] / np.sqrt(q[drawn] / q.sum())[:, None, None]
        return weighted

    def rotation(self, pauli: str) -> Array:
        """cos(angle / 2) times the identity and sin(angle / 2) times -i P."""
        generator = Pauli(pauli).to_matrix()
        return np.stack([np.zeros_like(generator), np.eye(len(generator)), -1j * generator])


def _evened(kraus: Array) -> Array:
    """Mix those Kraus operators (K, d, d) of a channel that are no multiples of a unitary.

    A channel's operators are free up to a unitary among them. As they come, one of relaxation annihilates |0>, and
    trajectories that draw it often enough die out; their Fourier transforms all change a state's norm about equally.
    """
    dimension = kraus.shape[-1]
    products = kraus.conj().swapaxes(1, 2) @ kraus
    scales = np.trace(products, axis1=1, axis2=2).real / dimension
    apart = np.abs(products - scales[:, None, None] * np.eye(dimension)).max(axis=(1, 2)) > UNITARY
    count = int(apart.sum())
    if count == 0:
        return kraus
    fourier = np.exp(2j * np.pi * np.outer(range(count), range(count)) / count) / np.sqrt(count)
    evened = kraus.astype(np.complex128)
    evened[apart] = np.einsum("ab,bij->aij", fourier, evened[apart])
    return evened
