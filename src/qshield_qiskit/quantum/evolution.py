"""The compiled circuit as torch tensors, and the loop that runs it.

Everything here is plain differentiable torch: autograd, double backward, `torch.func` and CUDA come for free. Shapes: S
trajectories (1 when nothing is sampled), B images, n qubits, d = 4 (Pauli transfer) or 2 (amplitudes), D = d^k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from qiskit.circuit import Parameter
from torch import Tensor

from qshield_qiskit.quantum.blocks import Block, Segment
from qshield_qiskit.quantum.chains import Chain, chain, stack
from qshield_qiskit.quantum.expressions import Angles
from qshield_qiskit.quantum.representations import Array, Representation


@dataclass(frozen=True)
class Kind:
    """Where tensors live: the real dtype of inputs and outputs, the dtype of states, the device."""

    real: torch.dtype
    state: torch.dtype
    device: torch.device

    def tensor(self, array: Array) -> Tensor:
        """A constant of the compiled circuit, in the dtype of states."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device, self.state)


def rotation_terms(angles: Tensor, scale: float, dtype: torch.dtype) -> Tensor:
    """(1, cos, sin) of scaled angles: (...) -> (..., 3)."""
    angles = angles * scale
    return torch.stack([torch.ones_like(angles), torch.cos(angles), torch.sin(angles)], dim=-1).to(dtype)


