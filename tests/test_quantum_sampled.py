"""Circuits that are run: one PUB a batch, one PUB a gradient, and figures that shot noise explains."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Delay, Gate, Parameter, ParameterExpression, ParameterVector
from qiskit.circuit.library import HamiltonianGate, RXGate, UnitaryGate, XGate, YGate
from qiskit.quantum_info import SparsePauliOp, Statevector
from random_circuits import W, X, circuits

from qshield_qiskit import QuantumLayer, catalog
from qshield_qiskit.devices.aer_shots import AerShots, grouped_by_basis
from qshield_qiskit.devices.measuring import MEASURED
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.estimates import ParameterShift, SimultaneousPerturbation
from qshield_qiskit.quantum.network import ExactQNN
from qshield_qiskit.quantum.occurrences import SHIFTED, with_parametrised_rotations
from qshield_qiskit.quantum.pub import Pub
from qshield_qiskit.quantum.template import CircuitTemplate

SAMPLED = [  # backend, settings of the layer
    ("aer_ideal", {"shots": 2048}),
    ("aer_noisy", {"shots": 2048}),
    ("paper_noise", {"shots": 2048}),
    ("fake_manila", {"shots": 2048}),
]


def two_layers(backend, template, **more):
    """The exact layer and the sampled one, of the same weights."""
    torch.manual_seed(3)
    exact_backend = catalog.load_backend("aer_noisy", template.num_qubits, calibration="fake_manila_5q")
    same_noise = backend if backend.name != "fake_manila" else exact_backend
    exact = QuantumLayer(template, same_noise)
    sampled = QuantumLayer(template, backend, initial_weights=exact.weight, **more)
    return exact.double(), sampled.double()


def entangling(observables=None):
    """Parameters that recur, in expressions, in controlled and in composite gates."""
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    inner = QuantumCircuit(2, name="inner")
    inner.rzz(w[1] * 2, 0, 1)
    inner.u(x[0], w[0], x[1], 0)
    circuit = QuantumCircuit(2)
    circuit.h([0, 1])
    circuit.crx(x[0] * x[1], 0, 1)
    circuit.append(inner.to_instruction(), [1, 0])
    circuit.cp(math.pi - w[0], 0, 1)
    circuit.ry(x[0] + w[1], 0)
    return CircuitTemplate(circuit, x, w, observables)


class Counting:
    """An executor that counts what it passes on."""

    def __init__(self, executor):
        self.executor, self.pubs = executor, []

    def run(self, pub, seed):
        self.pubs.append(pub)
        return self.executor.run(pub, seed)


@pytest.mark.parametrize("name", sorted(catalog.find("circuits")))
@pytest.mark.parametrize("backend", ["aer_ideal", "aer_noisy", "paper_noise"])
def test_the_shift_gradient_is_autograds(name, backend):
    template = catalog.load_circuit(name, 3, reps=2)
    exact, shifted = two_layers(catalog.load_backend(backend, 3), template, gradient="shift")
    x = torch.rand(4, template.num_inputs, dtype=torch.float64, requires_grad=True)
    towards = torch.rand(4, template.num_outputs, dtype=torch.float64)
    for y in (exact(x), shifted(x)):
        torch.testing.assert_close(y, exact(x), atol=1e-12, rtol=0)
    wanted = torch.autograd.grad((exact(x) * towards).sum(), [x, exact.weight])
    got = torch.autograd.grad((shifted(x) * towards).sum(), [x, shifted.weight])
    for one, other in zip(wanted, got, strict=True):
        torch.testing.assert_close(one, other, atol=1e-9, rtol=0)


@pytest.mark.parametrize("observables", [None, ["XZ", "IY"]])
def test_shared_parameters_expressions_and_composite_gates(observables):
    template = entangling(observables)
    exact, shifted = two_layers(catalog.load_backend("aer_ideal", 2), template, gradient="shift")
    x = torch.rand(3, 2, dtype=torch.float64, requires_grad=True)
    for layer in (exact, shifted):
        layer.double()
    wanted = torch.autograd.functional.jacobian(exact, x)
    torch.testing.assert_close(torch.autograd.functional.jacobian(shifted, x), wanted, atol=1e-9, rtol=0)
    of_weights = [torch.autograd.grad(layer(x).pow(2).sum(), layer.weight)[0] for layer in (exact, shifted)]
    torch.testing.assert_close(*of_weights, atol=1e-9, rtol=0)
    jacobians = [
        layer.neural_network.backward(x.detach().numpy(), exact.weight.tolist()) for layer in (exact, shifted)
    ]
    for one, other in zip(*jacobians, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-9)


@settings(max_examples=40)
@given(circuits(max_qubits=3, max_gates=8))
def test_the_shift_gradient_of_any_circuit(circuit):
    inputs, weights = ([p for p in circuit.parameters if p in vector] for vector in (X, W))
    assume(inputs)
    template = CircuitTemplate(circuit, inputs, weights)
    for step in with_parametrised_rotations(template.circuit).data:
        parametrised = any(isinstance(angle, ParameterExpression) for angle in step.operation.params)
        assert step.operation.name in SHIFTED or not parametrised
    exact, shifted = two_layers(
        catalog.load_backend("aer_ideal", template.num_qubits), template, gradient="shift"
    )
    x = torch.linspace(-1, 2, len(inputs), dtype=torch.float64)[None].requires_grad_()
    towards = torch.linspace(-1, 1, template.num_outputs, dtype=torch.float64)
    for argument in ("x", "weight")[: 1 + bool(weights)]:
        slopes = [
            torch.autograd.grad((layer(x) @ towards).sum(), x if argument == "x" else layer.weight)[0]
            for layer in (exact, shifted)
        ]
        torch.testing.assert_close(*slopes, atol=1e-7, rtol=0)


@pytest.mark.parametrize(("name", "more"), SAMPLED)
@pytest.mark.parametrize("observables", [None, ["ZI", "IZ", "ZZ"]])
def test_shots_scatter_around_the_exact_figures(name, more, observables):
    template = catalog.load_circuit("full", 2, readout=observables or "probabilities")
    options = {"resilience_level": 0} if name.startswith("fake") else {}
    exact, sampled = two_layers(catalog.load_backend(name, 2, **options), template, **more)
    torch.manual_seed(0)
    x = torch.rand(6, template.num_inputs, dtype=torch.float64) * 3
    y, p = sampled(x), exact(x)
    spread = (1 - p**2 if observables else p * (1 - p)).clamp_min(1e-4).div(more["shots"]).sqrt()
    deviations = ((y - p) / spread).detach()
    assert deviations.abs().max() < 5
    assert deviations.abs().max() > 0.2  # they are shots
    if observables is None:
        torch.testing.assert_close(y.sum(-1), torch.ones(6, dtype=torch.float64))
        torch.testing.assert_close(y * more["shots"], (y * more["shots"]).round())


def leftover_bits() -> QuantumCircuit:
    return QuantumCircuit(2, 1)


def leftover_register() -> QuantumCircuit:
    return QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, MEASURED))


def measured_elsewhere() -> QuantumCircuit:
    circuit = QuantumCircuit(2, 2)
    circuit.measure_all()
    return circuit


@pytest.mark.parametrize("make", [leftover_bits, leftover_register, measured_elsewhere])
@pytest.mark.parametrize("name", ["aer_ideal", "fake_manila"])
def test_classical_bits_that_are_left_over_do_not_swallow_the_outcomes(make, name):
    x = Parameter("x")
    turned = QuantumCircuit(2)
    turned.rx(x, 0)
    circuit = make().compose(turned, front=True)
    template = CircuitTemplate(circuit, [x])
    layer = QuantumLayer(template, catalog.load_backend(name, 2), shots=100)
    assert layer(torch.tensor([[math.pi]]))[0, 1] > 0.8


@pytest.mark.parametrize(
    "observables", [["XX", "YZ"], [SparsePauliOp(["XI", "ZZ", "II"], [0.5, -1.0, 0.25])]]
)
def test_other_bases_are_measured_as_well(observables):
    template = entangling(observables)
    exact, sampled = two_layers(catalog.load_backend("aer_ideal", 2), template, shots=20_000)
    torch.manual_seed(0)
    x = torch.rand(3, 2, dtype=torch.float64)
    torch.testing.assert_close(sampled(x), exact(x), atol=0.05, rtol=0)


def test_noise_at_the_end_of_a_circuit_comes_before_its_basis_is_changed():
    x = Parameter("x")
    circuit = QuantumCircuit(1)
    circuit.ry(x, 0)
    backend = catalog.load_backend("paper_noise", 1, channel="amplitude_damping", p=0.5)
    exact, sampled = two_layers(backend, CircuitTemplate(circuit, [x], observables=["X"]), shots=20_000)
    angle = torch.tensor([[math.pi / 2]], dtype=torch.float64)
    assert exact(angle).item() == pytest.approx(math.sqrt(0.5))
    assert sampled(angle).item() == pytest.approx(math.sqrt(0.5), abs=0.03)


def test_every_basis_is_measured_on_the_qubits_that_the_circuit_itself_was_laid_out_on():
    x, shots = ParameterVector("x", 4), 100_000
    circuit = QuantumCircuit(4)
    for qubit in range(4):
        circuit.ry(x[qubit], qubit)
    for high, low in ((1, 0), (2, 0), (3, 0), (2, 1), (3, 1), (3, 2)):
        circuit.cx(high, low)
    for qubit in range(4):
        circuit.rx(0.3 * (qubit + 1), qubit)
    circuit.cp(0.7, 0, 3)
    circuit.swap(0, 1)
    circuit.h(3)
    backend = catalog.load_backend("fake_cairo", 4)
    template = CircuitTemplate(circuit, x, observables=["IIIY", "IIIX", "XIII", "XXXX", "ZIII"])
    angles = np.random.default_rng(1).uniform(-2, 2, (3, 4))
    exact = ExactQNN(template, backend).forward(angles, np.zeros(0))
    pub = Pub(template.circuit, tuple(x), angles, tuple(template.observables), shots)
    deviations = (AerShots(backend).run(pub, 3) - exact) / np.sqrt((1 - exact**2) / shots)
    assert np.abs(deviations).max() < 5


def test_bases_group_what_can_be_measured_together():
    groups = grouped_by_basis((SparsePauliOp("ZZI"), SparsePauliOp(["IZX", "XII"], [2.0, 1.0])))
    assert [basis.to_label() for basis, _ in groups] in (
        ["ZZX", "XII"],
        ["XZX", "ZZI"],
        ["ZZI", "XZX"],
        ["XII", "ZZX"],
    )
    total = {number for _, terms in groups for number, _ in terms}
    assert total == {0, 1}


def test_observables_that_cancel_each_other_are_measured_all_the_same():
    groups = grouped_by_basis((SparsePauliOp("ZI"), SparsePauliOp("ZI", -1.0)))
    ((basis, terms),) = groups
    assert basis.to_label() == "ZI"
    assert [(number, values.tolist()) for number, values in terms] == [
        (0, [1, 1, -1, -1]),
        (1, [-1, -1, 1, 1]),
    ]


def test_a_batch_is_one_pub_and_its_gradient_another():
    template = catalog.load_circuit("full", 4, reps=2)
    layer = QuantumLayer(template, catalog.load_backend("aer_noisy", 4), shots=2048)
    network = layer.neural_network
    network.executor = counting = Counting(QuantumLayer(template, gradient="shift").neural_network.executor)
    x = torch.rand(8, template.num_inputs, requires_grad=True)
    layer(x).pow(2).sum().backward()
    assert [len(pub) for pub in counting.pubs] == [8, 8 * 2 * (template.num_inputs + template.num_weights)]
    counting.pubs.clear()
    layer(x.detach()).pow(2).sum().backward()  # nobody asks for the inputs' gradient
    assert [len(pub) for pub in counting.pubs] == [8, 8 * 2 * template.num_weights]


def test_spsa_is_unbiased_and_needs_two_sets_a_draw():
    template = catalog.load_circuit("linear", 2)
    exact, spsa = two_layers(
        catalog.load_backend("aer_ideal", 2), template, gradient="spsa", gradient_draws=3000
    )
    torch.manual_seed(0)
    x = torch.rand(2, template.num_inputs, dtype=torch.float64, requires_grad=True)
    counting = spsa.neural_network.executor = Counting(spsa.neural_network.executor)
    towards = torch.rand(2, 4, dtype=torch.float64)
    wanted = torch.autograd.grad((exact(x) * towards).sum(), [x, exact.weight])
    got = torch.autograd.grad((spsa(x) * towards).sum(), [x, spsa.weight])
    assert [len(pub) for pub in counting.pubs] == [2, 2 * 2 * 3000]
    for one, other in zip(wanted, got, strict=True):
        torch.testing.assert_close(one, other, atol=0.05, rtol=0)


@pytest.mark.parametrize("estimate", [ParameterShift(), SimultaneousPerturbation(draws=2)])
@settings(max_examples=20)
@given(batch=st.integers(1, 3), outputs=st.integers(1, 3), seed=st.integers(0, 99))
def test_estimates_are_exact_where_outcomes_are_sinusoids_of_one_angle(estimate, batch, outputs, seed):
    generator = np.random.default_rng(seed)
    at, amplitudes = generator.normal(size=(batch, 3)), generator.normal(size=(outputs,))

    def run(angles):
        return np.sin(angles[:, 1:2]) * amplitudes

    sets = estimate.angles(at, [1], np.random.default_rng(seed))
    jacobian = estimate.jacobian(run(sets), at, [1], np.random.default_rng(seed))
    slope = np.cos(at[:, 1:2]) * amplitudes  # (B, O)
    shrunk = 1.0 if isinstance(estimate, ParameterShift) else math.sin(estimate.step) / estimate.step
    np.testing.assert_allclose(jacobian[:, :, 1], slope * shrunk, atol=1e-12)
    assert not jacobian[:, :, [0, 2]].any()


@pytest.mark.parametrize("gradient", ["shift", "spsa"])
def test_an_empty_batch_has_empty_gradients_and_none_for_the_weights(gradient):
    template = catalog.load_circuit("full", 2)
    layer = QuantumLayer(template, catalog.load_backend("aer_ideal", 2), shots=10, gradient=gradient)
    x = torch.zeros(0, template.num_inputs, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.shape == (0, template.num_inputs)
    assert not layer.weight.grad.any()


@pytest.mark.parametrize("estimate", [ParameterShift(), SimultaneousPerturbation(draws=2)])
def test_an_estimate_of_no_columns_is_zero(estimate):
    at, generator = np.zeros((3, 2)), np.random.default_rng(0)
    outputs = np.zeros((len(estimate.angles(at, [], generator)), 4))
    assert estimate.jacobian(outputs, at, [], generator).tolist() == np.zeros((3, 4, 2)).tolist()


def test_the_same_seed_of_torch_gives_the_same_shots():
    template = catalog.load_circuit("star", 2)
    for name in ("aer_noisy", "fake_manila"):
        layer = QuantumLayer(template, catalog.load_backend(name, 2), shots=100)
        x = torch.rand(2, template.num_inputs)
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(layer(x))
        assert torch.equal(draws[0], draws[1])
        assert not torch.equal(draws[0], draws[2])


def test_a_backend_of_primitives_samples_by_itself():
    template = catalog.load_circuit("star", 2)
    layer = QuantumLayer(template, catalog.load_backend("fake_manila", 2))
    assert (layer.shots, layer.neural_network.gradient) == (4096, "shift")
    assert "shots=4096, gradient=shift" in repr(layer)
    assert QuantumLayer(template, catalog.load_backend("aer_noisy", 2)).shots is None


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_angle_in_which_a_parameter_cancels_reads_the_others(number):
    x = ParameterVector("x", 3)
    circuit = QuantumCircuit(1)
    circuit.ry(0 * x[0] + 0 * x[1] + 0 * x[2] + x[number], 0)
    circuit.rx(0.1 * x[0] + x[1] - x[1], 0)
    circuit.rz(x[2].sign() * x[2], 0)
    circuit.ry(x[1] * x[1] / x[1], 0)
    template = CircuitTemplate(circuit, x)
    inputs = torch.tensor([[0.3, -0.7, 1.1]], dtype=torch.float64)
    expected = Statevector(circuit.assign_parameters(inputs[0].tolist())).probabilities()
    for gradient in ("exact", "shift"):
        outputs = QuantumLayer(template, gradient=gradient)(inputs)
        np.testing.assert_allclose(outputs[0].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("more", [{"gradient": "shift"}, {"gradient": "spsa"}, {"shots": 100}])
def test_second_derivatives_of_what_is_sampled_are_refused_and_not_zero(more):
    layer = QuantumLayer(catalog.load_circuit("star", 2), catalog.load_backend("aer_ideal", 2), **more)
    inputs = torch.rand(3, layer.num_inputs, requires_grad=True)
    (slope,) = torch.autograd.grad(layer(inputs)[:, 0].sum(), inputs, create_graph=True)
    with pytest.raises(InputError, match="differentiable once; second derivatives need the exact simulator"):
        slope.square().sum().backward()


def test_runs_without_shots_sample_noise_as_they_are_told_to():
    backend = catalog.load_backend("paper_noise", 2, p=0.1)
    template, inputs = catalog.load_circuit("full", 2), torch.rand(2, 4, dtype=torch.float64)
    how = {"engine": "trajectories", "trajectories": 16, "initial_weights": np.zeros(template.num_weights)}
    inputs = torch.rand(2, template.num_inputs, dtype=torch.float64)
    exact, shift, other = (
        QuantumLayer(template, backend, **how, seed=seed, **more)(inputs)
        for seed, more in ((7, {}), (7, {"gradient": "shift"}), (8, {"gradient": "shift"}))
    )
    torch.testing.assert_close(shift, exact, atol=1e-12, rtol=0)
    assert not torch.allclose(other, exact, atol=1e-4)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"gradient": "exact", "shots": 10}, "what is sampled .10 shots. has none; try shift or spsa"),
        ({"gradient": "shfit"}, "no such gradient: 'shfit'; did you mean shift"),
    ],
)
def test_what_cannot_be_differentiated_is_refused_in_one_line(more, message):
    template = catalog.load_circuit("star", 2)
    with pytest.raises(InputError, match=message):
        QuantumLayer(template, catalog.load_backend("aer_noisy", 2), **more)
    with pytest.raises(InputError, match="cannot run them"):
        QuantumLayer(template, shots=10)


def a_pub(name="a", scale=1.0, shots=10, gate="rx"):
    angle = Parameter(name)
    circuit = QuantumCircuit(2)
    getattr(circuit, gate)(angle, 0)
    return Pub(circuit, (angle,), np.array([[0.5 * scale]]), None, shots)


def pub_of(gate):
    """A PUB of one fixed gate on all its qubits."""
    circuit = QuantumCircuit(gate.num_qubits)
    circuit.append(gate, circuit.qubits)
    return Pub(circuit, (), np.zeros((1, 0)), None, 10)


def composite(name, fixed_gate):
    inside = QuantumCircuit(2)  # Qiskit numbers its name
    inside.append(fixed_gate, [1])
    outside = QuantumCircuit(2, name=name)
    outside.append(inside.to_gate(), [0, 1])
    return outside.to_gate()


def nearly_identity(angle):
    """A 5-qubit unitary of 1,024 entries, whose text numpy would round and shorten."""
    matrix = np.eye(32, dtype=complex)
    matrix[15, 15] = np.exp(1j * angle)
    return UnitaryGate(matrix)


def bare(*params):
    """A gate of which nothing but its parameters is known."""

    class Bare(Gate):
        def validate_parameter(self, parameter):
            return parameter

    return Bare("bare", 1, list(params))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(composite("mine", XGate()), composite("mine", YGate()), id="nested"),
        pytest.param(composite("h", XGate()), composite("h", YGate()), id="named like a standard gate"),
        pytest.param(UnitaryGate(RXGate(0.3)), UnitaryGate(RXGate(0.3 + 1e-11)), id="beyond eight digits"),
        pytest.param(nearly_identity(0.1), nearly_identity(0.2), id="in the middle of a large matrix"),
        pytest.param(XGate().control(3, ctrl_state=1), XGate().control(3, ctrl_state=2), id="open controls"),
        pytest.param(
            HamiltonianGate(np.eye(2)[::-1], 0.1),
            HamiltonianGate(np.eye(2)[::-1], 0.2),
            id="numbers beside a matrix",
        ),
        pytest.param(bare(np.eye(2), 0.1), bare(np.eye(2), 0.2), id="numbers beside a matrix, no definition"),
        pytest.param(Delay(100, "ns"), Delay(100, "us"), id="units of time"),
    ],
)
def test_gates_of_one_name_are_told_apart_by_what_they_do(one, other):
    assert pub_of(one).fingerprint() != pub_of(other).fingerprint()


def test_names_that_count_circuits_do_not_make_another_question():
    first, second = (composite("mine", XGate()) for _ in range(2))
    assert first.definition.data[0].operation.name != second.definition.data[0].operation.name
    assert pub_of(first).fingerprint() == pub_of(second).fingerprint()


def test_a_fingerprint_knows_what_is_asked_and_nothing_else():
    assert a_pub().fingerprint() == a_pub("b").fingerprint()  # another parameter, the same question
    others = [a_pub(scale=1.0000001), a_pub(shots=11), a_pub(gate="ry")]
    assert len({pub.fingerprint() for pub in [a_pub(), *others]}) == 4
    assert a_pub().rows(0, 1).fingerprint() == a_pub().fingerprint()
    assert a_pub().question() == a_pub(scale=1.1).question()
    assert len({pub.question() for pub in [a_pub(), *others]}) == 3
    # Kept answers are found by it: if it must change, so must the ledger's schema.
    assert a_pub().fingerprint() == "60d8bd8c9e76d57505eec9f8800717da200a4c79601ee59bfe9f31c242e03fb9"
