"""The simulator against its oracle, Aer's density matrix, and its gradients against finite differences."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import aer_outputs
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.noise import (
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
)
from random_circuits import NUM_INPUTS, NUM_WEIGHTS, W, X, circuits, noise_models
from torch.autograd import forward_ad, gradcheck, gradgradcheck

from qshield_qiskit import catalog
from qshield_qiskit.devices import calibrations
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.simulator import ExactSimulator

TEMPLATES = sorted(catalog.find("circuits"))
CALIBRATIONS = sorted(calibrations.find())
OBSERVABLES = [SparsePauliOp("ZI"), SparsePauliOp.from_list([("XY", 0.5), ("ZZ", -1.5), ("II", 0.25)])]

both_precisions = pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 1e-6)]
)


def random_values(
    simulator: ExactSimulator, seed: int = 0, batch: int = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(batch, len(simulator.inputs), generator=generator, dtype=torch.float64) * 6 - 3
    w = torch.rand(len(simulator.weights), generator=generator, dtype=torch.float64) * 6 - 3
    return x, w


def largest_error(simulator, circuit, noise_model, x, w, num_qubits=None, dtype=torch.float64) -> float:
    outputs = simulator(x.to(dtype), w.to(dtype)).double().numpy()
    names = [*simulator.inputs, *simulator.weights]
    observables = None if simulator.observables is None else list(simulator.observables)
    expected = [
        aer_outputs(
            circuit, dict(zip(names, [*row, *w.tolist()], strict=True)), noise_model, observables, num_qubits
        )
        for row in x.tolist()
    ]
    return float(np.abs(outputs - np.array(expected)).max())


@pytest.mark.parametrize("calibration", CALIBRATIONS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_on_every_calibration_equals_aer(name, calibration):
    template = catalog.load_circuit(name, 4, reps=2)
    backend = catalog.load_backend("aer_noisy", 4, calibration=calibration)
    circuit, noise = backend.transpile(template.circuit), backend.noise_model
    simulator = ExactSimulator(circuit, template.inputs, template.weights, None, noise, num_qubits=4)
    x, w = random_values(simulator)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-6)):
        assert largest_error(simulator, circuit, noise, x, w, 4, dtype) < tolerance


@pytest.mark.parametrize("encoding", ["angle", "enhanced_angle", "zz", "amplitude"])
@pytest.mark.parametrize("reupload", [False, True])
@pytest.mark.parametrize("backend_name", ["aer_ideal", "aer_noisy", "paper_noise"])
def test_every_encoding_with_and_without_reuploading_equals_aer(encoding, reupload, backend_name):
    template = catalog.load_circuit("circular", 3, reps=2, encoding=encoding, reupload=reupload)
    backend = catalog.load_backend(backend_name, 3)
    circuit, noise = backend.transpile(template.circuit), backend.noise_model
    simulator = ExactSimulator(circuit, template.inputs, template.weights, None, noise, num_qubits=3)
    assert largest_error(simulator, circuit, noise, *random_values(simulator), 3) < 1e-9


@pytest.mark.parametrize("measured", [False, True])
def test_an_error_of_measuring_comes_before_the_outcome_whether_or_not_the_circuit_measures(measured):
    angle = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(angle[0], 0)
    circuit.ry(angle[1], 1)
    if measured:
        circuit.measure_all()
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(pauli_error([("X", 0.1), ("I", 0.9)]), "measure")
    noise.add_readout_error(ReadoutError([[0.95, 0.05], [0.2, 0.8]]), [1])
    simulator = ExactSimulator(circuit, angle, ParameterVector("w", 0), None, noise)
    x = torch.tensor([[0.4, 2.0]], dtype=torch.float64)
    one = torch.sin(x / 2).square()[0] * 0.8 + 0.1  # flipped one time in ten
    first, second = one[0], one[1] * 0.8 + (1 - one[1]) * 0.05
    expected = torch.stack(
        [(1 - first) * (1 - second), first * (1 - second), (1 - first) * second, first * second]
    )
    torch.testing.assert_close(simulator(x, torch.zeros(0, dtype=torch.float64))[0], expected)


def test_a_circuit_that_only_encodes_is_not_spread_over_all_paulis():
    template = catalog.load_circuit("none", 11, ansatz="none")
    simulator = ExactSimulator(template.circuit, template.inputs, template.weights, None, None)
    x = torch.rand(2, template.num_inputs, dtype=torch.float64)
    assert simulator(x, torch.zeros(0, dtype=torch.float64)).sum(1).tolist() == pytest.approx([1, 1])


@both_precisions
@settings(max_examples=100)
@given(circuit=circuits(), noise=st.none() | noise_models(), seed=st.integers(0, 1000), data=st.data())
def test_random_circuits_under_random_noise_equal_aer(dtype, tolerance, circuit, noise, seed, data):
    circuit = catalog.load_backend("aer_ideal", circuit.num_qubits).transpile(circuit)
    engines = ["auto", "pauli_transfer"]
    if noise is None:
        engines.append("statevector")
    simulator = ExactSimulator(circuit, X, W, None, noise, engine=data.draw(st.sampled_from(engines)))
    # Angles such as (pi - x)(pi - y) reach 36 radians, where float32 itself is coarse: stay near 0 there.
    x, w = random_values(simulator, seed, batch=2)
    if dtype == torch.float32:
        x, w = x.float().double() / 4, w.float().double() / 4
    assert largest_error(simulator, circuit, noise, x, w, dtype=dtype) < tolerance


@settings(max_examples=10)
@given(circuit=circuits(max_qubits=3, max_gates=8), seed=st.integers(0, 1000))
def test_random_circuits_on_a_device_equal_aer(circuit, seed):
    backend = catalog.load_backend("aer_noisy", circuit.num_qubits)
    isa = backend.transpile(circuit)
    simulator = ExactSimulator(isa, X, W, None, backend.noise_model, num_qubits=circuit.num_qubits)
    x, w = random_values(simulator, seed, batch=2)
    assert largest_error(simulator, isa, backend.noise_model, x, w, circuit.num_qubits) < 1e-9


@settings(max_examples=25)
@given(
    circuit=circuits(max_qubits=3, max_gates=8), noise=st.none() | noise_models(), seed=st.integers(0, 1000)
)
def test_gradients_of_random_circuits_equal_finite_differences(circuit, noise, seed):
    circuit = catalog.load_backend("aer_ideal", circuit.num_qubits).transpile(circuit)
    simulator = ExactSimulator(circuit, X, W, None, noise)
    x, w = random_values(simulator, seed, batch=1)
    assert gradcheck(simulator, (x.requires_grad_(), w.requires_grad_()), atol=1e-5)


@pytest.mark.parametrize("engine", ["pauli_transfer", "statevector"])
def test_expectation_values_equal_aer(engine):
    circuit = QuantumCircuit(2)
    circuit.rx(X[0], 0)
    circuit.ry(X[1] + W[0], 1)
    circuit.cx(0, 1)
    circuit.rz(X[2], 1)
    circuit.ry(W[1], 0)
    simulator = ExactSimulator(circuit, X, W, OBSERVABLES, engine=engine)
    assert largest_error(simulator, circuit, None, *random_values(simulator)) < 1e-12


@pytest.mark.parametrize("trajectories", [False, True])
def test_misread_expectation_values_follow_from_misread_probabilities(trajectories):
    circuit = QuantumCircuit(2)
    circuit.ry(X[0], 0)
    circuit.cx(0, 1)
    noise = NoiseModel()
    noise.add_readout_error(ReadoutError([[0.9, 0.1], [0.3, 0.7]]), [0])
    noise.add_readout_error(ReadoutError([[0.8, 0.2], [0.05, 0.95]]), [1])
    options = {"engine": "trajectories", "trajectories": 2} if trajectories else {}
    observables = [SparsePauliOp("ZI"), SparsePauliOp("IZ"), SparsePauliOp("ZZ")]
    expectation = ExactSimulator(circuit, X[:1], [], observables, noise, **options)
    probabilities = ExactSimulator(circuit, X[:1], [], None, noise, **options)
    x = torch.linspace(-3, 3, 5, dtype=torch.float64)[:, None]
    signs = torch.tensor(
        [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64
    )  # ZI, IZ, ZZ of 00, 01, ...
    nothing = torch.zeros(0, dtype=torch.float64)
    torch.testing.assert_close(expectation(x, nothing), probabilities(x, nothing) @ signs, atol=1e-12, rtol=0)


@pytest.mark.parametrize("backend_name", ["aer_ideal", "aer_noisy", "paper_noise"])
@pytest.mark.parametrize("reupload", [False, True])
@pytest.mark.parametrize("observables", ["probabilities", "z"])
def test_first_and_second_derivatives(backend_name, reupload, observables):
    template = catalog.load_circuit(
        "linear", 2, reps=2, encoding="angle", reupload=reupload, readout=observables
    )
    backend = catalog.load_backend(backend_name, 2)
    circuit = backend.transpile(template.circuit)
    simulator = ExactSimulator(
        circuit, template.inputs, template.weights, template.observables, backend.noise_model, num_qubits=2
    )
    x, w = (value.requires_grad_() for value in random_values(simulator, batch=2))
    assert gradcheck(simulator, (x, w))
    assert gradgradcheck(simulator, (x, w))


@pytest.mark.parametrize("engine", ["pauli_transfer", "statevector", "trajectories"])
def test_torch_func_transforms_agree_with_autograd(engine):
    template = catalog.load_circuit("full", 3)
    simulator = ExactSimulator(
        template.circuit, template.inputs, template.weights, engine=engine, trajectories=3
    )
    x, w = random_values(simulator)
    expected = torch.autograd.functional.jacobian(lambda x: simulator(x, w).sum(0), x).transpose(
        0, 1
    )  # (B, O, I)
    jacobian = torch.func.vmap(torch.func.jacrev(simulator), in_dims=(0, None))(x, w)
    torch.testing.assert_close(jacobian, expected, atol=1e-12, rtol=0)
    torch.testing.assert_close(
        torch.func.vmap(simulator, in_dims=(0, None))(x, w), simulator(x, w), atol=1e-12, rtol=0
    )
    many = torch.stack([w, w + 1])
    by_weights = torch.func.vmap(simulator, in_dims=(None, 0))(x, many)
    torch.testing.assert_close(by_weights[1], simulator(x, w + 1), atol=1e-12, rtol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("backend_name", ["aer_ideal", "aer_noisy"])
def test_cuda_equals_cpu(backend_name):
    template = catalog.load_circuit("full", 4, reupload=True)
    backend = catalog.load_backend(backend_name, 4)
    simulator = ExactSimulator(
        backend.transpile(template.circuit),
        template.inputs,
        template.weights,
        None,
        backend.noise_model,
        num_qubits=4,
    )
    x, w = random_values(simulator)
    on_device = simulator(x.cuda().requires_grad_(), w.cuda())
    assert on_device.is_cuda
    torch.testing.assert_close(on_device.detach().cpu(), simulator(x, w), atol=1e-12, rtol=0)


def test_shapes_dtype_and_one_image_at_a_time():
    template = catalog.load_circuit("star", 2)
    simulator = ExactSimulator(template.circuit, template.inputs, template.weights)
    x, w = random_values(simulator, batch=6)
    together = simulator(x, w)
    assert simulator(x.reshape(2, 3, -1), w).shape == (2, 3, 4)
    torch.testing.assert_close(simulator(x[4], w), together[4], atol=1e-14, rtol=0)
    assert simulator(x[:0], w).shape == (0, 4)
    assert simulator(x.bfloat16(), w).dtype == torch.bfloat16
    assert simulator(x.float(), w).dtype == torch.float32


def test_kept_matrices_follow_the_weights_values():
    template = catalog.load_circuit("full", 2)
    simulator = ExactSimulator(template.circuit, template.inputs, template.weights)
    x, w = random_values(simulator)
    before = simulator(x, w)
    w.data.add_(0.5)  # an edit that no version counter sees
    after = simulator(x, w)
    fresh = ExactSimulator(template.circuit, template.inputs, template.weights)(x, w)
    assert not torch.allclose(before, after)
    assert torch.equal(after, fresh)
    with torch.inference_mode():
        simulator(x, w + 1)
    trained = (w + 1).requires_grad_()
    simulator(x.requires_grad_(), trained).square().sum().backward()
    assert trained.grad is not None and trained.grad.abs().max() > 0
    assert x.grad is not None and x.grad.abs().max() > 0


@pytest.mark.parametrize("seen_before", [False, True])
def test_forward_mode_follows_the_weights_whatever_is_kept(seen_before):
    template = catalog.load_circuit("full", 2)
    simulator = ExactSimulator(template.circuit, template.inputs, template.weights)
    x, w = random_values(simulator)
    tangent = torch.linspace(-1, 1, len(w), dtype=torch.float64)
    expected = torch.autograd.functional.jacobian(lambda w: simulator(x, w), w) @ tangent
    if seen_before:
        simulator(x, w)
    for sign in (1, -1):
        with forward_ad.dual_level():
            outputs = simulator(x, forward_ad.make_dual(w, sign * tangent))
            torch.testing.assert_close(forward_ad.unpack_dual(outputs).tangent, sign * expected)


def test_strong_relaxation_leaves_no_trajectory_dead():
    circuit = QuantumCircuit(1)
    x = Parameter("x")
    circuit.ry(x, 0)
    for _ in range(60):
        circuit.id(0)
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(amplitude_damping_error(0.5), ["id"])
    sampled = ExactSimulator(circuit, [x], [], None, noise, engine="trajectories", trajectories=16)
    outputs = sampled(torch.zeros(1, 1, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
    torch.testing.assert_close(outputs, torch.tensor([[1.0, 0.0]], dtype=torch.float64), atol=1e-3, rtol=0)


def test_copies_and_pickles_give_the_same():
    template = catalog.load_circuit("circular", 3)
    simulator = ExactSimulator(template.circuit, template.inputs, template.weights)
    x, w = random_values(simulator)
    expected = simulator(x, w)
    assert torch.equal(copy.deepcopy(simulator)(x, w), expected)
    assert torch.equal(pickle.loads(pickle.dumps(simulator))(x, w), expected)


def test_trajectories_converge_to_the_exact_channel_and_are_reproducible():
    template = catalog.load_circuit("linear", 3)
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(amplitude_damping_error(0.1), ["ry", "rx"])
    noise.add_all_qubit_quantum_error(depolarizing_error(0.1, 2), "cx")
    parts = (template.circuit, template.inputs, template.weights, None, noise)
    exact, x_w = ExactSimulator(*parts), random_values(ExactSimulator(*parts))
    errors = []
    for count in (50, 5000):
        sampled = ExactSimulator(*parts, engine="trajectories", trajectories=count, seed=3)
        outputs = sampled(*x_w)
        assert torch.equal(
            outputs, ExactSimulator(*parts, engine="trajectories", trajectories=count, seed=3)(*x_w)
        )
        torch.testing.assert_close(outputs.sum(-1), torch.ones(3, dtype=torch.float64))
        errors.append((outputs - exact(*x_w)).abs().max())
    assert errors[1] < 0.02
    assert errors[1] < errors[0]
    few = ExactSimulator(*parts, engine="trajectories", trajectories=4, seed=1)
    assert gradcheck(
        few, tuple(value[:1].requires_grad_() if value.ndim == 2 else value.requires_grad_() for value in x_w)
    )


def test_more_than_eight_noisy_qubits_are_sampled_and_noiseless_ones_are_not():
    x = ParameterVector("x", 9)
    circuit = QuantumCircuit(9)
    for qubit in range(9):
        circuit.ry(x[qubit], qubit)
    for qubit in range(8):
        circuit.cx(qubit, qubit + 1)
    observables = [SparsePauliOp("I" * 8 + "Z"), SparsePauliOp("Z" + "I" * 8)]
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.05, 2), "cx")
    sampled = ExactSimulator(circuit, x, [], observables, noise, trajectories=2000)
    exact = ExactSimulator(circuit, x, [], observables)
    assert (sampled.plan.engine, exact.plan.engine) == ("trajectories", "statevector")
    angles, nothing = torch.full((1, 9), 0.4, dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    # Closed form: Z of the last qubit is the product of all cosines; each CX damps every Pauli it meets by 0.95.
    expected = torch.tensor([[np.cos(0.4), np.cos(0.4) ** 9]])
    torch.testing.assert_close(exact(angles, nothing), expected, atol=1e-12, rtol=0)
    damped = expected * torch.tensor([0.95, 0.95**8])
    torch.testing.assert_close(sampled(angles, nothing), damped, atol=0.05, rtol=0)


@pytest.mark.parametrize("broken", ["reset", "measure_then_gate", "branch"])
def test_what_is_not_unitary_is_refused_in_one_line(broken):
    x = Parameter("x")
    circuit = QuantumCircuit(1, 1)
    circuit.ry(x, 0)
    if broken == "reset":
        circuit.reset(0)
    elif broken == "measure_then_gate":
        circuit.measure(0, 0)
        circuit.x(0)
    else:
        with circuit.if_test((circuit.clbits[0], 1)):
            circuit.x(0)
    with pytest.raises(InputError, match=r"^[^\n]+$"):
        ExactSimulator(circuit, [x], [])


def test_final_measurements_change_nothing():
    x = Parameter("x")
    circuit = QuantumCircuit(2)
    circuit.ry(x, 0)
    circuit.cx(0, 1)
    bare = ExactSimulator(circuit, [x], [])
    circuit.measure_all()
    inputs, nothing = torch.tensor([[0.7]], dtype=torch.float64), torch.zeros(0, dtype=torch.float64)
    assert torch.equal(ExactSimulator(circuit, [x], [])(inputs, nothing), bare(inputs, nothing))


@pytest.mark.parametrize(
    ("inputs", "weights"),
    [
        (torch.zeros(2, 4), torch.zeros(2)),
        (torch.zeros(2, 3), torch.zeros(3)),
        (torch.tensor(1.0), torch.zeros(2)),
    ],
)
def test_wrong_shapes_say_what_was_expected(inputs, weights):
    circuit = QuantumCircuit(1)
    for parameter in [*X, *W]:
        circuit.ry(parameter, 0)
    assert (len(X), len(W)) == (NUM_INPUTS, NUM_WEIGHTS)
    with pytest.raises(InputError, match="expected"):
        ExactSimulator(circuit, X, W)(inputs, weights)


def test_forcing_an_engine_that_cannot_hold_noise_is_refused():
    circuit = QuantumCircuit(1)
    circuit.ry(X[0], 0)
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(amplitude_damping_error(0.1), "ry")
    with pytest.raises(InputError, match="cannot hold noise"):
        ExactSimulator(circuit, X[:1], [], None, noise, engine="statevector")
    with pytest.raises(InputError, match="statevector"):
        ExactSimulator(circuit, X[:1], [], None, engine="statvector")  # type: ignore[arg-type]


@pytest.mark.parametrize("reupload", [False, True])
@pytest.mark.parametrize("backend_name", ["aer_ideal", "aer_noisy"])
def test_an_empty_batch_has_an_empty_answer(backend_name, reupload):
    template = catalog.load_circuit("linear", 2, reps=2, reupload=reupload)
    backend = catalog.load_backend(backend_name, 2)
    parts = (template.inputs, template.weights, None, backend.noise_model)
    engines = ["pauli_transfer", "trajectories", *(["statevector"] if backend.noise_model is None else [])]
    for engine in engines:
        simulator = ExactSimulator(backend.transpile(template.circuit), *parts, num_qubits=2, engine=engine)
        x, w = random_values(simulator)
        assert simulator(x[:0], w).shape == (0, 4)


def test_eight_noisy_qubits_run_exactly():
    x = ParameterVector("x", 8)
    circuit = QuantumCircuit(8)
    for qubit in range(8):
        circuit.ry(x[qubit], qubit)
    for qubit in range(7):
        circuit.cx(qubit, qubit + 1)
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(depolarizing_error(0.05, 2), "cx")
    simulator = ExactSimulator(circuit, x, [], None, noise)
    assert simulator.plan.engine == "pauli_transfer"
    z_last = torch.tensor([1 - 2 * (i >> 7) for i in range(256)], dtype=torch.float64)
    outputs = simulator(torch.full((1, 8), 0.4, dtype=torch.float64), torch.zeros(0, dtype=torch.float64))
    assert (outputs @ z_last).item() == pytest.approx(np.cos(0.4) ** 8 * 0.95**7, abs=1e-12)


@pytest.mark.parametrize("observables", [None, OBSERVABLES])
def test_spare_qubits_of_a_device_cost_nothing(observables):
    template = catalog.load_circuit("star", 2)
    backend = catalog.load_backend("aer_noisy", 5)
    circuit = backend.transpile(template.circuit)
    assert circuit.num_qubits == 5
    simulator = ExactSimulator(
        circuit, template.inputs, template.weights, observables, backend.noise_model, num_qubits=2
    )
    assert simulator.lowered.num_qubits < 5
    if observables is None:  # Aer's expectation values know no readout error
        assert largest_error(simulator, circuit, backend.noise_model, *random_values(simulator), 2) < 1e-9
    for engine in ("pauli_transfer", "statevector"):
        quiet = ExactSimulator(
            circuit, template.inputs, template.weights, observables, None, num_qubits=2, engine=engine
        )
        assert largest_error(quiet, circuit, None, *random_values(quiet), 2) < 1e-9


def test_a_first_call_inside_a_transform_leaves_nothing_behind():
    template = catalog.load_circuit("full", 2)
    simulator = ExactSimulator(template.circuit, template.inputs, template.weights)
    x, w = random_values(simulator, batch=1)
    for _ in range(2):
        assert torch.func.hessian(lambda w: simulator(x, w)[0, 0])(w).isfinite().all()
    assert torch.func.jacrev(lambda x: simulator(x, w))(x).isfinite().all()


@pytest.mark.parametrize("engine", ["pauli_transfer", "statevector"])
def test_autocast_does_not_reach_the_circuit(engine):
    template = catalog.load_circuit("full", 2, reupload=True, reps=2)
    simulator = ExactSimulator(template.circuit, template.inputs, template.weights, engine=engine)
    x, w = (value.float() for value in random_values(simulator))
    with torch.autocast("cpu", torch.bfloat16):
        inside = simulator(x, w)
    torch.testing.assert_close(inside, simulator(x.double(), w.double()).float(), atol=1e-6, rtol=0)


def test_integer_inputs_and_joint_readout_errors_are_refused():
    circuit = QuantumCircuit(2)
    circuit.ry(X[0], 0)
    with pytest.raises(InputError, match="floating-point"):
        ExactSimulator(circuit, X[:1], [])(torch.tensor([[1]]), torch.zeros(0))
    noise = NoiseModel()
    noise.add_readout_error(ReadoutError(np.full((4, 4), 0.25)), [0, 1])
    with pytest.raises(InputError, match="joint readout"):
        ExactSimulator(circuit, X[:1], [], None, noise)


def test_a_circuit_without_inputs_runs():
    circuit = QuantumCircuit(1)
    circuit.ry(W[0], 0)
    outputs = ExactSimulator(circuit, [], W[:1])(torch.zeros(3, 0), torch.tensor([np.pi]))
    torch.testing.assert_close(outputs, torch.tensor([[0.0, 1.0]]).expand(3, 2), atol=1e-6, rtol=0)
