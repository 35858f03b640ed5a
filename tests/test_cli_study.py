"""`qshield study` as it is typed, and what the study of circuits leaves behind."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from qshield_qiskit import catalog
from qshield_qiskit.config import CircuitStudySettings
from qshield_qiskit.devices.footprint import footprint
from qshield_qiskit.studies import settings
from qshield_qiskit.studies.circuits import study_circuits

QUICK = [
    "num_qubits=3",
    "samples=300",
    "circuits=none,linear",
    "reps=1,2",
    "calibrations=fake_manila_5q",
]


def test_the_study_of_circuits(qshield):
    shown = qshield("study", "circuits", *QUICK)
    assert shown.exit_code == 0, shown.stderr
    assert "expressibility" in shown.stdout and "uniform states" in shown.stdout
    folder = Path("studies/circuits")
    names = {path.name for path in folder.iterdir()}
    figures = {f"{name}.{kind}" for name in ("expressibility", "cost") for kind in ("png", "svg")}
    assert names == figures | {"circuits.json", "circuits.csv", "circuits.md"}
    facts = json.loads((folder / "circuits.json").read_text())
    assert [(row["circuit"], row["reps"]) for row in facts["rows"]] == [
        ("none", 1),
        ("none", 2),
        ("linear", 1),
        ("linear", 2),
    ]
    none, _, linear, deeper = facts["rows"]
    assert none["entangling_capability"] == pytest.approx(0, abs=1e-12)
    assert linear["entangling_capability"] > 0.3
    assert deeper["expressibility"] < linear["expressibility"]
    for row in facts["rows"]:
        for key in ("expressibility", "entangling_capability"):
            assert row[f"{key}_low"] <= row[key] <= row[f"{key}_high"]
    expected = footprint(catalog.load_circuit("linear", 3).circuit, "fake_manila_5q")
    assert linear["devices"][0] == vars(expected)
    with (folder / "circuits.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4
    assert float(lines[2]["success"]) == expected.success
    text = (folder / "circuits.md").read_text()
    assert f"qshield study circuits {' '.join(QUICK)}" in text
    assert "| linear | 2 | 9 | 18 |" in text
    assert "fake_manila_5q (2024-05-27)" in text


def test_the_same_seed_gives_the_same_figures_and_another_another(qshield):
    few = ["circuits=star", "reps=1", "num_qubits=2", "samples=200", "calibrations=fake_fez_4q"]
    first, again = (
        json.loads(qshield("study", "circuits", *few, f"output={place}", "--json").stdout) for place in "ab"
    )
    other = study_circuits(settings(CircuitStudySettings, [*few, "seed=1"]))
    assert first["rows"] == again["rows"]
    assert first["rows"][0]["expressibility"] != other["rows"][0]["expressibility"]
    assert Path("a/circuits.md").is_file()
    assert Path("a/expressibility.png").read_bytes() == Path("b/expressibility.png").read_bytes()


def test_circuits_of_ones_own_and_too_large_for_any_device(qshield, tmp_path):
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
        "    return CircuitTemplate(circuit, inputs=x)\n"
    )
    result = qshield("study", "circuits", "circuits=mine", "reps=1", "num_qubits=9", "samples=100", "--json")
    assert result.exit_code == 0, result.stderr
    facts = json.loads(result.stdout)
    assert facts["calibrations"] == {} and facts["rows"][0]["devices"] == []
    assert not any("cost" in name for name in facts["files"])
    refused = qshield("study", "circuits", "circuits=mine", "reps=2", "samples=100")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "reps" in refused.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["circuit"], "did you mean circuits"),
        (["circuits", "circuits=linar"], "did you mean linear"),
        (["circuits", "sample=3"], "did you mean samples"),
        (["circuits", "samples=3"], "at least 100"),
        (["circuits", "num_qubits=1"], "at least 2"),
        (["circuits", "reps=0"], "reps"),
        (["circuits", "reps=a,b"], "reps"),
        (["circuits", "circuits=[]"], "circuits=[]: expected one or more"),
        (["circuits", "reps=[]"], "reps=[]: expected one or more"),
        (["circuits", "calibrations=[]"], "calibrations=[]: expected one or more"),
        (["circuits", "calibrations=fake_fez"], "fake_fez_4q"),
        (["circuits", "calibrations=fake_fez_4q", "num_qubits=5"], "fewer than 5 qubits"),
        (["circuits", "encoding=angel"], "did you mean angle"),
        (
            ["circuits", "circuits=none", "samples=100", "reps=1", "output=file", "num_qubits=9"],
            "output=file",
        ),
    ],
)
def test_wrong_input_is_one_line(qshield, tmp_path, words, says):
    (tmp_path / "file").write_text("")
    result = qshield("study", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert not (tmp_path / "studies").exists()
