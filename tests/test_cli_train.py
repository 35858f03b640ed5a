"""`qshield train` and `qshield evaluate` as they are typed."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hearing import COMMAND
from waiting import wait_until

SMALL = ["data.train_images=200", "data.test_images=40", "training.epochs=1", "circuit.num_qubits=2"]


def test_train_evaluate_and_resume(qshield):
    trained = qshield("train", *SMALL)
    assert trained.exit_code == 0, trained.stderr
    assert "ODR" in trained.stdout
    (run,) = Path("runs/digits").iterdir()
    assert (
        f"next  qshield attack {run}" in trained.stdout
    )  # last is another run by then, or in another folder
    evaluated = qshield("evaluate", "last", "backend=aer_ideal", "--json")
    assert evaluated.exit_code == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["backend"] == "aer_ideal"
    shown = qshield("evaluate")
    assert "aer_noisy" in shown.stdout and "fake_boston" in shown.stdout
    resumed = qshield("train", "--resume", "last", "--json")
    assert resumed.exit_code == 0, resumed.stderr
    assert json.loads(resumed.stdout)["run"] == json.loads(evaluated.stdout)["run"]


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_training_that_is_stopped_says_how_to_go_on(tmp_path, signum, status):
    words = ["train", *SMALL, "model.branch=none", "training.epochs=5000", "runs=else where"]
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    wait_until(lambda: list(tmp_path.glob("else where/digits/*/checkpoints/last.ckpt")), process)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    (folder,) = tmp_path.glob("else where/digits/*")
    said = err.strip().rpartition("stopped; go on with: ")[2]
    assert shlex.split(said) == ["qshield", "train", "--resume", str(folder.relative_to(tmp_path))]
    assert "Traceback" not in err


def test_commas_make_several_runs(qshield):
    result = qshield("train", *SMALL, "seed=3,4", "model.branch=none", "--json")
    assert result.exit_code == 0, result.stderr
    assert [run["seed"] for run in json.loads(result.stdout)["runs"]] == [3, 4]


def test_a_circuit_of_the_working_directory(qshield, tmp_path):
    (tmp_path / "circuits").mkdir()
    (tmp_path / "circuits" / "mine.py").write_text(
        '"""Mine."""\n'
        "from qiskit import QuantumCircuit\n"
        "from qiskit.circuit import ParameterVector\n"
        "from qshield_qiskit import CircuitTemplate\n"
        "def build(num_qubits):\n"
        "    x = ParameterVector('x', num_qubits)\n"
        "    circuit = QuantumCircuit(num_qubits)\n"
        "    for qubit in range(num_qubits):\n"
        "        circuit.ry(x[qubit], qubit)\n"
        "    return CircuitTemplate(circuit, inputs=x, observables=['Z' * num_qubits])\n"
    )
    result = qshield("train", *SMALL, "circuit=mine", "--json")  # the experiment's reps are not mine
    assert result.exit_code == 0, result.stderr
    refused = qshield("train", *SMALL, "circuit=mine", "circuit.reps=3")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "reps" in refused.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["circuit=ful"], "did you mean full"),
        (["backend=aer_nosy"], "did you mean aer_noisy"),
        (["backend=fake_torin"], "fake_torino"),
        (["training.epoch=3"], "did you mean training.epochs"),
        (["training.epochs=0"], "training.epochs"),
        (["dataset=ciphar10"], "cifar10"),
        (["dataset=chestmnist"], "chestmnist"),
        (["nosuch"], "nosuch"),
        (["backend.calibration=missing.json"], "missing.json"),
        (["dataset.file=broken.npz"], "broken.npz"),
        (["data.train_images=100000"], "there are 1,437"),
        (["--resume", "nowhere"], "nowhere"),
        (["--resume", "last", "seed=1"], "--resume"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(qshield, tmp_path, words, says):
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "missing.json").write_text('{"schema_version": 1, "device": ')
    result = qshield("train", *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert says in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert not (tmp_path / "runs").exists()