class ProductState:
    """The prefixes: each qubit's local vector, taken through its own rotations."""

    def __init__(
        self,
        prefixes: Sequence[Block],
        representation: Representation,
        inputs: Sequence[Parameter],
        weights: Sequence[Parameter],
        kind: Kind,
    ) -> None:
        chains = [chain(block, representation) for block in prefixes]
        self._turning = [i for i, each in enumerate(chains) if each.steps]
        self._scale, self._kind = representation.scale, kind
        # Qubits at rest keep one constant vector for all images.
        self._resting = {i: kind.tensor(each.start @ representation.zero) for i, each in enumerate(chains) if not each.steps}
        self._num_qubits = len(chains)
        if not self._turning:
            return
        steps, expressions = stack([chains[i] for i in self._turning])  # (S, R, L, 3, d, d), R * L
        self._length, d = steps.shape[2], steps.shape[-1]
        self._first = kind.tensor(steps[:, :, 0] @ representation.zero)  # (S, R, 3, d)
        # One step is [v, cos v, sin v] @ M, so that the three terms are one small product.
        self._steps = [
            kind.tensor(steps[:, :, i].swapaxes(-1, -2).reshape(*steps.shape[:2], 3 * d, d)) for i in range(1, self._length)
        ]
        self._angles = Angles(expressions, inputs, weights).to(kind.real, kind.device)

    def __call__(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """The product of all local vectors, (S, B, d^n), highest qubit most significant."""
        vectors = {qubit: vector.unsqueeze(-2) for qubit, vector in self._resting.items()}  # (S, 1, d)
        if self._turning:
            angles = self._angles(inputs, weights).T.reshape(len(self._turning), self._length, -1)  # (R, L, B)
            terms = rotation_terms(angles, self._scale, self._kind.state)  # (R, L, B, 3)
            local = terms[:, 0] @ self._first  # (S, R, B, d)
            for i, step in enumerate(self._steps, start=1):
                local = (terms[:, i].unsqueeze(-1) * local.unsqueeze(-2)).flatten(-2) @ step
            vectors.update(zip(self._turning, local.unbind(1), strict=True))
        state = vectors[self._num_qubits - 1]
        for qubit in reversed(range(self._num_qubits - 1)):
            state = (state.unsqueeze(-1) * vectors[qubit].unsqueeze(-2)).flatten(-2)
        return state.expand(-1, len(inputs), -1)


class BlockMatrices:
    """The matrices of a list of blocks, evaluated together: all chains of one size run as one stack."""

    def __init__(
        self,
        blocks: Sequence[Block],
        representation: Representation,
        inputs: Sequence[Parameter],
        weights: Sequence[Parameter],
        kind: Kind,
    ) -> None:
        self._scale, self._kind, self._count = representation.scale, kind, len(blocks)
        self.qubits = [block.qubits for block in blocks]
        by_size: dict[int, list[tuple[int, Chain]]] = {}
        self._fixed: dict[int, Tensor] = {}
        for i, block in enumerate(blocks):
            each = chain(block, representation)
            if each.steps:
                by_size.setdefault(len(block.qubits), []).append((i, each))
            else:
                self._fixed[i] = kind.tensor(each.start[:, None])  # (S, 1, D, D)
        self._stacks = []
        for members in by_size.values():
            steps, expressions = stack([each for _, each in members])  # (S, R, L, 3, D, D)
            angles = Angles(expressions, inputs, weights).to(kind.real, kind.device)
            self._stacks.append(([i for i, _ in members], kind.tensor(steps), angles))

    def __call__(self, inputs: Tensor, weights: Tensor) -> list[Tensor]:
        """One (S or 1, B or 1, D, D) matrix a block; B is that of `inputs`, whose width is 0 where none matter."""
        matrices: dict[int, Tensor] = dict(self._fixed)
        for members, steps, angles in self._stacks:
            terms = rotation_terms(angles(inputs, weights), self._scale, self._kind.state)  # (B, R * L, 3)
            terms = terms.unflatten(1, steps.shape[1:3])  # (B, R, L, 3)
            factors = torch.einsum("brlk,srlkij->lrsbij", terms, steps)
            product = factors[0]  # (R, S, B, D, D)
            for factor in factors[1:]:
                product = factor @ product
            matrices.update(zip(members, product.unbind(0), strict=True))
        return [matrices[i] for i in range(self._count)]


def apply(state: Tensor, matrix: Tensor, qubits: Sequence[int]) -> Tensor:
    """Multiply a matrix into some qubits of a state.

    Args:
        state: (S, B, d, ..., d), one axis a qubit, the highest first; it may be a strided view.
        matrix: (S or 1, B or 1, D, D).
        qubits: The k qubits it acts on, highest first.

    Returns:
        The new state, as a view whose axes lie where the product put them: each step copies once.
    """
    targets = [state.ndim - 1 - qubit for qubit in qubits]
    others = [axis for axis in range(2, state.ndim) if axis not in targets]
    if matrix.shape[1] > 1:
        order = [0, 1, *targets, *others]
        moved = state.permute(order)
        product = matrix @ moved.reshape(*moved.shape[:2], matrix.shape[-1], -1)
    else:
        order = [0, *targets, 1, *others]
        moved = state.permute(order)
        product = matrix.squeeze(1) @ moved.reshape(len(moved), matrix.shape[-1], -1)
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return product.reshape(moved.shape).permute(inverse)


class SegmentEvolution:
    """One segment: input-dependent blocks, then blocks that are the same for every image.

    Args:
        segment: The two lists of blocks.
        rows: None to apply the second list block by block; otherwise it is fused into one matrix with these rows,
            (1, O, d^n), multiplied from the left.
    """

    def __init__(
        self,
        segment: Segment,
        rows: Tensor | None,
        representation: Representation,
        inputs: Sequence[Parameter],
        weights: Sequence[Parameter],
        kind: Kind,
    ) -> None:
        self._dependent = BlockMatrices(segment.dependent, representation, inputs, weights, kind)
        self._independent = BlockMatrices(segment.independent, representation, inputs, weights, kind)
        self._rows, self._samples, self._dimension = rows, representation.samples, representation.dimension

    def prepare(self, inputs: Tensor, weights: Tensor) -> list[Tensor]:
        """All that is the same for every image: the fused matrix, (S, O, d^n), or the blocks' matrices.

        Args:
            inputs: Zeros of shape (1, I); nothing here depends on them.
            weights: (W,), radians.
        """
        matrices = self._independent(inputs, weights)
        if self._rows is None:
            return matrices
        rows = split_qubits(self._rows.expand(self._samples, -1, -1), self._dimension)
        for matrix, qubits in zip(reversed(matrices), reversed(self._independent.qubits), strict=True):
            rows = apply(rows, matrix.mT, qubits)
        return [rows.flatten(2)]

    def __call__(self, state: Tensor, inputs: Tensor, weights: Tensor, prepared: list[Tensor]) -> Tensor:
        """Take a state (S, B, d^n) to (S, B, O); O = d^n where nothing is fused."""
        tensor = split_qubits(state, self._dimension)
        for matrix, qubits in zip(self._dependent(inputs, weights), self._dependent.qubits, strict=True):
            tensor = apply(tensor, matrix, qubits)
        if self._rows is not None:
            return tensor.flatten(2) @ prepared[0].mT
        for matrix, qubits in zip(prepared, self._independent.qubits, strict=True):
            tensor = apply(tensor, matrix, qubits)
        return tensor.flatten(2)


def split_qubits(state: Tensor, dimension: int) -> Tensor:
    """(S, B, d^n) -> (S, B, d, ..., d), highest qubit first."""
    num_qubits = round(math.log(state.shape[-1], dimension))
    return state.reshape(*state.shape[:2], *[dimension] * num_qubits)
