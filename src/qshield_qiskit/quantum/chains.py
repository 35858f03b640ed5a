"""A block's operations as one product of matrices whose only unknowns are cosines and sines.

A rotation is A0 + cos A1 + sin A2 (see `representations`). All fixed operations between two rotations are multiplied
into these three matrices when the circuit is compiled, so a block with r rotations costs r small products, however
many noisy gates it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qiskit.circuit import ParameterExpression

from qshield_qiskit.quantum.blocks import Block
from qshield_qiskit.quantum.lowering import Rotation
from qshield_qiskit.quantum.representations import Array, Representation


@dataclass(frozen=True)
class Chain:
    """The product steps[r-1] ... steps[0] start, with steps[i] = M[i, 0] + cos(angle_i) M[i, 1] + sin(angle_i) M[i, 2].

    `start` is (S, D, D) and each M (S, 3, D, D), with S the number of trajectories (or 1) and D the block's dimension.
    """

    start: Array
    steps: tuple[Array, ...]
    angles: tuple[ParameterExpression, ...]


def chain(block: Block, representation: Representation) -> Chain:
    """Multiply out all that is fixed in a block.

    Args:
        block: The operations and the qubits they act on.
        representation: How states are held.

    Returns:
        The block's chain; a fixed block has a start and no steps.
    """
    start = np.eye(representation.dimension ** len(block.qubits))[None]
    steps: list[Array] = []
    angles: list[ParameterExpression] = []
    for operation in block.operations:
        if isinstance(operation, Rotation):
            matrices = representation.rotation(operation.pauli)
            steps.append(_embed(matrices, operation.qubits, block.qubits, representation.dimension)[None])
            angles.append(operation.angle)
            continue
        matrix = _embed(
            representation.fixed(operation), operation.qubits, block.qubits, representation.dimension
        )
        if steps:
            steps[-1] = matrix[:, None] @ steps[-1]
        else:
            start = matrix @ start
    return Chain(start, tuple(steps), tuple(angles))


def stack(chains: Sequence[Chain]) -> tuple[Array, list[ParameterExpression | None]]:
    """Pad chains of equal dimension to one length of at least 1, their starts multiplied into their first steps.

    Args:
        chains: R chains.

    Returns:
        The steps as one array (S, R, L, 3, D, D) and the R * L angles in that order, None where a step is padding.
    """
    length = max(1, *(len(each.steps) for each in chains))
    identity = np.zeros((1, 3, *chains[0].start.shape[-2:]))
    identity[:, 0] = np.eye(identity.shape[-1])
    samples = max(step.shape[0] for each in chains for step in (*each.steps, each.start))
    rows, angles = [], list[ParameterExpression | None]()
    for each in chains:
        steps = [*each.steps, *[identity] * (length - len(each.steps))]
        steps[0] = steps[0] @ each.start[:, None]
        rows.append(np.stack([np.broadcast_to(step, (samples, *step.shape[1:])) for step in steps], axis=1))
        angles += [*each.angles, *[None] * (length - len(each.angles))]
    return np.stack(rows, axis=1), angles


def group_steps(steps: Array, zero: Array) -> list[tuple[int, Array]]:
    """Contract consecutive steps of a stack, so that a group of them acts as one matrix on an outer product.

    With t_i = (1, cos, sin) of a step's angle and v the vector before the group, the one behind is G (t_2 x t_1 x v).

    Args:
        steps: (S, R, L, 3, d, d) as from `stack`.
        zero: The vector that the chains start from, (d, 1).

    Returns:
        (number of steps, G) for each group; G is (S, R, d, 27) for the first three steps, which start from `zero`, and
        (S, R, d, 9 d) for every two after them.
    """
    groups, length = [], steps.shape[2]
    for first in (0, *range(3, length, 2)):
        width = min(3 if first == 0 else 2, length - first)
        matrix = steps[:, :, first] @ zero if first == 0 else steps[:, :, first]  # (S, R, 3, d, 1 or d)
        for i in range(first + 1, first + width):
            matrix = np.einsum("srkab,srjbc->srkjac", steps[:, :, i], matrix)
            matrix = matrix.reshape(*matrix.shape[:2], -1, *matrix.shape[-2:])
        groups.append((width, matrix.swapaxes(2, 3).reshape(*matrix.shape[:2], matrix.shape[3], -1)))
    return groups


def _embed(matrix: Array, qubits: Sequence[int], onto: Sequence[int], dimension: int) -> Array:
    """Widen matrices (..., d^k, d^k) on `qubits` (least significant first) to `onto` (most significant first)."""
    others = [qubit for qubit in onto if qubit not in qubits]
    order = [*reversed(qubits), *others]
    wide = np.kron(matrix, np.eye(dimension ** len(others)))
    axes = [order.index(qubit) for qubit in onto]
    lead, width = matrix.ndim - 2, len(onto)
    tensor = wide.reshape(*wide.shape[:lead], *[dimension] * (2 * width))
    tensor = tensor.transpose(*range(lead), *[lead + a for a in axes], *[lead + width + a for a in axes])
    return tensor.reshape(wide.shape)
