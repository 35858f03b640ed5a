"""Backends by name, and the noise their circuits meet."""

import copy
import math
import pickle

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import Statevector

from qshield_qiskit import catalog
from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.compiling.routing import _transpiled
from qshield_qiskit.devices.compiling.success import log_success
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.occurrences import separate_occurrences

CALIBRATIONS = sorted(calibrations.find())


def density_matrix(backend, circuit):
    circuit = circuit.copy()
    circuit.save_density_matrix()
    return backend.simulator().run(circuit).result().data()["density_matrix"]


def calibrated(name, num_qubits):
    return catalog.load_backend("aer_noisy", num_qubits, calibration=name)


@pytest.mark.parametrize("name", [*catalog.find("backends"), "fake_manila"])
def test_every_backend_runs_a_template(name):
    backend = catalog.load_backend(name, 3)
    assert isinstance(backend, Backend)
    assert (backend.name, backend.num_qubits) == (name, 3)
    template = catalog.load_circuit("linear", 3)
    circuit = backend.transpile(template.circuit)
    values = np.random.default_rng(1).uniform(-np.pi, np.pi, circuit.num_parameters)
    state = density_matrix(backend, circuit.assign_parameters(values))
    assert state.trace() == pytest.approx(1)
    assert (state.purity().real < 1 - 1e-6) == (backend.noise_model is not None)


def test_a_backend_survives_copying_and_pickling():
    backend = calibrated("fake_fez_4q", 3)
    circuit = catalog.load_circuit("full", 3).circuit
    transpiled = backend.transpile(circuit)
    for other in (copy.deepcopy(backend), pickle.loads(pickle.dumps(backend))):
        assert other.calibration == backend.calibration
        assert other.transpile(circuit) == transpiled
        bound = transpiled.assign_parameters([0.3] * transpiled.num_parameters)
        np.testing.assert_allclose(
            density_matrix(other, bound).data, density_matrix(backend, bound).data, atol=1e-12
        )


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_without_its_figures_a_device_is_ideal(name):
    """Errors 0 and coherence for ever leave the state of the user's circuit."""
    calibration = Calibration.from_json(calibrations.find()[name])
    perfect = calibration.model_copy(
        update={
            "qubits": tuple(
                q.model_copy(
                    update={"t1": None, "t2": None, "prob_meas1_prep0": 0.0, "prob_meas0_prep1": 0.0}
                )
                for q in calibration.qubits
            ),
            "gates": tuple(gate.model_copy(update={"error": 0.0}) for gate in calibration.gates),
        }
    )
    backend = Backend.calibrated("perfect", perfect.reduce(perfect.best_subset(4)))
    circuit = catalog.load_circuit("full", 4).circuit
    values = np.random.default_rng(2).uniform(-np.pi, np.pi, circuit.num_parameters)
    by_parameter = dict(zip(circuit.parameters, values, strict=True))
    transpiled = backend.transpile(circuit)
    state = density_matrix(
        backend, transpiled.assign_parameters({p: by_parameter[p] for p in transpiled.parameters})
    )
    assert not backend.noise_model._local_quantum_errors
    assert not backend.noise_model._local_readout_errors
    np.testing.assert_allclose(
        state.probabilities(transpiled.layout.final_index_layout()),
        Statevector(circuit.assign_parameters(by_parameter)).probabilities(),
        atol=1e-9,
    )


@pytest.mark.parametrize("name", CALIBRATIONS)
def test_readout_errors_stay_asymmetric(name):
    """|0> and |1> are each read wrong as often as calibrated, within 5 sigma of 40,000 shots."""
    shots = 40_000
    backend = calibrated(name, 4)
    simulator = backend.simulator()
    simulator.set_options(seed_simulator=11)
    for prepared in (0, 1):
        circuit = QuantumCircuit(4, 4)
        for qubit in range(4 if prepared else 0):
            circuit.unitary([[0, 1], [1, 0]], [qubit], label="free of noise")
        circuit.measure(range(4), range(4))
        counts = simulator.run(circuit, shots=shots).result().get_counts()
        for i, qubit in enumerate(backend.calibration.qubits):
            wrong = sum(n for bits, n in counts.items() if bits[-1 - i] != str(prepared)) / shots
            expected = (qubit.prob_meas1_prep0, qubit.prob_meas0_prep1)[prepared]
            assert abs(wrong - expected) <= 5 * math.sqrt(max(expected * (1 - expected), 1e-4) / shots)


@pytest.mark.parametrize("name", ["fake_boston_8q", "fake_sherbrooke_7q", "fake_montreal_4q"])
def test_idling_costs_what_relaxation_takes(name):
    """A qubit waits in |1> while its neighbour is busy: exp(-t/T1) of it survives, all if unscheduled."""
    backend = calibrated(name, 2)
    circuit = QuantumCircuit(2)
    circuit.x(1)
    for _ in range(1000):
        circuit.barrier()
        circuit.sx(0)
    circuit.barrier()
    scheduled = backend.transpile(circuit)
    unscheduled = scheduled.copy_empty_like()
    for instruction in scheduled.data:
        if instruction.operation.name != "delay":
            unscheduled.append(instruction)
    waiting = scheduled.layout.final_index_layout()[1]
    delays = [i for i in scheduled.data if i.operation.name == "delay"]
    total = sum(i.operation.duration for i in delays if scheduled.find_bit(i.qubits[0]).index == waiting)
    survives = [density_matrix(backend, c).probabilities([waiting])[1] for c in (scheduled, unscheduled)]
    decay = math.exp(-total * backend.calibration.dt / backend.calibration.qubits[waiting].t1)
    assert decay < 0.95
    assert survives[0] / survives[1] == pytest.approx(decay, rel=1e-6)


