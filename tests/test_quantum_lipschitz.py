"""Bounds on a circuit's derivatives: against autograd, closed forms, and what noise must do to them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.noise import NoiseModel, ReadoutError, depolarizing_error
from random_circuits import NUM_WEIGHTS, W, X, circuits, noise_models

from qshield_qiskit import catalog
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.lipschitz import derivative_bounds, encoding, operators
from qshield_qiskit.quantum.network import ExactQNN
from qshield_qiskit.quantum.simulator import ExactSimulator


def derivatives(simulator, rows, x, w):
    """Gradients (B, R, I) and second derivatives (B, R, I, I) of the sums by autograd, and their values (B, R)."""

    def sums(x):
        return simulator(x, w) @ rows.T

    first = torch.func.vmap(torch.func.jacfwd(sums))(x)
    second = torch.func.vmap(torch.func.jacfwd(torch.func.jacfwd(sums)))(x)
    return sums(x), first, second


def holds(simulator, w, seed=0, samples=40):
    """Hold the bounds of random sums of outcomes against samples of all angles; give bounds and gradients."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(3, simulator.num_outputs, generator=generator, dtype=torch.float64)
    x = (
        torch.rand(samples, len(simulator.inputs), generator=generator, dtype=torch.float64) * 2 - 1
    ) * math.pi
    bounds = derivative_bounds(simulator, w, rows)
    values, first, second = derivatives(simulator, rows, x, w)
    assert (bounds.transfer <= bounds.generators + 1e-9).all()
    assert (first.abs() <= bounds.transfer + 1e-9).all()
    assert (second.abs() <= bounds.curvature + 1e-9).all()
    assert (values >= bounds.low - 1e-9).all()
    assert (values <= bounds.high + 1e-9).all()
    return bounds, first


@given(circuits(), noise_models(), st.integers(0, 99))
@settings(max_examples=30)
def test_bounds_hold_for_random_circuits_under_random_noise(circuit, noise, seed):
    generator = torch.Generator().manual_seed(seed)
    w = torch.rand(NUM_WEIGHTS, generator=generator, dtype=torch.float64) * 6 - 3
    assume(any(parameter in circuit.parameters for parameter in X))
    simulator = ExactSimulator(circuit, X, W, None, noise)
    try:
        holds(simulator, w, seed, samples=10)
    except InputError as refusal:
        assert "more than quadratic" in str(refusal)
        assert any("sin" in str(angle) for i in circuit.data for angle in i.operation.params)


@pytest.mark.parametrize("kind", ["angle", "enhanced_angle", "zz", "amplitude"])
@pytest.mark.parametrize("backend", ["aer_ideal", "aer_noisy", "paper_noise"])
@pytest.mark.parametrize("reupload", [False, True])
def test_bounds_hold_for_every_encoding_and_backend(kind, backend, reupload):
    template = catalog.load_circuit("full", 3, encoding=kind, reps=2, reupload=reupload)
    simulator = ExactQNN(template, catalog.load_backend(backend, 3)).simulator
    w = torch.linspace(-1, 1, template.num_weights, dtype=torch.float64)
    bounds, first = holds(simulator, w)
    product = kind in {"angle", "enhanced_angle"} and not reupload
    assert simulator.encodes_product_states == product
    if product:  # not vacuous: within a factor of what random angles reach
        assert (first.abs().amax(0) > 0.25 * bounds.transfer).any(1).all()


def test_one_qubit_is_bounded_exactly():
    """<Z> = cos x after RY: both bounds are 1; after a depolarising channel of strength q the second is 1 - q."""
    x = ParameterVector("x", 1)
    circuit = QuantumCircuit(1)
    circuit.ry(x[0], 0)
    row = torch.ones(1, 1, dtype=torch.float64)
    none = torch.zeros(0, dtype=torch.float64)
    for q in (0.0, 0.1, 0.6):
        noise = NoiseModel()
        noise.add_all_qubit_quantum_error(depolarizing_error(q, 1), "ry")
        bounds = derivative_bounds(ExactSimulator(circuit, x, [], [SparsePauliOp("Z")], noise), none, row)
        assert float(bounds.generators) == pytest.approx(1)
        assert float(bounds.transfer) == pytest.approx(1 - q)
        assert float(bounds.curvature) == pytest.approx(1 - q)


def test_slopes_and_bends_of_angles_are_their_derivatives_largest_values():
    """Of 2 x0 + 1 they are 2 and 0; of 3 (pi - x0) (pi - x1) over [-pi, pi] they are 6 pi each, and 3 across."""
    x, w = ParameterVector("x", 2), ParameterVector("w", 1)
    circuit = QuantumCircuit(1)
    circuit.ry(2 * x[0] + 1, 0)
    circuit.rx(3 * (math.pi - x[0]) * (math.pi - x[1]), 0)
    circuit.rz(w[0] * x[1], 0)
    gates = encoding(ExactSimulator(circuit, x, w), torch.tensor([-0.5], dtype=torch.float64))
    np.testing.assert_allclose(gates.slopes, [[2, 0], [6 * math.pi, 6 * math.pi], [0, 0.5]])
    np.testing.assert_allclose(
        gates.bends, [np.zeros((2, 2)), [[0, 3], [3, 0]], np.zeros((2, 2))], atol=1e-12
    )
    assert gates.qubits == ((0,), (0,), (0,))
    assert gates.contraction.tolist() == [1, 1, 1]


def test_readout_errors_that_tell_nothing_leave_nothing_to_change():
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.ry(x[0], 0)
    circuit.ry(x[1], 1)
    circuit.cx(0, 1)
    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[0.5, 0.5], [0.5, 0.5]]))
    rows = torch.eye(4, dtype=torch.float64)
    bounds = derivative_bounds(ExactSimulator(circuit, x, [], None, noise), torch.zeros(0), rows)
    assert bounds.transfer.abs().max() < 1e-12
    assert torch.allclose(bounds.low, torch.tensor(0.25, dtype=torch.float64))


@given(st.floats(0, 0.3))
@settings(max_examples=4)
def test_more_noise_never_bounds_less(p):
    template = catalog.load_circuit("linear", 3, reps=2)
    w = torch.linspace(-1, 1, template.num_weights, dtype=torch.float64)
    rows = torch.eye(8, dtype=torch.float64)
    less, more = (
        derivative_bounds(
            ExactQNN(
                template, catalog.load_backend("paper_noise", 3, channel="depolarizing", p=each)
            ).simulator,
            w,
            rows,
        )
        for each in (p, 1.5 * p + 0.01)
    )
    assert (more.transfer < less.transfer).all()


def test_operators_are_sums_of_pauli_strings():
    generator = np.random.default_rng(0)
    coefficients = generator.normal(size=64)
    labels = [a + b + c for a in "IXYZ" for b in "IXYZ" for c in "IXYZ"]
    expected = SparsePauliOp(labels, coefficients).to_matrix()
    np.testing.assert_allclose(operators(coefficients, 3), expected, atol=1e-12)


def test_too_many_qubits_and_wild_angles_are_refused_in_one_line():
    x = ParameterVector("x", 1)
    wide = QuantumCircuit(9)
    wide.ry(x[0], range(9))
    wild = QuantumCircuit(1)
    wild.ry(x[0].sin(), 0)
    for circuit, says in ((wide, "9 qubits"), (wild, "more than quadratic")):
        simulator = ExactSimulator(circuit, x, [])
        rows = torch.eye(simulator.num_outputs, dtype=torch.float64)
        with pytest.raises(InputError, match=says) as refusal:
            derivative_bounds(simulator, torch.zeros(0), rows)
        assert "\n" not in str(refusal.value)
