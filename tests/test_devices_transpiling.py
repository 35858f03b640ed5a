"""The transpiled circuit computes what the user's circuit computes, in the user's own parameters."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Gate, ParameterExpression, ParameterVector
from qiskit.circuit.library import QFTGate, zz_feature_map
from qiskit.quantum_info import Statevector

from qshield_qiskit import catalog
from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.occurrences import separate_occurrences
from qshield_qiskit.quantum.template import LAYER_END, LayerEnd

CALIBRATIONS = sorted(calibrations.find())
CIRCUITS = sorted(catalog.find("circuits"))
NO_DEVICE = ["aer_ideal", "paper_noise"]

_LOADED: dict[tuple[str, int], Backend] = {}


def backend(name, num_qubits):
    """A backend by its name, or the noisy one of a calibration; each is made once."""
    if (name, num_qubits) not in _LOADED:
        options = {"calibration": name} if name in CALIBRATIONS else {}
        found = catalog.load_backend("aer_noisy" if options else name, num_qubits, **options)
        _LOADED[name, num_qubits] = found
    return _LOADED[name, num_qubits]


def positions(circuit, num_qubits):
    return circuit.layout.final_index_layout() if circuit.layout else list(range(num_qubits))


def outcome(circuit, values, num_qubits):
    """Outcome probabilities of the user's qubits, without noise."""
    circuit = circuit.remove_final_measurements(inplace=False)
    bound = circuit.assign_parameters({p: values[p] for p in circuit.parameters})
    return Statevector(bound).probabilities(positions(circuit, num_qubits))


def random_values(circuit, seed=7):
    angles = np.random.default_rng(seed).uniform(-np.pi, np.pi, circuit.num_parameters)
    return dict(zip(circuit.parameters, angles, strict=True))


def assert_equivalent(transpiled, circuit):
    values = random_values(circuit)
    own = circuit.remove_final_measurements(inplace=False)
    wanted = Statevector(own.assign_parameters({p: values[p] for p in own.parameters})).probabilities()
    np.testing.assert_allclose(outcome(transpiled, values, circuit.num_qubits), wanted, atol=1e-9)


def assert_inputs_come_first(transpiled, inputs):
    """No gate that depends on an input follows a two-qubit gate; the simulator counts on it to be fast."""
    entangled = set()
    for instruction in transpiled.data:
        if len(instruction.qubits) == 2:
            entangled.update(instruction.qubits)
        for angle in instruction.operation.params:
            if isinstance(angle, ParameterExpression) and set(inputs) & angle.parameters:
                assert instruction.qubits[0] not in entangled


@pytest.mark.parametrize("place", CALIBRATIONS + NO_DEVICE)
@pytest.mark.parametrize("name", CIRCUITS)
def test_every_template_on_every_calibration(name, place):
    for ansatz in ("rotations", "none"):
        template = catalog.load_circuit(name, 4, reps=2, ansatz=ansatz)
        transpiled = backend(place, 4).transpile(template.circuit)
        assert set(transpiled.parameters) <= set(template.circuit.parameters)
        assert_equivalent(transpiled, template.circuit)
        assert_inputs_come_first(transpiled, template.inputs)


@pytest.mark.parametrize("num_qubits", [1, 2, 3, 5, 8])
def test_every_size(num_qubits):
    template = catalog.load_circuit("circular", num_qubits)
    place = backend("fake_boston_8q", num_qubits)
    transpiled = place.transpile(template.circuit)
    assert transpiled.num_qubits == num_qubits
    assert_equivalent(transpiled, template.circuit)


@pytest.mark.parametrize("encoding", ["angle", "enhanced_angle", "zz", "amplitude"])
@pytest.mark.parametrize("place", ["fake_sherbrooke_7q", "aer_ideal"])
def test_every_encoding(encoding, place):
    template = catalog.load_circuit("full", 3, reps=2, encoding=encoding, reupload=True)
    assert_equivalent(backend(place, 3).transpile(template.circuit), template.circuit)


def test_a_circuit_smaller_than_its_backend():
    template = catalog.load_circuit("circular", 3, reps=2)
    transpiled = backend("fake_torino_6q", 6).transpile(template.circuit)
    assert_equivalent(transpiled, template.circuit)
    used = {q for i in transpiled.data if i.operation.name != "delay" for q in i.qubits}
    assert {q for i in transpiled.data for q in i.qubits} == used


