"""The command that writes calibrations."""

import json

import pytest
from ibm_standin import StandInDevice
from typer.testing import CliRunner

from qshield_qiskit import catalog
from qshield_qiskit.cli import app
from qshield_qiskit.devices import calibrations
from qshield_qiskit.quantum.calibration import Calibration


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, ["calibrate", *words])


def test_it_writes_the_file_that_aer_noisy_reads(run, tmp_path):
    result = run("fake_manila", "--qubits", "4")
    assert result.exit_code == 0
    file = tmp_path / "backends" / "calibrations" / "fake_manila_4q.json"
    calibration = Calibration.from_json(file)
    assert calibration.num_qubits == 4
    assert str(file.relative_to(tmp_path)) in result.stdout
    assert "backend.calibration=fake_manila_4q" in result.stderr
    for qubit in calibration.qubits:
        assert f"{qubit.t1 * 1e6:.1f}" in result.stdout
    assert catalog.load_backend("aer_noisy", 3, calibration="fake_manila_4q").num_qubits == 3


def test_it_prints_one_json_object(run, tmp_path):
    result = run("manila", "--qubits", "2", "--output", "own.json", "--json")
    assert result.exit_code == 0
    printed = json.loads(result.stdout)
    assert printed.pop("file") == "own.json"
    assert printed == json.loads((tmp_path / "own.json").read_text())


def test_a_live_device_s_current_calibration_is_stored_with_its_date(run, standin):
    service = standin()
    result = run("ibm_standin", "--qubits", "4")
    assert result.exit_code == 0
    (file,) = calibrations.FOLDER.glob("ibm_standin_4q_*.json")
    calibration = Calibration.from_json(file)
    whole = service.devices["ibm_standin"].calibration()
    assert file.stem == f"ibm_standin_4q_{whole.taken_at:%Y-%m-%d_%H%M}"
    assert calibration == whole.reduce(whole.best_subset(4))
    backend = catalog.load_backend("aer_noisy", 3, calibration=file.stem)
    assert backend.calibration.device == "ibm_standin"
    assert f"backend.calibration={file.stem}" in result.stderr


def test_ibm_runtime_is_the_least_busy_device(run, standin):
    standin([StandInDevice("ibm_busy", queue_length=5), StandInDevice("ibm_idle", "fake_lima")])
    assert json.loads(run("ibm_runtime", "--qubits", "2", "--json").stdout)["device"] == "ibm_idle"


def test_a_live_device_may_be_paused_and_may_report_nonsense(run, standin):
    service = standin()
    device = service.devices["ibm_standin"]
    device.paused = True
    for figure in device.calibrations[0]["qubits"][2]:
        if figure["name"] in ("T1", "T2"):
            figure["value"] = 0.0 if figure["name"] == "T1" else 1e9
    printed = json.loads(run("ibm_standin", "--qubits", "5", "--json").stdout)
    (broken,) = (qubit for qubit in printed["qubits"] if qubit["physical"] == 2)
    assert broken["t1"] is broken["t2"] is None


def test_what_moved_is_shown_by_place_on_the_device(run, standin):
    service = standin()
    assert run("ibm_standin", "--qubits", "3").exit_code == 0
    (file,) = calibrations.FOLDER.glob("*.json")
    service.devices["ibm_standin"].recalibrate(factor=2.0)
    printed = json.loads(run("--diff", file.stem, "ibm_standin", "--json").stdout)
    stored = Calibration.from_json(file)
    assert [qubit["physical"] for qubit in printed["qubits"]] == sorted(stored.physical_qubits)
    assert len(printed["only_after"]) == 2
    for qubit in printed["qubits"]:
        assert qubit["t1"]["relative"] == pytest.approx(-0.5)
        assert qubit["prob_meas0_prep1"]["after"] == pytest.approx(2 * qubit["prob_meas0_prep1"]["before"])
    assert [pair["error"]["relative"] for pair in printed["pairs"]] == [pytest.approx(1.0)] * 2
    assert printed["before"]["taken_at"] < printed["after"]["taken_at"]
    table = run("--diff", str(file), "ibm_standin")
    assert table.exit_code == 0
    best = stored.qubits[0]
    assert f"{best.t1 * 1e6:.0f} → {best.t1 * 5e5:.0f} -50%" in table.stdout
    assert "only in ibm_standin: 2 qubits" in table.stderr
    assert len(list(calibrations.FOLDER.glob("*.json"))) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ibm_stadin"], "did you mean ibm_standin?"),
        (["ibm_standin"], "ibm_standin (5 qubits) is too small for 6; large enough: none"),
        (["--diff", "fake_manila", "ibm_torino"], "no such device of this account: 'ibm_torino'"),
        (["--diff", "fake_manila_5q", "fake_torino_6q"], "no qubit in common"),
        (["--diff", "fake_manila", "nothing"], "no such calibration: 'nothing'"),
        (["ibm_standin", "--diff", "fake_manila", "fake_lima"], "give a device to calibrate"),
        ([], "give a device to calibrate, such as fake_boston, or --diff A B"),
    ],
)
def test_wrong_input_about_live_devices_ends_in_one_line(run, standin, words, says, tmp_path):
    standin([StandInDevice()])
    result = run(*words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("*.json"))


def test_without_an_account_there_is_one_line(run, standin, monkeypatch):
    standin()
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    result = run("ibm_torino")
    assert result.exit_code == 2
    assert "set QISKIT_IBM_TOKEN" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["fake_bostn"], "did you mean fake_boston?"),
        (["fake_manila", "--qubits", "9"], "fake_manila has 5 qubits, not 9; choose 1 to 5"),
        (["fake_manila", "--qubits", "0"], "greater than or equal to 1"),
        (["fake_kyoto"], "no 6 working qubits of fake_kyoto are connected"),
        (["fake_manila", "--qubits", "2", "--output", "/dev/null/x.json"], "cannot be written"),
    ],
)
def test_wrong_input_ends_in_one_line(run, words, says, tmp_path):
    result = run(*words)
    assert result.exit_code == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob("*.json"))


def test_the_least_busy_device_is_one_that_is_large_enough(run, standin):
    small, large = StandInDevice("ibm_small"), StandInDevice("ibm_large", "fake_torino", queue_length=5)
    standin([small, large])
    result = run("ibm_runtime", "--qubits", "20", "--output", "own.json")
    assert result.exit_code == 0, result.output
    assert Calibration.from_json("own.json").device == "ibm_large"
