"""What the doctor says about this machine."""

import json
import os

import pytest
from typer.testing import CliRunner

from qshield_qiskit.cli import app, doctor
from qshield_qiskit.devices.service import account


@pytest.fixture
def checks(monkeypatch, tmp_path):
    """Run the doctor in an empty folder and home, with some environment, and give its checks by name."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(doctor, "ROOM_FOR_DATA", 0)  # however full the disk is
    monkeypatch.setattr(account, "SAVED", tmp_path / "home" / "qiskit-ibm.json")
    monkeypatch.delenv("QISKIT_IBM_TOKEN", raising=False)
    monkeypatch.delenv("QSHIELD_DATA", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(**environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        result = CliRunner().invoke(app, ["doctor", "--json"])
        assert result.exit_code == 0
        return {check["name"]: check for check in json.loads(result.stdout)["checks"]}

    return run


def test_everything_is_looked_at_and_nothing_is_changed(checks, tmp_path):
    found = checks()
    assert {
        "python",
        "torch",
        "qiskit",
        "qiskit-aer",
        "threads",
        "gpu",
        "data",
        "runs",
        "ibm account",
    } <= set(found)
    assert all((check["status"] == "warning") == bool(check["remedy"]) for check in found.values())
    assert not list(tmp_path.iterdir())


def test_the_data_folder_is_named_with_its_origin(checks, tmp_path):
    assert found_in(checks(), "data") == "ok"
    found = checks(QSHIELD_DATA=str(tmp_path))
    assert f"{tmp_path} (QSHIELD_DATA)" in found["data"]["says"]


def test_a_data_folder_that_is_a_file_is_a_warning(checks, tmp_path):
    (tmp_path / "data").write_text("")
    found = checks(QSHIELD_DATA=str(tmp_path / "data"))
    assert found_in(found, "data") == "warning"
    assert "QSHIELD_DATA" in found["data"]["remedy"]


def test_runs_that_cannot_be_written_are_a_warning(checks, tmp_path):
    (tmp_path / "runs").write_text("")
    assert found_in(checks(), "runs") == "warning"


def test_an_account_is_mentioned_but_never_shown(checks):
    assert "hardware only" in checks()["ibm account"]["says"]
    found = checks(QISKIT_IBM_TOKEN="top-secret")
    assert "QISKIT_IBM_TOKEN" in found["ibm account"]["says"]
    assert "top-secret" not in json.dumps(found)


def test_a_table_for_people():
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    assert "qiskit-aer" in result.stdout
    assert f"{len(os.sched_getaffinity(0))} cores" in result.stdout


def found_in(checks, name):
    return checks[name]["status"]
