"""The command line: help without heavy imports, list, show, and one line with status 2 for wrong input."""

import json
import subprocess
import sys
from importlib.metadata import version

import pytest
from PIL import Image
from typer.testing import CliRunner

from qshield_qiskit import catalog, data
from qshield_qiskit.cli import COMMANDS, app
from qshield_qiskit.cli.console import split_arguments, stdout_kept_for_json
from qshield_qiskit.config import load_settings
from qshield_qiskit.errors import InputError


def qshield(*words: str):
    return CliRunner().invoke(app, list(words), env={"COLUMNS": "80"})


def shown_as_json(*words: str) -> dict:
    result = qshield(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_help_names_every_command_and_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from qshield_qiskit.cli import main\n"
        "sys.argv = ['qshield']\n"
        "try: main()\n"
        "finally: print({'torch', 'qiskit', 'matplotlib', 'lightning'} & set(sys.modules), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "set()"
    for name in COMMANDS:
        assert f" {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    result = qshield(name, "--help")
    assert result.exit_code == 0
    assert f"qshield {name}" in result.stdout or f" {name} [OPTIONS]" in result.stdout


def test_python_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "qshield_qiskit", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"qshield {version('qshield-qiskit')}\n"


def test_list_shows_everything_and_where_it_is_from():
    listed = shown_as_json("list")
    assert list(listed) == ["circuits", "backends", "experiments", "datasets", "attacks"]
    for kind in catalog.SUFFIXES:
        for name, entry in catalog.find(kind).items():
            row = {"name": name, "summary": entry.summary, "origin": entry.origin, "path": str(entry.path)}
            assert row in listed[kind]
    assert "fake_<device>" in {row["name"] for row in listed["backends"]}
    assert {row["name"]: row["summary"] for row in listed["datasets"]} == data.known()


def test_a_table_in_a_pipe_is_not_cut():
    lines = CliRunner().invoke(app, ["list", "experiments"], env={"COLUMNS": None}).stdout.splitlines()
    assert "…" not in "".join(lines)
    assert len(lines) == 2 + len(catalog.find("experiments"))  # title, headings, and none is folded


@pytest.mark.parametrize("kind", ["circuits", "backends", "experiments", "datasets"])
def test_list_prints_a_table_that_fits(kind):
    result = qshield("list", kind)
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    for row in shown_as_json("list", kind)[kind]:
        assert row["name"] in result.stdout


def test_list_shows_a_file_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "circuits").mkdir()
    (tmp_path / "circuits" / "mine.py").write_text('"""My very own."""\n')
    result = qshield("list", "circuits")
    assert "mine      My very own." in result.stdout
    assert "here" in result.stdout


@pytest.mark.parametrize("name", sorted(catalog.find("circuits")))
def test_every_circuit_is_drawn_within_the_terminal(name):
    result = qshield("show", "circuit", name)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"{name}  ")
    assert all(len(line) <= 80 for line in lines)
    assert "q_3:" in result.stdout and "x[11]" in result.stdout
    assert "layer_end" not in result.stdout.lower()
    assert "4 qubits, 12 inputs, 12 weights, 16 outputs" in lines[-1]


def test_show_circuit_takes_settings():
    facts = shown_as_json("show", "circuit", "star", "num_qubits=3", "circuit.reps=2", "readout=[ZZZ]")
    counted = {key: facts[key] for key in ("qubits", "inputs", "weights", "outputs", "two_qubit_gates")}
    assert counted == {"qubits": 3, "inputs": 9, "weights": 18, "outputs": 1, "two_qubit_gates": 4}


@pytest.mark.parametrize("options", [[], ["encoding=zz", "reps=2", "reupload=true"], ["ansatz=none"]])
def test_show_circuit_draws_a_picture(tmp_path, options):
    file = tmp_path / "full.png"
    result = qshield("show", "circuit", "full", *options, "--png", str(file))
    assert result.exit_code == 0
    assert str(file) in result.stderr.replace("\n", "")
    with Image.open(file) as image:
        width, height = image.size
        colours = {colour for _, colour in image.convert("RGB").getcolors(width * height)}
    assert width > 500 and height > 200
    assert (0x25, 0x63, 0xA8) in colours  # a gate that an input turns
    assert ((0xE3, 0x9A, 0x2D) in colours) == ("ansatz=none" not in options)


