"""The files of circuits/, the encodings and the readouts, against closed forms on a statevector."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from qiskit import QuantumCircuit
from qiskit.circuit.library import zz_feature_map
from qiskit.quantum_info import Operator, SparsePauliOp, Statevector

from qshield_qiskit import catalog
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.encodings import ENCODINGS, hyperspherical_angles
from qshield_qiskit.quantum.layered import layered_circuit
from qshield_qiskit.quantum.observables import observables_of
from qshield_qiskit.quantum.template import LAYER_END, CircuitTemplate

CIRCUITS = sorted(catalog.find("circuits"))


def bound(template: CircuitTemplate, inputs, weights=()) -> QuantumCircuit:
    parameters = [*template.inputs, *template.weights]
    return template.circuit.assign_parameters(dict(zip(parameters, [*inputs, *weights], strict=True)))


def probabilities(template: CircuitTemplate, inputs, weights=()) -> np.ndarray:
    return Statevector(bound(template, inputs, weights)).probabilities()


def random_angles(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-math.pi, math.pi, count)


@pytest.mark.parametrize("name", CIRCUITS)
@pytest.mark.parametrize("num_qubits", [1, 2, 4])
def test_every_circuit_builds_and_prepares_a_state(name, num_qubits):
    template = catalog.load_circuit(name, num_qubits)
    assert template.num_qubits == num_qubits
    assert template.num_outputs == 2**num_qubits
    outcome = probabilities(template, random_angles(template.num_inputs), random_angles(template.num_weights))
    assert outcome.sum() == pytest.approx(1)
    assert outcome.std() > 1e-3


@pytest.mark.parametrize("name", CIRCUITS)
def test_every_circuit_declares_the_shared_settings(name):
    template = catalog.load_circuit(
        name, 3, reps=2, encoding="angle", ansatz="none", readout=["XYZ", "ZZI"], reupload=True
    )
    counts = template.circuit.count_ops()
    assert (template.num_inputs, template.num_weights, template.num_outputs) == (3, 0, 2)
    assert counts["ry"] == 6
    assert counts[LAYER_END] == 6


# What one layer does to a basis state, worked out by hand; bits from qubit 0 to qubit 3.
BITS = {
    "none": {"1000": "1000", "0110": "0110"},
    "linear": {"1000": "1111", "0110": "0100"},
    "circular": {"1000": "0111", "0110": "0100", "1100": "1000"},
    "star": {"1000": "1111", "0110": "0110"},
    "full": {"1000": "1100", "0110": "0101", "0001": "0001"},
    "pairwise": {"1000": "1110", "0110": "0101"},
}


@pytest.mark.parametrize(
    ("name", "before", "after"), [(name, *pair) for name, pairs in BITS.items() for pair in pairs.items()]
)
def test_entangling_pattern(name, before, after):
    template = catalog.load_circuit(name, 4, encoding="angle", ansatz="none")
    outcome = probabilities(template, [math.pi * int(bit) for bit in before])
    assert outcome[int(after[::-1], 2)] == pytest.approx(1)


def test_a_ring_of_two_is_a_chain():
    ring, chain = (catalog.load_circuit(name, 2) for name in ("circular", "linear"))
    assert ring.circuit.count_ops()["cx"] == chain.circuit.count_ops()["cx"] == 1


def test_every_shipped_pattern_is_tested():
    assert set(CIRCUITS) == set(BITS)


def test_angle_encoding_has_cosines():
    angles = random_angles(3)
    template = layered_circuit("t", 3, [], encoding="angle", ansatz="none", readout="z")
    state = Statevector(bound(template, angles))
    values = [state.expectation_value(observable).real for observable in template.observables]
    assert values == pytest.approx(np.cos(angles))


def test_enhanced_angle_encoding_on_the_bloch_sphere():
    a, b, c = random_angles(3)
    template = layered_circuit("t", 1, [], encoding="enhanced_angle", ansatz="none", readout=["X", "Y", "Z"])
    state = Statevector(bound(template, [a, b, c]))
    found = [state.expectation_value(observable).real for observable in template.observables]
    x, y, z = math.cos(a) * math.sin(b), -math.sin(a), math.cos(a) * math.cos(b)  # before RZ(c)
    expected = [x * math.cos(c) - y * math.sin(c), x * math.sin(c) + y * math.cos(c), z]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("num_qubits", [1, 2, 3, 4])
def test_zz_encoding_is_one_repetition_of_qiskits_feature_map(num_qubits):
    angles = random_angles(num_qubits)
    template = layered_circuit("t", num_qubits, [], encoding="zz", ansatz="none")
    if num_qubits == 1:  # qiskit's map wants two qubits; one has no pairs
        expected = QuantumCircuit(1)
        expected.h(0)
        expected.p(2 * angles[0], 0)
    else:
        expected = zz_feature_map(num_qubits, reps=1, entanglement="full").assign_parameters(angles)
    np.testing.assert_allclose(Operator(bound(template, angles)).data, Operator(expected).data, atol=1e-12)


def test_amplitude_encoding_of_two_qubits_in_full():
    a, b, c = random_angles(3)
    template = layered_circuit("t", 2, [], encoding="amplitude", ansatz="none")
    cos, sin = (lambda x: math.cos(x / 2)), (lambda x: math.sin(x / 2))
    expected = [cos(a) * cos(b), cos(a) * sin(b), sin(a) * cos(c), sin(a) * sin(c)]
    np.testing.assert_allclose(Statevector(bound(template, [a, b, c])).data, expected, atol=1e-12)


@settings(max_examples=40)
@given(st.integers(1, 5).flatmap(lambda n: arrays(np.float64, 2**n, elements=st.floats(-1, 1, width=32))))
def test_amplitude_encoding_prepares_any_real_vector(vector):
    if np.linalg.norm(vector) < 1e-6:
        return
    template = layered_circuit("t", vector.size.bit_length() - 1, [], encoding="amplitude", ansatz="none")
    angles = hyperspherical_angles(vector)
    assert (np.abs(angles[: angles.size // 2]) <= math.pi).all()
    state = Statevector(bound(template, angles)).data
    np.testing.assert_allclose(state, vector / np.linalg.norm(vector), atol=1e-9)


@pytest.mark.parametrize("vector", [[1.0], [1, 2, 3], [0, 0], [1, math.nan], []])
def test_amplitudes_that_are_no_state(vector):
    with pytest.raises(InputError, match="finite numbers"):
        hyperspherical_angles(vector)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@pytest.mark.parametrize("reupload", [False, True])
def test_encodings_use_every_input_and_repeat_when_asked(encoding, reupload):
    template = layered_circuit("t", 3, [(0, 1)], encoding=encoding, reps=3, ansatz="none", reupload=reupload)
    once = layered_circuit("t", 3, [(0, 1)], encoding=encoding, reps=1, ansatz="none")
    assert template.num_inputs == once.num_inputs == ENCODINGS[encoding].num_inputs(3)
    layer = 1 + 3  # one CX and the marks
    encoding_gates = once.circuit.size() - layer
    assert template.circuit.size() == 3 * layer + encoding_gates * (3 if reupload else 1)


def test_rotations_have_three_weights_a_qubit_and_layer_and_reach_any_state():
    template = layered_circuit("t", 1, [], encoding="angle", reps=2)
    assert template.num_weights == 6
    a, b = random_angles(2)
    single = layered_circuit("t", 1, [], encoding="angle", readout=["X", "Y", "Z"])
    state = Statevector(bound(single, [0], [0, a, b]))
    values = [state.expectation_value(observable).real for observable in single.observables]
    assert values == pytest.approx([math.sin(a) * math.cos(b), math.sin(a) * math.sin(b), math.cos(a)])


def test_layer_marks_close_each_layer_and_do_nothing():
    template = catalog.load_circuit("full", 3, reps=2)
    names = [instruction.operation.name for instruction in template.circuit.data]
    assert names[-3:] == [LAYER_END] * 3
    bare = template.circuit.copy_empty_like()
    for instruction in template.circuit.data:
        if instruction.operation.name != LAYER_END:
            bare.append(instruction)
    angles = random_angles(template.num_inputs + template.num_weights)
    order = [*template.inputs, *template.weights]
    with_marks, without = (
        Operator(circuit.assign_parameters(dict(zip(order, angles, strict=True)))).data
        for circuit in (template.circuit, bare)
    )
    np.testing.assert_allclose(with_marks, without, atol=1e-12)


def test_readouts():
    assert observables_of("probabilities", 2) is None
    assert observables_of("z", 2) == ["IZ", "ZI"]
    assert observables_of(["XX"], 2) == ["XX"]
    template = catalog.load_circuit("none", 2, encoding="angle", ansatz="none", readout="z")
    state = Statevector(bound(template, [math.pi, 0]))  # qubit 0 turned over
    values = [state.expectation_value(observable).real for observable in template.observables]
    assert values == pytest.approx([-1, 1])
    assert template.observables == [SparsePauliOp("IZ"), SparsePauliOp("ZI")]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"encoding": "enhanced"}, "no such encoding: 'enhanced'; did you mean enhanced_angle?"),
        ({"ansatz": "rotation"}, "did you mean rotations?"),
        ({"readout": "zz"}, "no such readout: 'zz'"),
        ({"readout": ["ZZZ"]}, "observable ZZZ acts on 3 qubits, the circuit has 2"),
        ({"readout": ["AB"]}, "is no string of I, X, Y, Z"),
        ({"readout": []}, "observables is empty"),
        ({"reps": 0}, "reps=0, but it must be at least 1"),
        ({"num_qubits": 0}, "num_qubits=0, but it must be at least 1"),
    ],
)
def test_wrong_settings_of_a_circuit(options, says):
    with pytest.raises(InputError) as caught:
        catalog.load_circuit("full", **{"num_qubits": 2} | options)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
