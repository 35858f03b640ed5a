"""Grouping a list of operations into few, larger ones: the compiler's pure part.

Three ideas, in the order in which they are applied:

* Until its first multi-qubit gate every qubit stands alone. What happens up to its last input-dependent rotation there
  is its *prefix*: a chain on one local vector, tiny even for a batch.
* Behind the prefixes, neighbouring operations on the same qubits are merged into *blocks*. A fixed operation may join
  any block; one that depends on weights joins blocks that do not depend on inputs; input-dependent rotations keep
  blocks of their own, since those have a matrix for every image.
* The blocks are scheduled, from the end of the circuit, into *segments*: input-dependent blocks first, then all
  that can wait until they are done. A segment's second part is the same for every image and may be fused into one
  matrix.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from qiskit.circuit import Parameter

from qshield_qiskit.quantum.lowering import LoweredCircuit, Operation, Rotation


@dataclass(eq=False)
class Block:
    """Operations that act on `qubits` only (highest first), applied as one matrix."""

    qubits: tuple[int, ...]
    operations: list[Operation]
    dependent: bool

    @property
    def fixed(self) -> bool:
        """Whether the block's matrix depends on nothing at all."""
        return not any(isinstance(operation, Rotation) for operation in self.operations)


@dataclass(frozen=True)
class Segment:
    """Input-dependent blocks, then blocks that are the same for every image."""

    dependent: tuple[Block, ...]
    independent: tuple[Block, ...]

    @property
    def fixed(self) -> bool:
        """Whether the second part depends on no weight either."""
        return all(block.fixed for block in self.independent)


@dataclass(frozen=True)
class GroupedCircuit:
    """The compiled structure: a chain for each qubit, then segments."""

    prefixes: tuple[Block, ...]  # one a qubit, in the order of the qubits
    segments: tuple[Segment, ...] = field(default=())


def group(circuit: LoweredCircuit, inputs: Collection[Parameter]) -> GroupedCircuit:
    """Group a lowered circuit.

    Args:
        circuit: The operations in order.
        inputs: The parameters that differ from image to image.

    Returns:
        Prefixes and segments that, applied in order, are the circuit.
    """
    names = frozenset(inputs)
    prefixes, rest = _split_prefixes(circuit, names)
    return GroupedCircuit(prefixes, _schedule(_merge(rest, names)))


def _depends(operation: Operation, inputs: frozenset[Parameter]) -> bool:
    return isinstance(operation, Rotation) and not inputs.isdisjoint(operation.parameters)


def _split_prefixes(
    circuit: LoweredCircuit, inputs: frozenset[Parameter]
) -> tuple[tuple[Block, ...], list[Operation]]:
    alone: dict[int, list[int]] = {qubit: [] for qubit in range(circuit.num_qubits)}
    entangled: set[int] = set()
    for position, operation in enumerate(circuit.operations):
        if len(operation.qubits) > 1:
            entangled.update(operation.qubits)
        elif operation.qubits[0] not in entangled:
            alone[operation.qubits[0]].append(position)
    prefixes, taken = [], set()
    for qubit, positions in alone.items():
        last = max((p for p in positions if _depends(circuit.operations[p], inputs)), default=-1)
        mine = [p for p in positions if p <= last]
        prefixes.append(Block((qubit,), [circuit.operations[p] for p in mine], dependent=bool(mine)))
        taken.update(mine)
    return tuple(prefixes), [operation for p, operation in enumerate(circuit.operations) if p not in taken]


def _merge(operations: Iterable[Operation], inputs: frozenset[Parameter]) -> list[Block]:
    blocks: list[Block] = []
    latest: dict[int, Block] = {}  # the block that acted last on a qubit
    for operation in operations:
        qubits, dependent = set(operation.qubits), _depends(operation, inputs)
        before = list(dict.fromkeys(latest[qubit] for qubit in operation.qubits if qubit in latest))
        if len(before) == 1 and qubits <= {q for q in before[0].qubits if latest.get(q) is before[0]}:
            block = before[0]
            if (
                not isinstance(operation, Rotation)
                or (dependent and block.dependent and qubits == set(block.qubits))
                or (not dependent and not block.dependent)
            ):
                block.operations.append(operation)
                continue
        swallowed: list[Operation] = []
        for block in before:
            ends_here = set(block.qubits) <= qubits and all(latest[q] is block for q in block.qubits)
            if ends_here and (block.fixed or not (dependent or block.dependent)):
                swallowed += block.operations
                blocks.remove(block)
        block = Block(tuple(sorted(qubits, reverse=True)), [*swallowed, operation], dependent)
        blocks.append(block)
        latest.update(dict.fromkeys(qubits, block))
    return blocks


def _schedule(blocks: Sequence[Block]) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    pending = list(blocks)
    while pending:
        independent, pending = _take_from_end(pending, dependent=False)
        dependent, pending = _take_from_end(pending, dependent=True)
        segments.append(Segment(tuple(dependent), tuple(independent)))
    return tuple(reversed(segments))


def _take_from_end(blocks: Sequence[Block], *, dependent: bool) -> tuple[list[Block], list[Block]]:
    """Split off the blocks of one kind that nothing of the other kind follows on their qubits."""
    taken: list[Block] = []
    left: list[Block] = []
    held: set[int] = set()
    for block in reversed(blocks):
        if block.dependent == dependent and held.isdisjoint(block.qubits):
            taken.append(block)
        else:
            left.append(block)
            held.update(block.qubits)
    return taken[::-1], left[::-1]
