"""Calibrations: what goes into the file comes out, what no device can report is refused in one line."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit_aer.noise import NoiseModel

from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.snapshot import fake_device, take_snapshot
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration, GateCalibration, QubitCalibration
from qshield_qiskit.quantum.noise import superoperator

COMMITTED = calibrations.find()

PROBABILITIES = st.floats(0, 1)
TIMES = st.floats(1e-7, 1e-3)


@st.composite
def chains(draw: st.DrawFn) -> Calibration:
    """A calibration of 1 to 4 qubits in a row, of any figures that a device may report."""
    num_qubits = draw(st.integers(1, 4))
    qubits = tuple(
        QubitCalibration(
            physical=10 * i,
            t1=draw(st.none() | TIMES),
            t2=draw(st.none() | TIMES),
            prob_meas1_prep0=draw(PROBABILITIES),
            prob_meas0_prep1=draw(PROBABILITIES),
            readout_length=draw(st.none() | TIMES),
        )
        for i in range(num_qubits)
    )
    ones = [("sx", (i,)) for i in range(num_qubits)]
    pairs = [("cz", (i, i + 1)) for i in range(num_qubits - 1)]
    gates = tuple(
        GateCalibration(name=name, qubits=on, error=draw(st.none() | PROBABILITIES), length=draw(TIMES))
        for name, on in ones + pairs
    )
    return Calibration(
        device=draw(st.text(min_size=1, max_size=20)),
        taken_at=draw(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))),
        dt=draw(st.none() | st.floats(1e-10, 1e-8)),
        qubits=qubits,
        gates=gates,
    )


@given(calibration=chains())
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_gives_back_the_calibration_bit_by_bit(calibration, tmp_path):
    file = tmp_path / "calibration.json"
    calibration.to_json(file)
    assert Calibration.from_json(file) == calibration


@given(cut=st.floats(0, 1, exclude_max=True))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_file_is_refused_in_one_line(cut, tmp_path):
    whole = COMMITTED["fake_manila_5q"].read_bytes().rstrip()
    file = tmp_path / "cut.json"
    file.write_bytes(whole[: int(cut * len(whole))])
    with pytest.raises(InputError, match=r"cut\.json: broken or truncated JSON") as refused:
        Calibration.from_json(file)
    assert "\n" not in str(refused.value)


def _set(content, path, value):
    *parents, last = path
    for key in parents:
        content = content[key]
    if value is KeyError:
        del content[last]
    else:
        content[last] = value


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (
            ("qubits", 1, "prob_meas0_prep1"),
            1.2,
            r"qubits\.1\.prob_meas0_prep1 = 1\.2: .* less than or equal to 1",
        ),
        (("gates", 0, "error"), -0.1, r"gates\.0\.error = -0\.1: .* greater than or equal to 0"),
        (("qubits", 0, "t1"), -1e-4, r"qubits\.0\.t1 = -0\.0001: .* greater than 0"),
        (("qubits", 0, "t1"), 131.5, r"qubits\.0\.t1 = 131\.5: .* less than or equal to 1"),
        (("gates", 3, "length"), 35.0, r"gates\.3\.length = 35\.0"),
        (("qubits", 0, "t2"), "long", r'qubits\.0\.t2 = "long": .* valid number'),
        (("qubits", 2, "readout_length"), KeyError, r"the key qubits\.2\.readout_length is missing"),
        (("taken_at",), KeyError, "the key taken_at is missing"),
        (("taken_at",), "yesterday", r'taken_at = "yesterday"'),
        (("schema_version",), 2, r"schema_version = 2"),
        (("qubits",), [], r"qubits = \[\]"),
        (("colour",), "red", r'colour = "red": extra inputs are not permitted'),
        (("gates", 0, "name"), "czz", r"gate 'czz' on qubits \[0, 1\]: no standard Qiskit gate"),
        (("gates", 0, "qubits"), [0], r"gate 'cx' on qubits \[0\]: it acts on 2 different qubits"),
        (("gates", 0, "qubits"), [0, 7], r"gate 'cx' on qubits \[0, 7\]: the qubits here are 0 to 4"),
        (("gates", 0, "qubits"), [1, 0], r"gate 'cx' on qubits \[1, 0\]: listed twice"),
        (("qubits", 0, "physical"), 1, r"a physical qubit is listed twice: \[1, 1, 2, 3, 4\]"),
    ],
)
def test_a_figure_that_no_device_has_is_refused_by_file_key_and_value(path, value, says, tmp_path):
    content = json.loads(COMMITTED["fake_manila_5q"].read_text())
    _set(content, path, value)
    file = tmp_path / "odd.json"
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"odd\.json: {says}") as refused:
        Calibration.from_json(file)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", ["[1, 2]", "null", "NaN", '"text"', "{}"])
def test_other_json_is_refused_in_one_line(content, tmp_path):
    file = tmp_path / "other.json"
    file.write_text(content)
    with pytest.raises(InputError, match=r"other\.json") as refused:
        Calibration.from_json(file)
    assert "\n" not in str(refused.value)


def test_a_missing_file_and_an_unwritable_place_are_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.json: cannot be read"):
        Calibration.from_json(tmp_path / "nowhere.json")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        Calibration.from_json(COMMITTED["fake_manila_5q"]).to_json(tmp_path / "file" / "c.json")


def test_reducing_renumbers_qubits_and_keeps_the_gates_among_them():
    calibration = Calibration.from_json(COMMITTED["fake_manila_5q"])
    reduced = calibration.reduce([3, 2])
    assert reduced.physical_qubits == (3, 2)
    assert reduced.coupling == ((0, 1), (1, 0))
    errors = {(gate.name, gate.qubits): gate.error for gate in calibration.gates}
    for gate in reduced.gates:
        assert gate.error == errors[gate.name, tuple((3, 2)[qubit] for qubit in gate.qubits)]
    assert calibration.reduce(range(5)) == calibration
    for qubits in ([], [5], [-1], [0, 0, 1]):
        with pytest.raises(InputError, match="give at least one of 0 to 4, each once"):
            calibration.reduce(qubits)


@pytest.mark.parametrize(
    ("device", "num_qubits"), [("manila", 5), ("montreal", 6), ("almaden", 4), ("pittsburgh", 2)]
)
def test_the_noise_is_what_aer_derives_from_the_whole_device(device, num_qubits):
    fake = fake_device(device)
    snapshot = take_snapshot(fake)
    chosen = snapshot.best_subset(num_qubits)
    own = snapshot.reduce(chosen).noise_model()
    whole = NoiseModel.from_backend(fake, readout_error=False)
    compared = set()
    for name, errors in own._local_quantum_errors.items():
        for qubits, error in errors.items():
            there = whole._local_quantum_errors[name][tuple(chosen[qubit] for qubit in qubits)]
            assert np.abs(superoperator(error) - superoperator(there)).max() < 1e-12
            compared.add(name)
    assert len(compared) >= 3
    delay, delay_there = own._custom_noise_passes[0], whole._custom_noise_passes[0]
    for times in ("_t1s", "_t2s"):
        np.testing.assert_array_equal(getattr(delay, times), getattr(delay_there, times)[list(chosen)])
    assert delay._dt == delay_there._dt


def _idle(calibration, t1, t2):
    qubit = calibration.qubits[0].model_copy(update={"t1": t1, "t2": t2})
    gates = [gate for gate in calibration.gates if gate.qubits == (0,)]
    return calibration.model_copy(update={"qubits": (qubit,), "gates": tuple(gates)}).noise_model()


def test_t2_above_twice_t1_counts_as_twice_t1():
    calibration = Calibration.from_json(COMMITTED["fake_manila_5q"])
    beyond, limit = _idle(calibration, 1e-4, 9e-4), _idle(calibration, 1e-4, 2e-4)
    for name, errors in limit._local_quantum_errors.items():
        there = beyond._local_quantum_errors[name][0,]
        np.testing.assert_allclose(superoperator(errors[0,]), superoperator(there), atol=1e-15)


def test_a_qubit_without_t1_has_gate_errors_but_does_not_relax():
    calibration = Calibration.from_json(COMMITTED["fake_manila_5q"])
    model = _idle(calibration, None, None)
    error = superoperator(model._local_quantum_errors["sx"][0,])
    stays = error[3, 3].real, error[0, 0].real  # <1|E(|1><1|)|1> and <0|E(|0><0|)|0>
    assert stays[0] == pytest.approx(stays[1])
    assert stays[0] < 1


@pytest.mark.parametrize("name", COMMITTED)
def test_every_committed_calibration_is_small_dated_and_connected(name):
    path = COMMITTED[name]
    calibration = Calibration.from_json(path)
    assert path.stat().st_size < 8_000
    assert 4 <= calibration.num_qubits <= 8
    assert name == f"{calibration.device}_{calibration.num_qubits}q"
    assert 2019 < calibration.taken_at.year < 2100
    assert set(calibration.best_subset(calibration.num_qubits)) == set(range(calibration.num_qubits))
    assert any(abs(q.prob_meas1_prep0 - q.prob_meas0_prep1) > 1e-4 for q in calibration.qubits)


@pytest.mark.parametrize("name", COMMITTED)
def test_target_and_noise_model_hold_the_figures_of_the_file(name):
    calibration = Calibration.from_json(COMMITTED[name])
    target, model = calibration.target(), calibration.noise_model()
    assert target.num_qubits == calibration.num_qubits
    assert target.dt == calibration.dt
    for gate in calibration.gates:
        assert target[gate.name][gate.qubits].error == gate.error
        assert target[gate.name][gate.qubits].duration == gate.length
    for i, qubit in enumerate(calibration.qubits):
        assert target.instruction_supported("delay", (i,))
        wrong = model._local_readout_errors[i,].probabilities
        assert wrong[0][1] == pytest.approx(qubit.prob_meas1_prep0, abs=1e-15)
        assert wrong[1][0] == pytest.approx(qubit.prob_meas0_prep1, abs=1e-15)
