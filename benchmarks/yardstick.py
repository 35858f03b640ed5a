"""The yardstick: one circuit under one noise, written out by hand in real Pauli-transfer form.

What a careful person would write for exactly the paper's circuit (4 qubits, RX RY RZ encoding, two layers of RZ RY RZ
rotations, full CNOT and the mixed channel with p = 0.005), and nothing else. A general simulator should not be slower.
Its outcome index has qubit 0 most significant.
"""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor

NUM_QUBITS, LAYERS, P = 4, 2, 0.005


def encoded(x: Tensor) -> Tensor:
    """Bloch vectors behind RX RY RZ, (B, n, 4), from angles (B, n, 3)."""
    (ca, cb, cc), (sa, sb, sc) = torch.cos(x).unbind(-1), torch.sin(x).unbind(-1)
    first, second = ca * sb, -sa
    return torch.stack([torch.ones_like(ca), first * cc - second * sc, first * sc + second * cc, ca * cb], -1)


def product(vectors: Tensor) -> Tensor:
    """(B, n, 4) to (B, 4^n)."""
    state = vectors[:, 0]
    for qubit in range(1, vectors.shape[1]):
        state = (state.unsqueeze(-1) * vectors[:, qubit].unsqueeze(-2)).flatten(1)
    return state


def rotations(w: Tensor) -> Tensor:
    """Transfer matrices of RZ RY RZ, (..., 4, 4), from angles (..., 3)."""
    cos, sin, one, zero = torch.cos(w), torch.sin(w), torch.ones_like(w), torch.zeros_like(w)

    def about_z(i: int) -> Tensor:
        c, s, o, z = cos[..., i], sin[..., i], one[..., i], zero[..., i]
        return torch.stack([o, z, z, z, z, c, -s, z, z, s, c, z, z, z, z, o], -1).reshape(*w.shape[:-1], 4, 4)

    c, s, o, z = cos[..., 1], sin[..., 1], one[..., 1], zero[..., 1]
    about_y = torch.stack([o, z, z, z, z, c, z, s, z, z, o, z, z, -s, z, c], -1).reshape(*w.shape[:-1], 4, 4)
    turned: Tensor = about_z(2) @ about_y @ about_z(0)
    return turned


def mixed_channel() -> Tensor:
    """Depolarizing (0.4 p), amplitude damping (0.3 p) and phase damping (0.3 p) in turn, (4, 4)."""
    shrink = 1 - 4 * 0.4 * P / 3
    decay = 1 - 0.3 * P
    phase = math.sqrt(1 - 0.3 * P)
    transverse = shrink * math.sqrt(decay) * phase
    channel = torch.diag(torch.tensor([1.0, transverse, transverse, shrink * decay], dtype=torch.float64))
    channel[3, 0] = 0.3 * P
    return channel


def full_entangler() -> tuple[Tensor, Tensor]:
    """All CX i -> j, i < j, on Pauli strings: where each goes, and its sign; (4^n,) each."""
    x_of, z_of = torch.tensor([0, 1, 1, 0]), torch.tensor([0, 0, 1, 1])  # I X Y Z as (x, z) bits
    letter = torch.tensor([[0, 3], [1, 2]])
    digits = torch.cartesian_prod(*[torch.arange(4)] * NUM_QUBITS)  # (4^n, n)
    x, z, sign = x_of[digits], z_of[digits], torch.ones(len(digits), dtype=torch.float64)
    for control in range(NUM_QUBITS):
        for other in range(control + 1, NUM_QUBITS):
            flips = x[:, control] & z[:, other] & (x[:, other] ^ z[:, control] ^ 1)
            sign = sign * (1 - 2 * flips)
            x[:, other] ^= x[:, control]
            z[:, control] ^= z[:, other]
    powers = 4 ** torch.arange(NUM_QUBITS - 1, -1, -1)
    return (letter[x, z] * powers).sum(1), sign


class Yardstick:
    """The circuit; `fuse` gives its matrix T (16, 256) for some weights, `forward` applies it to a batch."""

    def __init__(self) -> None:
        self.channel = mixed_channel()
        self.destination, self.sign = full_entangler()
        one = torch.tensor([[0.5, 0, 0, 0.5], [0.5, 0, 0, -0.5]], dtype=torch.float64)
        self.rows = reduce(torch.kron, [one] * NUM_QUBITS)

    def fuse(self, w: Tensor) -> Tensor:
        """T from weights (layers, n, 3), evolved backwards from the readout."""
        turns, rows = rotations(w), self.rows
        for layer in reversed(range(LAYERS)):
            for qubit in range(NUM_QUBITS):
                rows = self._absorb(rows, self.channel, qubit)
            rows = rows[:, self.destination] * self.sign
            for qubit in range(NUM_QUBITS):
                rows = self._absorb(rows, turns[layer, qubit], qubit)
        return rows

    def forward(self, x: Tensor, fused: Tensor) -> Tensor:
        """Probabilities (B, 16) from angles (B, n, 3)."""
        return product(encoded(x)) @ fused.T

    @staticmethod
    def _absorb(rows: Tensor, matrix: Tensor, qubit: int) -> Tensor:
        shaped = rows.reshape(len(rows), 4**qubit, 4, -1)
        return (matrix.mT @ shaped).reshape(len(rows), -1)
