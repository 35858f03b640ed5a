"""A device that drifts: how far its figures move, what stays, and that its circuits do."""

import math

import numpy as np
import pytest
import torch
from oracle import aer_outputs

from qshield_qiskit.catalog import load_backend, load_circuit
from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.drift import drifted, jittered
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.network import ExactQNN


def figures(calibration):
    """Every figure that may drift."""
    numbers = [
        figure
        for qubit in calibration.qubits
        for figure in (qubit.t1, qubit.t2, qubit.prob_meas1_prep0, qubit.prob_meas0_prep1)
    ]
    return np.array([*numbers, *(gate.error for gate in calibration.gates)], dtype=float)


@pytest.mark.parametrize("spread", [0.0, 0.1, 0.5])
def test_the_logarithms_of_the_figures_have_the_spread(spread):
    calibration = calibrations.load("fake_boston_8q")
    before = figures(calibration)
    known = before > 0  # neither missing nor zero
    moves = np.concatenate(
        [np.log(figures(jittered(calibration, spread, seed))[known] / before[known]) for seed in range(40)]
    )
    assert np.std(moves) == pytest.approx(spread, rel=0.05)
    assert abs(np.mean(moves)) < 0.02


@pytest.mark.parametrize("name", calibrations.find())
def test_whatever_drifts_remains_a_device(name):
    calibration = calibrations.load(name)
    for seed in range(3):
        moved = jittered(calibration, 3.0, seed)
        assert Calibration.model_validate_json(moved.model_dump_json()) == moved
        assert moved != calibration
        assert jittered(calibration, 3.0, seed) == moved
        moved.noise_model()
    assert [gate.length for gate in moved.gates] == [gate.length for gate in calibration.gates]
    assert moved.coupling == calibration.coupling


def test_circuits_stay_as_they_were_transpiled_and_meet_the_new_noise():
    template, backend = load_circuit("full", 3), load_backend("aer_noisy", 3)
    device = drifted(backend, 0.5, seed=1)
    assert device.transpile(template.circuit) == backend.transpile(template.circuit)
    x = torch.linspace(-2, 2, template.num_inputs, dtype=torch.float64)
    w = torch.linspace(-1, 1, template.num_weights, dtype=torch.float64)
    values = dict(zip([*template.inputs, *template.weights], [*x.tolist(), *w.tolist()], strict=True))
    noise = jittered(backend.calibration, 0.5, seed=1).noise_model()
    expected = aer_outputs(backend.transpile(template.circuit), values, noise, num_qubits=3)
    found = ExactQNN(template, device).evaluate(x, w).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert np.abs(found - ExactQNN(template, backend).evaluate(x, w).numpy()).max() > 1e-4


def test_half_is_the_largest_error_and_a_second_the_longest_time():
    moved = figures(jittered(calibrations.load("fake_manila_5q"), 50.0, seed=0))
    assert np.nanmax(moved) <= 1.0
    assert math.isclose(float(np.sort(np.unique(moved))[-2]), 0.5)


@pytest.mark.parametrize("name", ["aer_ideal", "paper_noise"])
def test_a_backend_without_a_calibration_cannot_drift(name):
    with pytest.raises(
        InputError, match=rf"^backend={name} has no calibration that could drift; try [^\n]*$"
    ):
        drifted(load_backend(name, 4), 0.3, seed=0)
