"""From a device to its calibration, on devices of every age."""

import numpy as np
import pytest
from qiskit.circuit import Gate
from qiskit.quantum_info import Statevector
from qiskit.transpiler import InstructionProperties

from qshield_qiskit import catalog
from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.snapshot import NOT_MEASURED, fake_device, fake_devices, take_snapshot
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration


@pytest.mark.parametrize("name", calibrations.find())
def test_making_a_committed_calibration_again_gives_the_same(name, tmp_path):
    device, size = name.rsplit("_", 1)
    snapshot = take_snapshot(fake_device(device))
    again = snapshot.reduce(snapshot.best_subset(int(size.removesuffix("q"))))
    again.to_json(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == calibrations.find()[name].read_bytes()


def test_a_snapshot_holds_what_the_device_reports():
    device = fake_device("torino")
    snapshot, properties = take_snapshot(device), device.properties()
    assert snapshot.num_qubits == 133
    assert snapshot.taken_at == properties.last_update_date
    for i in (0, 7, 132):
        qubit = snapshot.qubits[i]
        assert qubit.physical == i
        assert (qubit.t1, qubit.t2) == (properties.t1(i), properties.t2(i))
        assert qubit.prob_meas1_prep0 == properties.qubit_property(i, "prob_meas1_prep0")[0]
        assert qubit.prob_meas0_prep1 == properties.qubit_property(i, "prob_meas0_prep1")[0]
        assert qubit.readout_length == properties.readout_length(i)
    errors = {(gate.name, gate.qubits): gate.error for gate in snapshot.gates}
    assert errors["sx", (3,)] == properties.gate_error("sx", 3)
    assert errors["cz", (0, 1)] == properties.gate_error("cz", (0, 1))


def test_a_gate_that_qiskit_has_no_name_for_is_left_out():
    device, plain = fake_device("fake_manila"), take_snapshot(fake_device("fake_manila"))
    device.target.add_instruction(Gate("xslow", 1, []), {(0,): InstructionProperties(1e-6, 1e-3)})
    assert take_snapshot(device) == plain


def test_a_figure_that_no_device_can_have_is_told_in_one_line():
    device = fake_device("fake_manila")
    properties = device.properties()
    for name in ("readout_error", "prob_meas1_prep0"):
        properties._qubits[0][name] = (float("nan"), properties._qubits[0]["readout_error"][1])
    device.properties = lambda **details: properties
    with pytest.raises(InputError, match="fake_manila reports prob_meas1_prep0 = nan, where") as caught:
        take_snapshot(device)
    assert "\n" not in str(caught.value)


def test_broken_gates_are_left_out():
    device = fake_device("torino")
    broken = [pair for pair, figures in device.target["cz"].items() if figures.error == 1]
    assert broken
    assert not set(broken) & set(take_snapshot(device).coupling)


def test_a_qubit_without_t1_is_no_obstacle():
    snapshot = take_snapshot(fake_device("kingston"))
    assert [i for i, qubit in enumerate(snapshot.qubits) if qubit.t1 is None] == [146]
    assert 146 not in snapshot.best_subset(8)
    assert snapshot.reduce([146]).noise_model() is not None


@pytest.mark.parametrize(
    "device",
    [
        "fake_burlington",  # no dt, u2 and u3 for gates, no readout length
        "fake_poughkeepsie",  # an absurd dt
        "fake_cairo",  # two kinds of two-qubit gate
        "fake_brussels",  # Eagle, 2026
        "fake_yorktown",  # a triangle of couplings
        "fake_miami",  # a square lattice
    ],
)
def test_odd_devices_make_good_backends(device):
    backend = catalog.load_backend(device, 3)
    template = catalog.load_circuit("full", 3)
    circuit = backend.transpile(template.circuit)
    angles = np.random.default_rng(3).uniform(-np.pi, np.pi, template.circuit.num_parameters)
    values = dict(zip(template.circuit.parameters, angles, strict=True))
    bound = circuit.assign_parameters({parameter: values[parameter] for parameter in circuit.parameters})
    places = bound.layout.final_index_layout()
    wanted = Statevector(template.circuit.assign_parameters(values)).probabilities()
    np.testing.assert_allclose(Statevector(bound).probabilities(places), wanted, atol=1e-9)
    bound.save_density_matrix()
    noisy = backend.simulator().run(bound).result().data()["density_matrix"].probabilities(places)
    assert 1e-5 < np.abs(noisy - wanted).max() < 0.2


def test_devices_are_known_by_name_with_and_without_fake():
    assert len(fake_devices()) > 60
    assert not fake_devices().keys() & NOT_MEASURED
    assert fake_device("manila").name == fake_device("fake_manila").name == "fake_manila"
    with pytest.raises(InputError, match="no such device: 'fake_bostn'; did you mean fake_boston"):
        fake_device("bostn")


def test_a_device_that_is_all_broken_is_refused():
    with pytest.raises(InputError, match="no 2 working qubits of fake_kyoto are connected"):
        catalog.load_backend("fake_kyoto", 2)


def test_a_reduced_device_is_a_calibration_like_any_other():
    calibration = catalog.load_backend("fake_manila", 2).calibration
    assert isinstance(calibration, Calibration)
    assert calibration.device == "fake_manila"
    assert calibration.num_qubits == 2