@pytest.mark.parametrize("name", ["fake_boston_8q", "fake_brisbane_4q", "fake_manila_5q"])
@pytest.mark.parametrize("pattern", sorted(catalog.find("circuits")))
def test_routing_never_does_worse_than_qiskit_alone(name, pattern):
    backend = calibrated(name, 4)
    template = catalog.load_circuit(pattern, 4, reps=2)
    opaque, _ = separate_occurrences(catalog.load_backend("aer_ideal", 4).transpile(template.circuit))
    stock = _transpiled(opaque, backend.target, 0, None)
    own = backend.transpile(template.circuit)
    assert log_success(own, backend.calibration) >= log_success(stock, backend.calibration) - 1e-12


def test_estimated_success_counts_gates_idling_and_readout():
    calibration = Calibration.from_json(calibrations.find()["fake_manila_5q"]).reduce([0, 1])
    backend = Backend.calibrated("two", calibration)
    circuit = QuantumCircuit(2)
    circuit.x(0)
    isa = backend.transpile(circuit)
    assert isa.count_ops() == {"x": 1}
    used = isa.find_bit(isa.data[0].qubits[0]).index
    errors = {(gate.name, gate.qubits): gate.error for gate in calibration.gates}
    read = sum(math.log(1 - qubit.readout_error) for qubit in calibration.qubits)
    alone = log_success(isa, calibration)
    assert alone == pytest.approx(math.log(1 - errors["x", (used,)]) + read)
    coupled = isa.copy()
    coupled.cx(1, 0)
    assert log_success(coupled, calibration) - alone == pytest.approx(math.log(1 - errors["cx", (1, 0)]))
    asleep = isa.copy()
    asleep.delay(1000, 1 - used, "ns")
    assert log_success(asleep, calibration) == alone


@pytest.mark.parametrize(("t1", "t2", "counted"), [(50e-6, 40e-6, 40e-6), (50e-6, 300e-6, 100e-6)])
def test_estimated_success_of_waiting_is_that_of_relaxation(t1, t2, counted):
    """A T2 beyond 2 T1 is a fit gone astray."""
    calibration = Calibration.from_json(calibrations.find()["fake_manila_5q"]).reduce([0])
    (qubit,) = calibration.qubits
    calibration = calibration.model_copy(update={"qubits": (qubit.model_copy(update={"t1": t1, "t2": t2}),)})
    circuit = QuantumCircuit(1)
    circuit.x(0)
    isa = Backend.calibrated("one", calibration).transpile(circuit)
    waited = isa.copy()
    waited.delay(10, 0, "us")
    fidelity = 1 / 2 + math.exp(-10e-6 / t1) / 6 + math.exp(-10e-6 / counted) / 3
    lost = log_success(waited, calibration) - log_success(isa, calibration)
    assert lost == pytest.approx(math.log(fidelity))


def test_more_qubits_than_a_calibration_has_names_those_that_suffice():
    with pytest.raises(InputError) as refused:
        calibrated("fake_fez_4q", 7)
    message = str(refused.value)
    assert "fake_fez_4q has 4 qubits, not 7" in message
    assert "fake_boston_8q" in message
    assert "fake_manila_5q" not in message
    assert "\n" not in message
    with pytest.raises(
        InputError, match=r"with enough: none \(or make one: qshield calibrate fake_boston --qubits 50\)"
    ):
        calibrated("fake_boston_8q", 50)


def test_an_unknown_calibration_names_the_nearest():
    with pytest.raises(InputError, match="no such calibration: 'fake_bostn_8q'; did you mean fake_boston_8q"):
        calibrated("fake_bostn_8q", 2)


def test_a_snapshot_is_a_calibration_of_all_its_qubits():
    assert calibrations.load("fake_lima").num_qubits == 5
    assert calibrated("fake_lima", 3).calibration == catalog.load_backend("fake_lima", 3).calibration


def test_a_live_device_must_be_calibrated_first():
    with pytest.raises(InputError, match="take the device's current one: qshield calibrate ibm_torino"):
        calibrated("ibm_torino", 3)


def test_a_calibration_of_ones_own(tmp_path, monkeypatch):
    own = Calibration.from_json(calibrations.find()["fake_manila_5q"]).reduce([0, 1, 2])
    own.to_json(tmp_path / "elsewhere.json")
    assert calibrated(str(tmp_path / "elsewhere.json"), 3).calibration.device == "fake_manila"
    monkeypatch.chdir(tmp_path)
    own.to_json(calibrations.FOLDER / "mine.json")
    assert "mine" in calibrations.find()
    assert "fake_boston_8q" in calibrations.find()
    assert set(calibrated("mine", 3).calibration.physical_qubits) == {0, 1, 2}
    with pytest.raises(InputError, match=r"missing\.json: cannot be read"):
        calibrated("missing.json", 2)


@pytest.mark.parametrize("num_qubits", [0, -2])
def test_a_number_of_qubits_that_makes_no_sense(num_qubits):
    for name in ("aer_ideal", "aer_noisy", "paper_noise", "fake_manila"):
        with pytest.raises(InputError, match=f"{num_qubits}"):
            catalog.load_backend(name, num_qubits)