def test_show_circuit_of_ones_own_with_a_setting_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        '"""Mine."""\n'
        "from qshield_qiskit.quantum.layered import layered_circuit\n"
        "def build(num_qubits, layers=1):\n"
        "    return layered_circuit('mine', num_qubits, [], reps=layers)\n"
    )
    assert shown_as_json("show", "circuit", "mine.py", "layers=5", "num_qubits=2")["weights"] == 30


def test_show_experiment_prints_yaml_that_loads_back(tmp_path):
    result = qshield("show", "experiment", "paper/digits", "seed=3")
    file = tmp_path / "shown.yaml"
    file.write_text(result.stdout)
    expected = load_settings("paper/digits", ["seed=3"])
    assert load_settings(file) == expected
    assert shown_as_json("show", "experiment", "paper/digits", "seed=3")["settings"] == expected.model_dump(
        mode="json"
    )


def test_show_backend():
    facts = shown_as_json("show", "backend", "aer_noisy", "num_qubits=3", "calibration=fake_torino_6q")
    assert (facts["device"], facts["qubits"], len(facts["physical_qubits"])) == ("fake_torino", 3, 3)
    assert shown_as_json("show", "backend", "aer_ideal")["noisy"] is False
    assert "fake_boston" in qshield("show", "backend", "aer_noisy").stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("lst", "No such command 'lst'. Did you mean 'list'?"),
        ("list circuit", "no such kind: 'circuit'; did you mean circuits?"),
        ("list --fast", "No such option: --fast"),
        ("list circuits backends", "unexpected extra argument"),
        ("show", "Missing argument"),
        ("show circuit", "Missing argument"),
        ("show circuits full", "no such kind: 'circuits'; did you mean circuit?"),
        ("show circuit ful", "no such circuit: 'ful'; did you mean full?"),
        ("show circuit full repz=2", "no setting 'repz'; did you mean reps?"),
        ("show circuit full num_qubits=0", "circuit.num_qubits=0: expected at least 1"),
        ("show circuit full encoding=angel", "no such encoding: 'angel'; did you mean angle?"),
        ("show circuit full readout=[ZZ]", "observable ZZ acts on 2 qubits, the circuit has 4"),
        ("show circuit full reps", "expected key=value"),
        ("show circuit full --png picture", "expected a file's name with an ending, such as circuit.png"),
        ("show circuit full --png .", "expected a file's name with an ending, such as circuit.png"),
        ("show circuit full --png no/such/folder.png", "there is no folder"),
        ("show circuit full --png picture.txt", "'txt' is not supported"),
        ("show backend aer_ideal --png x.png", "there is no picture of a backend"),
        ("show backend aer_nosy", "no such backend: 'aer_nosy'; did you mean aer_noisy?"),
        ("show backend aer_noisy calibration=fake_nowhere", "fake_nowhere"),
        ("show backend aer_noisy p=0.1", "declares no setting 'p'"),
        ("show experiment mnits", "no such experiment: 'mnits'; did you mean mnist?"),
        ("show experiment mnist training.epoch=1", "did you mean training.epochs?"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    result = qshield(*words.split())
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "split"),
    [
        (None, (None, [])),
        (["mnist"], ("mnist", [])),
        (["mnist", "seed=1", "circuit=full"], ("mnist", ["seed=1", "circuit=full"])),
        (["seed=1"], (None, ["seed=1"])),
        (["runs/a b/c", "x=1"], ("runs/a b/c", ["x=1"])),
    ],
)
def test_split_arguments(words, split):
    assert split_arguments(words) == split


