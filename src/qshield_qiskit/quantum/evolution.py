"""The compiled circuit as torch tensors, and the loops that run it.

Everything here is plain differentiable torch: autograd, double backward, `torch.func` and CUDA come for free. Shapes: S
trajectories (1 when nothing is sampled), n qubits, d = 4 (Pauli transfer) or 2 (amplitudes), D = d^k, B images. Images
come last, so that every elementary loop runs over them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from itertools import islice

import numpy as np
import torch
from qiskit.circuit import Parameter, ParameterExpression
from torch import Tensor

from qshield_qiskit.quantum.blocks import Block, Segment
from qshield_qiskit.quantum.chains import Chain, chain, group_steps, stack
from qshield_qiskit.quantum.expressions import RotationTerms
from qshield_qiskit.quantum.representations import Array, Representation


@dataclass(frozen=True)
class Kind:
    """Where tensors live: the real dtype of inputs and outputs, the dtype of states, the device."""

    real: torch.dtype
    state: torch.dtype
    device: torch.device


@dataclass(frozen=True)
class Frame:
    """What every part of one compiled circuit shares."""

    representation: Representation
    inputs: tuple[Parameter, ...]
    weights: tuple[Parameter, ...]
    kind: Kind = field(compare=False)

    def constant(self, array: Array) -> Tensor:
        """A constant of the compiled circuit, in the dtype of states."""
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.kind.device, self.kind.state)

    def terms(self, angles: Sequence[ParameterExpression | None]) -> RotationTerms:
        """The (1, cos, sin) of these angles as a function of inputs and weights."""
        # Angles may be many times pi: they are formed in double precision, where a device has it.
        precision = self.kind.real if self.kind.device.type == "mps" else torch.float64
        scale = self.representation.scale
        return RotationTerms(angles, self.inputs, self.weights, scale, precision, self.kind.device)


class ProductState:
    """The prefixes: each qubit's local vector, taken through its own rotations, and the product of them all.

    Two rotations at a time are one product with the outer product of their (1, cos, sin), for all qubits at once: few
    calls, however many qubits.
    """

    def __init__(self, prefixes: Sequence[Block], frame: Frame) -> None:
        steps, angles = stack([chain(block, frame.representation) for block in reversed(prefixes)])
        self._shape = steps.shape[1:4]  # (n, L, 3), highest qubit first
        zero = frame.representation.zero[:, None]
        self._groups = [(width, frame.constant(each)) for width, each in group_steps(steps, zero)]
        self._terms, self._state = frame.terms(angles), frame.kind.state

    def __call__(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """The state (S, d^n, B), highest qubit most significant."""
        terms = self._terms(inputs, weights).to(self._state).reshape(*self._shape, -1)  # (n, L, 3, B)
        steps = iter(terms.unbind(1))  # each (n, 3, B)
        vectors: list[Tensor] = []
        for width, matrix in self._groups:
            products = reduce(lambda low, high: outer(high, low), [*vectors, *islice(steps, width)])
            vectors = [matrix @ products]  # (S, n, d, B)
        return product_of_all(vectors[0]).expand(-1, -1, inputs.shape[1])


class BlockMatrices:
    """The matrices of a list of blocks, evaluated together: all chains of one size run as one stack."""

    def __init__(self, blocks: Sequence[Block], frame: Frame) -> None:
        self.qubits = [block.qubits for block in blocks]
        self._fixed: dict[int, Tensor] = {}
        self._stacks: list[tuple[list[int], Tensor, RotationTerms]] = []
        by_size: dict[int, list[tuple[int, Chain]]] = {}
        for i, block in enumerate(blocks):
            each = chain(block, frame.representation)
            if each.steps:
                by_size.setdefault(len(block.qubits), []).append((i, each))
            else:
                self._fixed[i] = frame.constant(each.start[:, None])  # (S, 1, D, D)
        for members in by_size.values():
            steps, angles = stack([each for _, each in members])  # (S, R, L, 3, D, D)
            self._stacks.append(([i for i, _ in members], frame.constant(steps), frame.terms(angles)))

    def __call__(self, inputs: Tensor, weights: Tensor) -> list[Tensor]:
        """One (S or 1, B or 1, D, D) matrix a block, from inputs (I, B) and weights (W, 1)."""
        matrices: dict[int, Tensor] = dict(self._fixed)
        for members, steps, table in self._stacks:
            terms = table(inputs, weights).to(steps.dtype).reshape(*steps.shape[1:4], -1)  # (R, L, 3, B)
            factors = torch.einsum("rlkb,srlkij->lrsbij", terms, steps)
            product = factors[0]  # (R, S, B, D, D)
            for factor in factors[1:]:
                product = factor @ product
            matrices.update(zip(members, product.unbind(0), strict=True))
        return [matrices[i] for i in range(len(self.qubits))]


class SegmentEvolution:
    """One segment: input-dependent blocks, then blocks that are the same for every image.

    Args:
        segment: The two lists of blocks.
        rows: None to apply the second list block by block; otherwise it is fused into one matrix, whose transpose
            starts as these rows, (1, d^n, O).
        frame: What the compiled circuit shares.
    """

    def __init__(self, segment: Segment, rows: Tensor | None, frame: Frame) -> None:
        self._dependent = BlockMatrices(segment.dependent, frame)
        self._independent = BlockMatrices(segment.independent, frame)
        self._rows = rows
        self._samples, self._dimension = frame.representation.samples, frame.representation.dimension

    def prepare(self, inputs: Tensor, weights: Tensor) -> list[Tensor]:
        """All that is the same for every image: the fused matrix, (S, O, d^n), or the blocks' matrices.

        Args:
            inputs: Zeros of shape (I, 1); nothing here depends on them.
            weights: (W, 1), radians.
        """
        matrices = self._independent(inputs, weights)
        if self._rows is None:
            return matrices
        rows = split_qubits(self._rows.expand(self._samples, -1, -1), self._dimension)
        for matrix, qubits in zip(reversed(matrices), reversed(self._independent.qubits), strict=True):
            rows = apply(rows, matrix.mT, qubits)
        return [rows.flatten(1, -2).mT]

    def __call__(self, state: Tensor, inputs: Tensor, weights: Tensor, prepared: list[Tensor]) -> Tensor:
        """Take a state (S, d^n, B) to (S, O, B); O = d^n where nothing is fused."""
        if self._dependent.qubits:
            state = self._through(state, self._dependent(inputs, weights), self._dependent.qubits)
        if self._rows is not None:
            return prepared[0] @ state
        return self._through(state, prepared, self._independent.qubits)

    def _through(
        self, state: Tensor, matrices: Sequence[Tensor], all_qubits: Sequence[tuple[int, ...]]
    ) -> Tensor:
        tensor = split_qubits(state, self._dimension)
        tensor = tensor.expand(self._samples, *tensor.shape[1:])
        for matrix, qubits in zip(matrices, all_qubits, strict=True):
            tensor = apply(tensor, matrix, qubits)
        return tensor.flatten(1, -2)


def outer(high: Tensor, low: Tensor) -> Tensor:
    """(..., P, B) and (..., Q, B) to (..., P Q, B): the product of all pairs, `high` most significant."""
    return (high.unsqueeze(-2) * low.unsqueeze(-3)).flatten(-3, -2)


def product_of_all(vectors: Tensor) -> Tensor:
    """(S, n, d, B) to (S, d^n, B), the first most significant; pairwise, so that only the last product is large."""
    count = vectors.shape[1]
    if count == 1:
        return vectors[:, 0]
    if count % 2:
        return outer(product_of_all(vectors[:, :-1]), vectors[:, -1])
    pairs = vectors.reshape(len(vectors), count // 2, 2, *vectors.shape[2:])
    return product_of_all(outer(*pairs.unbind(2)))


def split_qubits(state: Tensor, dimension: int) -> Tensor:
    """(S, d^n, B) to (S, d, ..., d, B), highest qubit first."""
    num_qubits = round(math.log(state.shape[1], dimension))
    return state.reshape(len(state), *[dimension] * num_qubits, state.shape[-1])


def apply(state: Tensor, matrix: Tensor, qubits: Sequence[int]) -> Tensor:
    """Multiply a matrix into some qubits of a state.

    Args:
        state: (S, d, ..., d, B), one axis a qubit, the highest first; it may be a strided view.
        matrix: (S or 1, B or 1, D, D).
        qubits: The k qubits it acts on, highest first.

    Returns:
        The new state, as a view whose axes lie where the product put them: each step copies once.
    """
    last = state.ndim - 1
    targets = [last - 1 - qubit for qubit in qubits]
    others = [axis for axis in range(1, last) if axis not in targets]
    samples, batch, size = len(state), state.shape[-1], matrix.shape[-1]
    rest = math.prod(state.shape[axis] for axis in others)
    if matrix.shape[1] == 1:
        order = [0, *targets, *others, last]
        moved = state.permute(order)
        product = matrix.squeeze(1) @ moved.reshape(samples, size, rest * batch)
    else:
        order = [0, last, *targets, *others]
        moved = state.permute(order)
        product = matrix @ moved.reshape(samples, batch, size, rest)
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return product.reshape(moved.shape).permute(inverse)
