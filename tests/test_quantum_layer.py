"""The layer as users meet it: a TorchConnector, beside qiskit-machine-learning's own networks on the same circuit."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from oracle import aer_outputs
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN, SamplerQNN

from qshield_qiskit import catalog
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.layer import QuantumLayer
from qshield_qiskit.quantum.network import ExactQNN
from qshield_qiskit.quantum.template import CircuitTemplate

NUM_QUBITS = 2
OBSERVABLES = [SparsePauliOp("ZI"), SparsePauliOp("XX")]


def small_template(observables=None) -> CircuitTemplate:
    x, w = ParameterVector("x", 2), ParameterVector("w", 2)
    circuit = QuantumCircuit(NUM_QUBITS)
    for qubit in range(NUM_QUBITS):
        circuit.ry(x[qubit], qubit)
        circuit.rx(w[qubit], qubit)
    circuit.cx(0, 1)
    return CircuitTemplate(circuit, x, w, observables)


def estimator_network(template: CircuitTemplate) -> EstimatorQNN:
    estimator = StatevectorEstimator()
    return EstimatorQNN(
        circuit=template.circuit,
        observables=template.observables,
        input_params=template.inputs,
        weight_params=template.weights,
        estimator=estimator,
        gradient=ParamShiftEstimatorGradient(estimator),
        default_precision=0.0,
    )


@pytest.fixture
def angles() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    return random.uniform(-2, 2, (3, 2)), random.uniform(-2, 2, 2)


def test_equals_estimator_qnn_and_its_jacobians(angles):
    template = small_template(OBSERVABLES)
    ours, theirs = ExactQNN(template), estimator_network(template)
    theirs.input_gradients = True
    np.testing.assert_allclose(ours.forward(*angles), theirs.forward(*angles), atol=1e-9)
    for mine, stock in zip(ours.backward(*angles), theirs.backward(*angles), strict=True):
        np.testing.assert_allclose(mine, stock, atol=1e-9)


def test_equals_sampler_qnn_within_its_shots(angles):
    template, shots = small_template(), 40_000
    theirs = SamplerQNN(
        circuit=template.circuit.measure_all(inplace=False),
        input_params=template.inputs,
        weight_params=template.weights,
        sampler=StatevectorSampler(default_shots=shots, seed=7),
    )
    np.testing.assert_allclose(
        ExactQNN(template).forward(*angles), theirs.forward(*angles), atol=5 * np.sqrt(0.25 / shots)
    )


def test_jacobians_have_the_shapes_that_neural_network_promises(angles):
    network = ExactQNN(small_template())
    to_inputs, to_weights = network.backward(*angles)
    assert (to_inputs.shape, to_weights.shape) == ((3, 4, 2), (3, 4, 2))
    single = network.backward(angles[0][0], angles[1])
    np.testing.assert_allclose(single[0][0], to_inputs[0], atol=1e-12)
    network.input_gradients = False
    assert network.backward(*angles)[0] is None


def test_any_network_of_the_ecosystem_can_be_the_layer(angles):
    template = small_template(OBSERVABLES)
    stock = QuantumLayer(estimator_network(template), initial_weights=angles[1])
    ours = QuantumLayer(template, initial_weights=angles[1])
    x = torch.tensor(angles[0], dtype=torch.float32, requires_grad=True)
    gradients = []
    for layer in (stock, ours):
        assert isinstance(layer, TorchConnector)
        loss = layer(x).square().sum()
        gradients.append(torch.autograd.grad(loss, [x, layer.weight]))
    for mine, theirs in zip(*gradients, strict=True):
        assert mine.abs().max() > 0.01  # the stock default would give no input gradient at all
        torch.testing.assert_close(mine, theirs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(2,), (3, 2), (2, 3, 2)])
@pytest.mark.parametrize("stock", [False, True])
def test_leading_axes_are_kept(shape, stock):
    template = small_template(OBSERVABLES)
    layer = QuantumLayer(estimator_network(template) if stock else template)
    assert layer(torch.zeros(shape)).shape == (*shape[:-1], 2)


def test_the_state_dict_has_one_key_and_survives_every_move():
    backend = catalog.load_backend("aer_noisy", NUM_QUBITS)
    layer = QuantumLayer(small_template(), backend)
    assert list(layer.state_dict()) == ["weight"]
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    x = torch.rand(3, 2)
    expected = layer(x)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x), expected)
        with torch.no_grad():
            twin.weight.add_(1.0)
        assert not torch.allclose(twin(x), expected)
    assert torch.equal(layer(x), expected)
    other = QuantumLayer(small_template(), backend)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), expected)
    assert layer.double()(x.double()).dtype == torch.float64
    assert layer.weight.dtype == torch.float64
    torch.testing.assert_close(layer.float()(x), expected, atol=1e-6, rtol=0)


def test_training_moves_the_weights_to_where_they_should_be():
    layer = QuantumLayer(small_template(["IZ"]), initial_weights=np.array([0.3, 0.0]))
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(150):
        optimiser.zero_grad()
        loss = layer(torch.zeros(1, 2)).sum()
        loss.backward()
        optimiser.step()
    # <Z> of qubit 0 at x = 0 is cos(w0): its least value is -1, at pi.
    assert loss.item() == pytest.approx(-1.0, abs=1e-3)
    assert abs(layer.weight[0].item()) == pytest.approx(np.pi, abs=0.05)


def test_the_same_generator_state_gives_the_same_initial_weights():
    draws = []
    for _ in range(2):
        torch.manual_seed(11)
        draws.append(QuantumLayer(small_template()).weight.detach().clone())
    assert torch.equal(*draws)
    assert draws[0].abs().max() <= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_moves_to_cuda():
    layer = QuantumLayer(small_template(), catalog.load_backend("aer_noisy", NUM_QUBITS))
    x = torch.rand(3, 2)
    expected = layer(x)
    torch.testing.assert_close(layer.cuda()(x.cuda()).cpu(), expected, atol=1e-6, rtol=0)


def test_what_cannot_be_is_refused_in_one_line():
    template = small_template(OBSERVABLES)
    with pytest.raises(InputError, match="leave the backend out"):
        QuantumLayer(estimator_network(template), catalog.load_backend("aer_ideal", 2))
    with pytest.raises(InputError, match="shots=100"):
        QuantumLayer(template, shots=100)
    with pytest.raises(InputError, match=r"expected \(2,\)"):
        QuantumLayer(template, initial_weights=np.zeros(3))
    for layer in (QuantumLayer(template), QuantumLayer(estimator_network(template))):
        with pytest.raises(InputError, match=r"expected \(..., \d\) angles"):
            layer(torch.zeros(3, 5))
        with pytest.raises(InputError, match=r"expected floating-point angles"):
            layer(torch.zeros(3, layer.num_inputs, dtype=torch.int64))
        with pytest.raises(InputError, match="angles an image, and was given nothing"):
            layer()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"shots": 0}, "shots=0: expected a whole number from 1 on"),
        ({"shots": 1.5}, "shots=1.5: expected a whole"),
        ({"gradient": "spsa", "gradient_draws": 0}, "gradient_draws=0: expected a whole"),
        ({"engine": "trajectories", "trajectories": -1}, "trajectories=-1: expected a whole"),
        ({"seed": -1}, "seed=-1: expected a whole number from 0 on"),
        ({"engine": "statevectr", "shots": 10}, "no such engine: 'statevectr'; did you mean statevector"),
    ],
)
def test_numbers_out_of_range(more, says):
    backend = catalog.load_backend("aer_ideal", 2)
    with pytest.raises(InputError, match=says):
        QuantumLayer(small_template(OBSERVABLES), backend, **more)


def test_a_network_without_inputs_needs_none():
    theta = Parameter("theta")
    circuit = QuantumCircuit(1)
    circuit.ry(theta, 0)
    network = EstimatorQNN(circuit=circuit, weight_params=[theta])
    outputs = QuantumLayer(network, initial_weights=np.array([0.3]))()
    torch.testing.assert_close(outputs.detach(), torch.tensor([0.3]).cos(), atol=1e-6, rtol=0)


def test_a_layer_on_a_backend_meets_its_noise():
    template = catalog.load_circuit("circular", 3)
    backend = catalog.load_backend("aer_noisy", 3, calibration="fake_manila_5q")
    layer = QuantumLayer(template, backend).double()
    x = torch.linspace(-2, 2, layer.num_inputs, dtype=torch.float64)
    names = [*template.inputs, *template.weights]
    values = dict(zip(names, [*x.tolist(), *layer.weight.tolist()], strict=True))
    expected = aer_outputs(backend.transpile(template.circuit), values, backend.noise_model, num_qubits=3)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, atol=1e-9)
