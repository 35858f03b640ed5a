"""The command that writes calibrations."""

import json

import pytest
from typer.testing import CliRunner

from qshield_qiskit import catalog
from qshield_qiskit.cli import app
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
