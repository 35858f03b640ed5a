"""Other ways to write a circuit's CX gates: the same unitary, cheaper on a device.

A block of CX gates is a linear map of bits, and how it was written down matters to nobody but the noise. The
six CX of full entanglement on four qubits, for example, are three along a chain: x -> (x0, x0 + x1, x1 + x2,
x2 + x3).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass

from qiskit import QuantumCircuit
from qiskit.circuit import Qubit
from qiskit.circuit.library import PermutationGate
from qiskit.transpiler import PassManager
from qiskit.transpiler.passes import CollectLinearFunctions, HighLevelSynthesis, HLSConfig

from qshield_qiskit.devices.compiling.cnot_synthesis import MAX_QUBITS, CnotTable, LinearMap, cnot_table

Places = tuple[int, ...]
"""Place i holds the physical qubit on which the user's qubit i is."""


@dataclass(frozen=True)
class Spelling:
    """An equivalent circuit, and the initial layout it was written for, if any."""

    circuit: QuantumCircuit
    layout: Places | None = None


def spellings(
    circuit: QuantumCircuit, costs: Mapping[tuple[int, int], float], num_physical: int
) -> list[Spelling]:
    """Write a circuit in several ways, as it is first.

    Args:
        circuit: Standard gates, final measurements.
        costs: What a two-qubit gate on each coupled pair of physical qubits costs.
        num_physical: Number of physical qubits.
    """
    found = [Spelling(circuit)]
    for other in _by_elimination(circuit):
        if all(other != spelling.circuit for spelling in found):
            found.append(Spelling(other))
    exact = _by_search(circuit, costs, num_physical)
    return found if exact is None else [*found, exact]


def _by_elimination(circuit: QuantumCircuit) -> list[QuantumCircuit]:
    """Rewrite every CX block by Gaussian elimination, in its four variants.

    References:
        Patel, Markov, Hayes, "Optimal synthesis of linear reversible circuits", Quantum Information and
        Computation 8, 282 (2008).
    """
    written = []
    for inverted, transposed in itertools.product((False, True), repeat=2):
        options = {"use_inverted": inverted, "use_transposed": transposed}
        synthesis = HighLevelSynthesis(HLSConfig(linear_function=[("pmh", options)]))
        written.append(PassManager([CollectLinearFunctions(), synthesis]).run(circuit))
    return written


def _by_search(
    circuit: QuantumCircuit, costs: Mapping[tuple[int, int], float], num_physical: int
) -> Spelling | None:
    """Rewrite all CX blocks at least total cost, free to let qubits change places from block to block.

    Dynamic programming over the places of the qubits after each block; within a block, the cheapest CX
    circuit is looked up in a table of all linear maps. The last change of places is undone by a permutation
    at the end, which the transpiler takes as a relabelling.

    Returns:
        None where this does not apply: more than `MAX_QUBITS` qubits, spare qubits, or other two-qubit gates
        than CX.
    """
    if circuit.num_qubits != num_physical or not 2 <= num_physical <= MAX_QUBITS:
        return None
    # one block may leave some qubits out, but is never torn in two
    collected = PassManager([CollectLinearFunctions(split_blocks=False, min_block_size=1)]).run(circuit)
    index = {qubit: i for i, qubit in enumerate(collected.qubits)}
    blocks = []
    for instruction in collected.data:
        if instruction.operation.name == "linear_function":
            qubits = [index[qubit] for qubit in instruction.qubits]
            blocks.append(_linear_map(instruction.operation.linear, qubits, num_physical))
        elif len(instruction.qubits) > 1 and instruction.operation.name != "barrier":
            return None
    if not blocks:
        return None
    table = cnot_table(num_physical, tuple(sorted(costs.items())))
    places = _cheapest_places(blocks, table, num_physical)
    return None if places is None else Spelling(_written(collected, blocks, places, table), places[0])


def _cheapest_places(blocks: list[LinearMap], table: CnotTable, num_physical: int) -> list[Places] | None:
    """Choose the places before, between and after the blocks."""
    every = list(itertools.permutations(range(num_physical)))
    cost = dict.fromkeys(every, 0.0)
    steps: list[dict[Places, Places]] = []
    for block in blocks:
        came_from, total = {}, {}
        for after in every:
            options = {before: cost[before] + table.cost(_placed(block, before, after)) for before in every}
            came_from[after] = min(options, key=lambda before: (options[before], before))
            total[after] = options[came_from[after]]
        cost = total
        steps.append(came_from)
    last = min(every, key=lambda places: (cost[places], places))
    if math.isinf(cost[last]):
        return None
    places = [last]
    for came_from in reversed(steps):
        places.append(came_from[places[-1]])
    return places[::-1]


def _written(
    collected: QuantumCircuit, blocks: list[LinearMap], places: list[Places], table: CnotTable
) -> QuantumCircuit:
    """Write the circuit with its blocks replaced, on wires that the initial layout gives to qubits."""
    wire = {physical: i for i, physical in enumerate(places[0])}
    index = {qubit: i for i, qubit in enumerate(collected.qubits)}
    written, now, done = collected.copy_empty_like(), places[0], 0

    def moved(qubit: Qubit) -> int:
        return wire[now[index[qubit]]]

    for instruction in collected.data:
        if instruction.operation.name == "linear_function":
            before, now = now, places[done + 1]
            for control, target in table.gates(_placed(blocks[done], before, now)):
                written.cx(wire[control], wire[target])
            done += 1
        elif instruction.operation.name != "measure":
            written.append(instruction.operation, [moved(qubit) for qubit in instruction.qubits])
    written.append(PermutationGate([wire[physical] for physical in now]), written.qubits)
    for instruction in collected.data:
        if instruction.operation.name == "measure":
            written.append(instruction)
    return written


def _linear_map(matrix: list[list[bool]], qubits: list[int], num_qubits: int) -> LinearMap:
    """Extend a block's matrix on some qubits to all of them."""
    rows = [1 << i for i in range(num_qubits)]
    for i, row in enumerate(matrix):
        rows[qubits[i]] = sum(1 << qubits[j] for j, entry in enumerate(row) if entry)
    return tuple(rows)


def _placed(block: LinearMap, before: Places, after: Places) -> LinearMap:
    """The map on physical qubits, when the user's qubits lie at `before` and shall end at `after`."""
    rows = [0] * len(block)
    for i, row in enumerate(block):
        rows[after[i]] = sum(1 << physical for j, physical in enumerate(before) if row >> j & 1)
    return tuple(rows)
