"""Cheapest CX circuits, and circuits written anew with them: the same unitary, fewer gates."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.quantum_info import Operator

from qshield_qiskit import catalog
from qshield_qiskit.devices.compiling.cnot_synthesis import CnotTable
from qshield_qiskit.devices.compiling.respelling import spellings

CHAIN = {(0, 1): 1.0, (1, 2): 1.0, (2, 3): 1.0}


def linear_map(num_qubits, gates):
    rows = [1 << i for i in range(num_qubits)]
    for control, target in gates:
        rows[target] ^= rows[control]
    return tuple(rows)


@pytest.fixture(scope="module")
def table():
    return CnotTable(4, CHAIN)


def test_the_table_holds_every_invertible_map(table):
    assert len(table._cost) == (16 - 1) * (16 - 2) * (16 - 4) * (16 - 8)


@given(gates=st.lists(st.sampled_from(list(itertools.permutations(range(4), 2))), max_size=12))
@settings(max_examples=100)
def test_a_circuit_from_the_table_computes_the_map_on_coupled_pairs(gates, table):
    wanted = linear_map(4, gates)
    found = table.gates(wanted)
    assert linear_map(4, found) == wanted
    assert all(tuple(sorted(gate)) in CHAIN for gate in found)
    assert table.cost(wanted) == len(found)


@pytest.mark.parametrize(("a", "b", "gates"), [(0, 1, 1), (0, 2, 4), (0, 3, 8)])
def test_a_cx_over_a_distance_costs_what_is_known(a, b, gates, table):
    assert len(table.gates(linear_map(4, [(a, b)]))) == gates


def test_costs_decide_between_two_ways_round():
    ring = {(0, 1): 0.1, (1, 2): 0.1, (2, 3): 1.0, (0, 3): 1.0}
    assert {tuple(sorted(g)) for g in CnotTable(4, ring).gates(linear_map(4, [(0, 2)]))} == {(0, 1), (1, 2)}


def test_what_is_not_connected_costs_infinitely_much():
    assert CnotTable(3, {(0, 1): 1.0}).cost(linear_map(3, [(0, 2)])) == np.inf


def bound(template, seed=0):
    circuit = template.circuit
    plain = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.operation.name != "layer_end":
            plain.append(instruction)
    return plain.assign_parameters(np.random.default_rng(seed).uniform(-np.pi, np.pi, plain.num_parameters))


@pytest.mark.parametrize("name", catalog.find("circuits"))
@pytest.mark.parametrize("ansatz", ["rotations", "none"])
@pytest.mark.parametrize("num_qubits", [2, 3, 4, 5])
def test_every_spelling_is_the_same_unitary(name, ansatz, num_qubits):
    circuit = bound(catalog.load_circuit(name, num_qubits, reps=2, ansatz=ansatz))
    costs = {(i, i + 1): 1.0 for i in range(num_qubits - 1)}
    for spelling in spellings(circuit, costs, num_qubits):
        assert Operator(spelling.circuit).equiv(Operator(circuit))


@pytest.mark.parametrize(
    ("name", "gates"), [("full", 3), ("circular", 6), ("star", 4), ("pairwise", 3), ("linear", 3)]
)
def test_one_layer_on_a_chain_takes_as_few_gates_as_possible(name, gates):
    """The figures come from trying every circuit and every way to place the qubits."""
    circuit = bound(catalog.load_circuit(name, 4))
    exact = spellings(circuit, CHAIN, 4)[-1]
    assert exact.layout is not None
    assert exact.circuit.count_ops()["cx"] == gates
    for instruction in exact.circuit.data:
        if instruction.operation.name == "cx":
            pair = sorted(exact.layout[exact.circuit.find_bit(qubit).index] for qubit in instruction.qubits)
            assert tuple(pair) in CHAIN


def test_other_gates_between_qubits_are_left_alone():
    circuit = QuantumCircuit(3)
    circuit.cx(0, 1)
    circuit.rzz(0.3, 1, 2)
    circuit.cx(0, 1)
    found = spellings(circuit, {(0, 1): 1.0, (1, 2): 1.0}, 3)
    assert all(spelling.layout is None for spelling in found)
    assert all(Operator(spelling.circuit).equiv(Operator(circuit)) for spelling in found)


def test_measurements_keep_their_bits():
    circuit = QuantumCircuit(3, 3)
    circuit.x(0)
    for pair in [(0, 1), (0, 2), (1, 2)]:
        circuit.cx(*pair)
    circuit.measure([2, 0, 1], [0, 1, 2])
    for spelling in spellings(circuit, {(0, 1): 1.0, (1, 2): 1.0}, 3):
        measured = {
            spelling.circuit.find_bit(i.qubits[0]).index: spelling.circuit.find_bit(i.clbits[0]).index
            for i in spelling.circuit.data
            if i.operation.name == "measure"
        }
        assert measured == {2: 0, 0: 1, 1: 2}
        assert Operator(spelling.circuit.remove_final_measurements(inplace=False)).equiv(
            Operator(circuit.remove_final_measurements(inplace=False))
        )