@pytest.mark.parametrize("place", [*CALIBRATIONS, *NO_DEVICE])
def test_expressions_come_back_whole(place):
    x, w = ParameterVector("x", 3), ParameterVector("w", 2)
    circuit = QuantumCircuit(3)
    for i in range(3):
        circuit.h(i)
        circuit.p(2 * x[i], i)
    circuit.cx(0, 1)
    circuit.p(2 * (math.pi - x[0]) * (math.pi - x[1]), 1)
    circuit.cx(0, 1)
    circuit.crz(w[0] * x[2], 1, 2)
    circuit.u(x[0], w[1].sin(), x[0] ** 2 / 3, 2)
    circuit.ryy(w[0] - w[0] / 2, 0, 2)
    circuit.rz(x[1], 0)
    circuit.rz(-x[1], 0)
    transpiled = backend(place, 3).transpile(circuit)
    assert set(transpiled.parameters) <= {*x, *w}
    assert_equivalent(transpiled, circuit)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["rx", "rz", "ry", "h", "cx", "rzz", "swap"]),
            st.permutations(range(3)),
            st.integers(0, 3),
        ),
        max_size=14,
    )
)
@settings(max_examples=40)
def test_random_circuits(instructions):
    x = ParameterVector("x", 4)
    circuit = QuantumCircuit(3)
    for name, qubits, k in instructions:
        angle = [x[k] * x[0] if k % 2 else 2 * x[k]] if name in {"rx", "ry", "rz", "rzz"} else []
        getattr(circuit, name)(*angle, *qubits[: 2 if name in {"cx", "rzz", "swap"} else 1])
    assert_equivalent(backend("fake_fez_4q", 3).transpile(circuit), circuit)


def test_each_angle_of_each_gate_gets_a_parameter_of_its_own():
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.rx(x[0], 0)
    circuit.rx(x[0], 1)
    circuit.u(x[0], 0.5, x[1] * 2, 0)
    separated, expressions = separate_occurrences(circuit)
    assert separated.num_parameters == len(expressions) == 4
    assert list(expressions.values()) == [x[0], x[0], x[0], 2 * x[1]]
    assert separated.assign_parameters(expressions) == circuit
    assert circuit.data[0].operation.params == [x[0]]  # the user's own is untouched


@pytest.mark.parametrize("place", ["fake_boston_8q", "fake_sherbrooke_7q", *NO_DEVICE])
def test_the_same_circuit_gives_the_same_answer(place):
    template = catalog.load_circuit("circular", 4, reps=2)
    options = {} if place in NO_DEVICE else {"calibration": place}
    name = place if place in NO_DEVICE else "aer_noisy"
    first, second = (catalog.load_backend(name, 4, **options) for _ in range(2))
    transpiled = first.transpile(template.circuit)
    assert transpiled == second.transpile(template.circuit)
    again = first.transpile(template.circuit)
    assert again == transpiled
    assert positions(again, 4) == positions(transpiled, 4)
    again.x(0)
    assert first.transpile(template.circuit) == transpiled


def test_equal_circuits_in_other_parameters_are_not_confused():
    place = backend("fake_manila_5q", 2)
    for _ in range(2):
        template = catalog.load_circuit("full", 2)
        assert set(place.transpile(template.circuit).parameters) <= set(template.circuit.parameters)


@pytest.mark.parametrize("place", ["fake_boston_8q", "fake_manila_5q", "aer_ideal"])
def test_marks_are_dropped_and_block_nothing(place):
    circuit, marked = QuantumCircuit(2), QuantumCircuit(2)
    for c in (circuit, marked):
        c.ry(0.3, 0)
        c.cx(0, 1)
        if c is marked:
            c.append(LayerEnd(), [0])
            c.append(LayerEnd(), [1])
        c.cx(0, 1)
    plain, dropped = (backend(place, 2).transpile(c) for c in (circuit, marked))
    assert [i.operation for i in dropped.data] == [i.operation for i in plain.data]


