"""Expressibility, entangling capability and cost: closed forms, limits and known states."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import Statevector, random_statevector
from random_circuits import W, X, circuits

from qshield_qiskit import catalog
from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.footprint import footprint
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.entanglement import haar_entanglement, meyer_wallach
from qshield_qiskit.quantum.expressibility import (
    expressibility,
    expressibility_interval,
    fidelities,
    haar_density,
    haar_floor,
    log_haar_bins,
)
from qshield_qiskit.quantum.statevectors import statevectors


def ghz(n):
    state = np.zeros(2**n, dtype=complex)
    state[[0, -1]] = 1 / math.sqrt(2)
    return state


def w_state(n):
    state = np.zeros(2**n, dtype=complex)
    state[[2**k for k in range(n)]] = 1 / math.sqrt(n)
    return state


def random_states(count, n, seed=0):
    generator = np.random.default_rng(seed)
    return np.stack([random_statevector(2**n, seed=generator).data for _ in range(count)])


@given(circuits(), st.integers(0, 99))
@settings(max_examples=40)
def test_states_are_qiskits(circuit, seed):
    values = np.random.default_rng(seed).uniform(-3, 3, size=(3, len(X) + len(W)))
    names = [*X, *W]
    found = statevectors(circuit, names, torch.from_numpy(values)).numpy()
    for row, state in zip(values, found, strict=True):
        given_ = dict(zip(names, row, strict=True))
        bound = circuit.assign_parameters({p: given_[p] for p in circuit.parameters})
        assert abs(np.vdot(Statevector(bound).data, state)) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_meyer_wallach_of_known_states(n):
    product = np.array([1.0])
    for angle in np.linspace(0.3, 2, n):
        product = np.kron(product, [math.cos(angle), 1j * math.sin(angle)])
    basis = np.eye(2**n)[1].astype(complex)
    found = meyer_wallach(np.stack([ghz(n), w_state(n), product, basis]))
    assert found == pytest.approx([1, 4 * (n - 1) / n**2, 0, 0], abs=1e-12)
    # a Bell pair and spectators: two of n qubits are mixed
    pair = np.kron(np.eye(2 ** (n - 2))[0], ghz(2))
    assert meyer_wallach(pair[None])[0] == pytest.approx(2 / n)


@pytest.mark.parametrize("n", [2, 4])
def test_uniformly_drawn_states(n):
    states = random_states(3000, n)
    assert meyer_wallach(states).mean() == pytest.approx(haar_entanglement(n), abs=0.01)
    found = fidelities(states[:1500], states[1500:])
    assert expressibility(found, n) == pytest.approx(haar_floor(1500, n, 0), abs=0.02)
    assert found.mean() == pytest.approx(1 / 2**n, abs=0.01)


@pytest.mark.parametrize("n", [1, 2, 4, 8])
def test_the_density_of_fidelities(n):
    """It integrates to 1, its mean is 1 / D, and each bin is its integral."""
    grid = np.linspace(0, 1, 200_001)
    density = haar_density(grid, n)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(grid * density, grid) == pytest.approx(1 / 2**n, abs=1e-3)
    bins = np.exp(log_haar_bins(n, 10))
    assert bins.sum() == pytest.approx(1)
    assert bins[0] == pytest.approx(np.trapezoid(density[:20_001], grid[:20_001]), abs=1e-3)
    assert np.isfinite(log_haar_bins(n)).all()


def test_a_circuit_that_does_nothing_is_as_inexpressive_as_can_be():
    """All fidelities are 1: the divergence is that of the last bin, (D - 1) log(bins)."""
    assert expressibility(np.ones(100), 4) == pytest.approx(15 * math.log(75))
    low, high = expressibility_interval(np.ones(100), 4, 0)
    assert low == high == pytest.approx(15 * math.log(75))


def test_sims_single_qubit_circuits():
    """H then RZ covers a circle, and RZ RX RZ after H the sphere: 0.22 and 0.02 or so in the paper's figure 2."""
    theta = [Parameter(name) for name in "abc"]
    circle, sphere = QuantumCircuit(1), QuantumCircuit(1)
    circle.h(0)
    circle.rz(theta[0], 0)
    sphere.h(0)
    sphere.rz(theta[0], 0)
    sphere.rx(theta[1], 0)
    values = (
        torch.rand(2, 20_000, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        * 2
        * math.pi
    )
    found = [
        expressibility(
            fidelities(*(statevectors(circuit, theta[:k], part[:, :k]).numpy() for part in values)), 1
        )
        for circuit, k in ((circle, 1), (sphere, 2))
    ]
    assert found[0] == pytest.approx(0.22, abs=0.03)
    assert found[1] == pytest.approx(0.02, abs=0.015)


def test_more_layers_express_more_and_entanglers_entangle():
    values = {}
    for name, reps in (("none", 2), ("full", 1), ("full", 3)):
        template = catalog.load_circuit(name, 3, reps=reps)
        names = [*template.inputs, *template.weights]
        angles = torch.rand(
            2, 2000, len(names), generator=torch.Generator().manual_seed(1), dtype=torch.float64
        )
        first, second = (
            statevectors(template.circuit, names, (2 * part - 1) * math.pi).numpy() for part in angles
        )
        values[name, reps] = expressibility(fidelities(first, second), 3), meyer_wallach(first).mean()
    assert values["none", 2][1] == pytest.approx(0, abs=1e-12)
    assert values["full", 1][1] > 0.2
    assert values["none", 2][0] > values["full", 1][0] > values["full", 3][0]


@pytest.mark.parametrize("calibration", sorted(calibrations.find())[:3])
def test_the_cost_of_circuits_on_a_device(calibration):
    none, full = (footprint(catalog.load_circuit(name, 4).circuit, calibration) for name in ("none", "full"))
    assert (none.two_qubit_gates, none.two_qubit_depth) == (0, 0)
    assert full.two_qubit_gates >= 3
    assert full.two_qubit_depth <= full.two_qubit_gates
    assert full.depth > none.depth > 0
    assert 0 < full.success < none.success < 1


def test_wrong_input_is_one_line():
    with pytest.raises(InputError, match="expected"):
        statevectors(QuantumCircuit(1), [], torch.zeros(3, 1))
    with pytest.raises(InputError, match="has 4 qubits, not 5"):
        footprint(catalog.load_circuit("full", 5).circuit, "fake_fez_4q")
