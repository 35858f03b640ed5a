"""CircuitTemplate: any circuit of one's own goes in, what is no template is refused, bytes bring it back."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from qiskit import QuantumCircuit, qpy, transpile
from qiskit.circuit import AnnotatedOperation, ControlModifier, Gate, Operation, Parameter, ParameterVector
from qiskit.circuit.library import RVGate, RXGate, RYGate
from qiskit.quantum_info import Clifford, Operator, Pauli, SparsePauliOp, Statevector

from qshield_qiskit import QuantumLayer, catalog
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.drawing import draw_figure
from qshield_qiskit.quantum.template import LAYER_END, CircuitTemplate, mark_layer_end

X = ParameterVector("x", 12)
THETA = Parameter("θ")


def own_circuit() -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="own")
    for index, angle in enumerate(X):
        circuit.ry(2 * angle, index % 2)
    circuit.rzz(THETA * X[0], 0, 1)
    return circuit


def test_a_circuit_of_ones_own():
    template = CircuitTemplate(own_circuit(), inputs=X, weights=[THETA])
    assert (template.num_qubits, template.num_inputs, template.num_weights, template.num_outputs) == (
        2,
        12,
        1,
        4,
    )
    assert template.inputs == list(X)  # and not x[0], x[10], x[11], x[1], as names would sort
    assert template.name == "own"
    assert CircuitTemplate(own_circuit(), X, [THETA], name="mine").name == "mine"


def test_measurements_at_the_end_are_dropped_and_the_users_circuit_is_left_alone():
    circuit = own_circuit()
    circuit.measure_all()
    template = CircuitTemplate(circuit, X, [THETA])
    assert "measure" not in template.circuit.count_ops()
    assert template.circuit.num_clbits == 0
    assert circuit.count_ops()["measure"] == 2
    circuit.x(0)
    assert "x" not in template.circuit.count_ops()


def test_bits_that_nothing_is_measured_into_are_dropped_too():
    circuit = QuantumCircuit(2, 2)
    circuit.compose(own_circuit(), inplace=True)
    circuit.measure_all()
    assert CircuitTemplate(circuit, X, [THETA]).circuit.num_clbits == 0


def test_a_circuit_that_was_transpiled_means_its_own_qubits():
    circuit = QuantumCircuit(3)
    circuit.ry(X[0], 0)
    circuit.ry(0.4, 1)
    circuit.cx(0, 2)
    circuit.cx(0, 1)
    routed = transpile(circuit, coupling_map=[[0, 1], [1, 2]], initial_layout=[2, 0, 1], seed_transpiler=1)
    assert routed.layout.final_index_layout() not in ([0, 1, 2], [2, 0, 1])
    template = CircuitTemplate(routed, X[:1], observables=["IIZ", "IZI", "ZII"])
    angles = torch.tensor([[1.0]])
    here, there = (
        QuantumLayer(template, backend) for backend in (None, catalog.load_backend("aer_ideal", 3))
    )
    torch.testing.assert_close(here(angles), there(angles))


@pytest.mark.parametrize("observable", ["ZI", Pauli("ZI"), SparsePauliOp(["ZI", "XX"], [0.5, -0.25])])
def test_observables_of_any_form(observable):
    template = CircuitTemplate(own_circuit(), X, [THETA], observables=[observable, "YY"])
    assert template.num_outputs == 2
    assert template.observables == [SparsePauliOp(observable), SparsePauliOp("YY")]
    assert CircuitTemplate(own_circuit(), X, [THETA], observables=observable).num_outputs == 1


def test_gates_that_are_unitary_in_unusual_ways():
    circuit = own_circuit()
    circuit.append(Clifford(QuantumCircuit(2)), [0, 1])
    circuit.barrier()
    circuit.delay(100, 0)
    inner = QuantumCircuit(2)
    inner.h(0)
    circuit.append(inner.to_instruction(), [0, 1])
    mark_layer_end(circuit)
    circuit.append(Gate("mystery", 1, []), [0])  # what it is, the simulator will ask
    assert CircuitTemplate(circuit, X, [THETA]).num_qubits == 2


def abstract() -> QuantumCircuit:
    """Operations that are no instructions, on the surface and inside of a composite one."""
    flipped = QuantumCircuit(2)
    flipped.h(0)
    flipped.cx(0, 1)
    circuit = QuantumCircuit(3, name="abstract")
    circuit.append(RXGate(X[0]).control(1, annotated=True), [0, 1])
    inner = QuantumCircuit(3)
    inner.append(Clifford(flipped), [0, 1])
    inner.append(RYGate(0.3).control(1, annotated=True), [2, 1])
    circuit.append(inner.to_instruction(), [2, 1, 0])
    circuit.append(Clifford(flipped), [2, 0])
    return circuit


@pytest.mark.parametrize("more", [{}, {"gradient": "shift"}, {"backend": "aer_ideal", "shots": 20_000}])
def test_abstract_operations_run_like_the_gates_that_they_are(more):
    same = QuantumCircuit(3)
    same.crx(X[0], 0, 1)
    same.h(2)
    same.cx(2, 1)
    same.cry(0.3, 0, 1)
    same.h(2)
    same.cx(2, 0)
    angles = torch.tensor([[1.0]])
    if "backend" in more:
        more = {**more, "backend": catalog.load_backend(more["backend"], 3)}
    outcomes = QuantumLayer(CircuitTemplate(abstract(), X[:1]), **more)(angles)
    exact = QuantumLayer(CircuitTemplate(same, X[:1]))(angles)
    torch.testing.assert_close(outcomes, exact, atol=0.02 if "shots" in more else 1e-6, rtol=0)


def test_abstract_operations_are_drawn():
    assert draw_figure(CircuitTemplate(abstract(), X[:1])).axes


def measured_midway() -> QuantumCircuit:
    circuit = own_circuit()
    circuit.add_register(*QuantumCircuit(0, 1).cregs)
    circuit.measure(0, 0)
    circuit.h(0)
    return circuit


def reset_midway() -> QuantumCircuit:
    circuit = own_circuit()
    circuit.reset(0)
    return circuit


def initialized_inside() -> QuantumCircuit:
    circuit = own_circuit()
    inner = QuantumCircuit(2)
    inner.initialize([0, 1], 0)
    circuit.append(inner.to_instruction(), [0, 1])
    return circuit


def branching() -> QuantumCircuit:
    circuit = measured_midway()
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(0)
    return circuit


def unheard_of() -> QuantumCircuit:
    class Nothing(Operation):
        name, num_qubits, num_clbits = "nothing", 1, 0

        def copy(self, name=None):
            return self

    circuit = own_circuit()
    circuit.append(Nothing(), [0])
    return circuit


def controls_a_mystery() -> QuantumCircuit:
    circuit = own_circuit()
    circuit.append(AnnotatedOperation(Gate("mystery", 1, []), ControlModifier(1)), [0, 1])
    return circuit


@pytest.mark.parametrize(
    ("make", "inputs", "weights", "observables", "says"),
    [
        (own_circuit, X[:11], [THETA], None, "neither input nor weight: x[11]"),
        (own_circuit, X, [], None, "neither input nor weight: θ"),
        (own_circuit, X, [THETA, Parameter("q")], None, "not in the circuit: q"),
        (own_circuit, [*X, X[3]], [THETA], None, "named twice: x[3]"),
        (own_circuit, X, [THETA, X[3]], None, "named twice: x[3]"),
        (own_circuit, [], [THETA, *X], None, "has no inputs"),
        (own_circuit, ["x"], [THETA], None, "not 'x'"),
        (own_circuit, X, [THETA], ["ZZZ"], "acts on 3 qubits, the circuit has 2"),
        (own_circuit, X, [THETA], ["ZQ"], "is no string of I, X, Y, Z"),
        (own_circuit, X, [THETA], [1j * SparsePauliOp("ZZ")], "is not Hermitian"),
        (own_circuit, X, [THETA], [], "observables is empty"),
        (measured_midway, X, [THETA], None, "has a measure before its end"),
        (reset_midway, X, [THETA], None, "has a reset before its end"),
        (initialized_inside, X, [THETA], None, "has a reset before its end"),
        (branching, X, [THETA], None, "before its end"),
        (lambda: QuantumCircuit(0), X, [], None, "has no qubits"),
        (own_circuit, X, [THETA], 5, "observable 5 is no string"),
        (own_circuit, X, [THETA], [float("nan") * SparsePauliOp("ZZ")], "is not Hermitian"),
        (unheard_of, X, [THETA], None, "has a nothing before its end"),
        (controls_a_mystery, X, [THETA], None, "has an operation that gates cannot express"),
    ],
)
def test_what_is_no_template(make, inputs, weights, observables, says):
    with pytest.raises(InputError) as caught:
        CircuitTemplate(make(), inputs, weights, observables)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", sorted(catalog.find("circuits")))
def test_bytes_bring_every_circuit_back(name):
    observables = [SparsePauliOp(["ZII", "XXY"], [0.1, -1 / 3]), "ZZZ"]
    made = catalog.load_circuit(name, 3, reps=2, encoding="zz", readout="probabilities")
    template = CircuitTemplate(made.circuit, made.inputs, made.weights, observables, name=name)
    back = CircuitTemplate.from_bytes(template.to_bytes())
    assert (back.name, back.inputs, back.weights) == (template.name, template.inputs, template.weights)
    assert back.observables == template.observables  # to the last bit of the coefficients
    assert back.circuit.count_ops()[LAYER_END] == 6
    order = [*made.inputs, *made.weights]
    values = dict(zip(order, np.linspace(-1, 2, len(order)), strict=True))
    before, after = (Operator(each.circuit.assign_parameters(values)).data for each in (template, back))
    np.testing.assert_allclose(after, before, atol=1e-12)


def test_probabilities_survive_as_probabilities():
    template = CircuitTemplate(own_circuit(), X, [THETA])
    assert CircuitTemplate.from_bytes(template.to_bytes()).observables is None


def test_other_bytes_are_refused(tmp_path):
    with (tmp_path / "plain.qpy").open("wb") as file:
        qpy.dump(own_circuit(), file)
    good = CircuitTemplate(own_circuit(), X, [THETA]).to_bytes()
    for data in (b"", b"no circuit at all", (tmp_path / "plain.qpy").read_bytes(), good[: len(good) // 2]):
        with pytest.raises(InputError, match="no circuit template"):
            CircuitTemplate.from_bytes(data)


def test_bytes_of_another_layout_are_refused():
    circuit = own_circuit()
    for layout in ({}, {"inputs": ["nope"], "weights": [], "observables": None, "name": "a"}):
        circuit.metadata = {"qshield": layout}
        buffer = io.BytesIO()
        qpy.dump(circuit, buffer)
        with pytest.raises(InputError, match="no circuit template"):
            CircuitTemplate.from_bytes(buffer.getvalue())


def test_a_parameter_by_itself_is_a_list_of_one():
    x, w = Parameter("x"), Parameter("w")
    circuit = QuantumCircuit(1)
    circuit.ry(x, 0)
    assert (CircuitTemplate(circuit, x).inputs, CircuitTemplate(circuit, x, None).weights) == ([x], [])
    circuit.rx(w, 0)
    assert CircuitTemplate(circuit, x, w).weights == [w]


@pytest.mark.parametrize("name", ["p", "rx", "u", "u2", "id", "barrier", "measure", "delay", LAYER_END])
@pytest.mark.parametrize("deep", [False, True])
def test_a_users_block_may_be_called_like_a_gate_that_is_known(name, deep):
    x, w = Parameter("x"), Parameter("w")
    block = QuantumCircuit(1, name=name)
    block.ry(w, 0)
    block.rx(0.2, 0)
    if deep:
        outer = QuantumCircuit(1, name="outer")
        outer.append(block.to_gate(), [0])
        block = outer
    circuit = QuantumCircuit(2)
    circuit.ry(x, 0)
    circuit.append(block.to_gate(), [1])
    circuit.cx(0, 1)
    template = CircuitTemplate(circuit, x, w)
    plain = QuantumCircuit(2)
    plain.ry(0.7, 0)
    plain.ry(0.4, 1)
    plain.rx(0.2, 1)
    plain.cx(0, 1)
    expected = Statevector(plain).probabilities()
    for backend in (None, catalog.load_backend("aer_ideal", 2)):
        layer = QuantumLayer(template, backend, initial_weights=np.array([0.4]))
        outputs = layer(torch.tensor([[0.7]], dtype=torch.float64))[0].detach().numpy()
        np.testing.assert_allclose(outputs, expected, atol=1e-7)


def test_gates_that_nobody_can_run_are_refused_in_one_line():
    x = Parameter("x")
    for gate in (Gate("mystery", 1, []), Gate("mystery", 1, [x]), RVGate(x, 0.1, 0.2)):
        circuit = QuantumCircuit(1)
        circuit.ry(x, 0)
        circuit.append(gate, [0])
        template = CircuitTemplate(circuit, x)
        for more in ({}, {"gradient": "shift"}):
            with pytest.raises(InputError, match=f"gate '{gate.name}' has n") as caught:
                QuantumLayer(template, **more)(torch.zeros(1, 1))
            assert "\n" not in str(caught.value)


def test_copies_and_pickles():
    template = CircuitTemplate(own_circuit(), X, [THETA], observables=["ZZ"])
    for twin in (copy.deepcopy(template), pickle.loads(pickle.dumps(template))):
        assert twin.inputs == template.inputs
        assert twin.circuit == template.circuit
        assert twin.observables == template.observables