def test_paper_noise_keeps_gates_and_marks_in_place():
    template = catalog.load_circuit("full", 4, reps=2, ansatz="none")
    kept = backend("paper_noise", 4).transpile(template.circuit)
    for qubit, own in zip(kept.qubits, template.circuit.qubits, strict=True):
        there = [i.operation.label or i.operation.name for i in kept.data if qubit in i.qubits]
        assert there == [i.operation.name for i in template.circuit.data if own in i.qubits]
    assert kept.count_ops()["cx"] == 12
    assert sum(i.operation.label == LAYER_END for i in kept.data) == 8


def test_a_circuit_without_marks_gets_one_layer_before_its_measurements():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.measure_all()
    names = [i.operation.label or i.operation.name for i in backend("paper_noise", 2).transpile(circuit).data]
    assert names == ["h", "barrier", LAYER_END, LAYER_END, "measure", "measure"]


@pytest.mark.parametrize("place", ["fake_boston_8q", "fake_sherbrooke_7q", "fake_montreal_4q", *NO_DEVICE])
def test_final_measurements_are_fine(place):
    template = catalog.load_circuit("star", 3)
    circuit = template.circuit.copy()
    circuit.measure_all()
    transpiled = backend(place, 3).transpile(circuit)
    assert transpiled.count_ops()["measure"] == 3
    assert_equivalent(transpiled, circuit)
    where = {
        transpiled.find_bit(i.clbits[0]).index: transpiled.find_bit(i.qubits[0]).index
        for i in transpiled.data
        if i.clbits
    }
    assert [where[i] for i in range(3)] == positions(transpiled, 3)


@pytest.mark.parametrize("place", ["fake_fez_4q", "aer_ideal"])
def test_composite_gates_are_opened(place):
    x = ParameterVector("x", 3)
    inner = zz_feature_map(3, reps=1).to_gate()
    circuit = QuantumCircuit(3)
    circuit.append(inner, range(3))
    circuit.append(QFTGate(3), range(3))
    circuit.unitary(np.array([[0, 1], [1, 0]]), [2])
    circuit = circuit.assign_parameters(dict(zip(circuit.parameters, x, strict=True)))
    assert_equivalent(backend(place, 3).transpile(circuit), circuit)


def _resets():
    circuit = QuantumCircuit(2, name="mine")
    circuit.reset(0)
    return circuit


def _initialises():
    circuit = QuantumCircuit(2, name="mine")
    circuit.initialize([1, 0, 0, 0])
    return circuit


def _goes_on():
    circuit = QuantumCircuit(2, 1, name="mine")
    circuit.measure(0, 0)
    circuit.cx(0, 1)
    return circuit


def _branches():
    circuit = QuantumCircuit(2, name="mine")
    bits = ClassicalRegister(1)
    circuit.add_register(bits)
    circuit.measure(0, 0)
    with circuit.if_test((bits, 1)):
        circuit.x(1)
    return circuit


def _unknown():
    circuit = QuantumCircuit(2, name="mine")
    circuit.append(Gate("riddle", 2, []), [0, 1])
    return circuit


@pytest.mark.parametrize("place", ["fake_boston_8q", *NO_DEVICE])
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_resets, "resets a qubit"),
        (_initialises, "resets a qubit"),
        (_goes_on, r"goes on \(cx\) after a measurement"),
        (_branches, r"branches or loops \(if_else\)"),
        (_unknown, "riddle"),
        (
            lambda: QuantumCircuit(3, name="mine"),
            "has 3 qubits, but this .* was made for 2; load it with num_qubits=3",
        ),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(make, says, place):
    with pytest.raises(InputError, match=f"circuit 'mine' .*{says}") as refused:
        backend(place, 2).transpile(make())
    assert "\n" not in str(refused.value)


def test_metadata_of_any_kind_is_no_obstacle():
    circuit = QuantumCircuit(1, metadata={"anything": object()})
    circuit.h(0)
    assert backend("fake_fez_4q", 1).transpile(circuit).num_qubits == 1


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_only_gates_and_pairs_of_the_device_are_used(name):
    place = backend(name, 4)
    assert isinstance(place.calibration, Calibration)
    assert place.target is not None
    transpiled = place.transpile(catalog.load_circuit("full", 4, reps=2).circuit)
    for instruction in transpiled.data:
        qubits = tuple(transpiled.find_bit(qubit).index for qubit in instruction.qubits)
        assert place.target.instruction_supported(instruction.operation.name, qubits)