def test_an_empty_name_is_not_taken_for_none():
    with pytest.raises(InputError, match=r"^'': expected a name"):
        split_arguments(["", "seed=1"])


def test_libraries_print_to_stderr_while_json_is_wanted(capsys):
    with stdout_kept_for_json(True):
        print("chatter")
    with stdout_kept_for_json(False):
        print("result")
    assert capsys.readouterr() == ("result\n", "chatter\n")


ENDINGS = {
    "wrong": ("raise InputError('two\\nlines')", 2, "error: two lines\n"),
    "away": ("raise UnavailableError('no answer')", 1, "error: no answer\n"),
    "stop": ("raise KeyboardInterrupt", 130, ""),
    "unanswered": ("typer.confirm('send it?', err=True)", 130, "send it? [y/N]:\n"),
    "leave": ("raise typer.Exit(3)", 3, ""),
    "fine": ("return", 0, ""),
    "seven": ("return 7", 7, ""),
}


@pytest.fixture(scope="module")
def endings(tmp_path_factory):
    """A command line of its own whose commands end in all possible ways."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "endings").mkdir()
    for name, body in {**{name: end[0] for name, end in ENDINGS.items()}, "bug": "1 / 0"}.items():
        (folder / "endings" / f"{name}.py").write_text(
            f'"""Ends by {name}."""\nimport typer\n'
            "from qshield_qiskit.errors import InputError, UnavailableError\n"
            f"def command():\n    {body}\n"
        )
    (folder / "endings" / "__init__.py").write_text(
        "import typer\n"
        "from qshield_qiskit.cli.group import LazyGroup\n"
        "class Endings(LazyGroup):\n"
        f"    names, package = {(*ENDINGS, 'bug')!r}, __name__\n"
        "app = typer.Typer(cls=Endings, add_completion=False, pretty_exceptions_enable=False)\n"
        "@app.callback()\n"
        "def endings(): 'End.'\n"
    )
    return folder


@pytest.mark.parametrize("name", [*ENDINGS, "bug"])
def test_how_commands_end(endings, name):
    done = subprocess.run(
        [sys.executable, "-c", "from endings import app; app()", name],
        cwd=endings,
        input="",
        check=False,
        capture_output=True,
        text=True,
    )
    if name == "bug":
        assert done.returncode == 1
        assert "Traceback" in done.stderr and "ZeroDivisionError" in done.stderr
    else:
        _, status, stderr = ENDINGS[name]
        assert (done.returncode, done.stderr) == (status, stderr)


def test_list_knows_every_attack_and_preset_without_importing_art():
    from qshield_qiskit.robustness.attacks import ATTACKS, PRESETS

    listed = {row["name"]: row["summary"] for row in shown_as_json("list", "attacks")["attacks"]}
    assert list(listed) == [*ATTACKS, *PRESETS]
    for name, attack in ATTACKS.items():
        assert listed[name] == attack.__doc__.split("\n")[0]
    script = (
        "import sys; from qshield_qiskit.cli.list import attacks; attacks(); "
        "print({'art', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_show_lists_an_attacks_parameters():
    shown = shown_as_json("show", "attack", "pgd", "preset=paper", "restarts=3")
    assert shown["parameters"] == {"restarts": 3, "steps": 10, "step_size": 2 / 255}
    assert (shown["bounded"], shown["norms"]) == (True, ["linf", "l2"])
    text = qshield("show", "attack", "pgd").stdout
    assert "Projected gradient descent" in text
    assert "Length of a step" in text


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["pdg"], "no such attack: 'pdg'; did you mean pgd?"),
        (["pgd", "preset=papers"], "no such attack preset: 'papers'; did you mean paper?"),
        (["pgd", "step=3"], "no such setting: 'step'; did you mean steps?"),
        (["pgd", "steps=0"], "steps=0: expected at least 1"),
    ],
)
def test_show_attack_refuses_in_one_line(words, line):
    result = qshield("show", "attack", *words)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert line in result.stderr
