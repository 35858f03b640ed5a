"""Names to files: three places, the later winning; listing runs nothing, loading explains what is wrong."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import qshield_qiskit
from qshield_qiskit import catalog
from qshield_qiskit.errors import InputError
from qshield_qiskit.modules import load_module

GOOD = '''"""Turns {what}.

More to say.
"""

from dataclasses import dataclass

from qshield_qiskit.quantum.layered import layered_circuit


@dataclass
class Pattern:
    name: str = "{what}"


def build(num_qubits, depth=1):
    return layered_circuit(Pattern().name, num_qubits, [], encoding="angle", reps=depth)
'''


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in catalog.SUFFIXES:
        (tmp_path / kind).mkdir()
    return tmp_path


def checkout(folder: Path) -> Path:
    """Make a folder look like a clone of the project."""
    (folder / "src" / "qshield_qiskit").mkdir(parents=True)
    (folder / "src" / "qshield_qiskit" / "catalog.py").touch()
    return folder


@pytest.mark.parametrize("kind", sorted(catalog.SUFFIXES))
def test_everything_shipped_is_found_and_described(here, kind):
    found = catalog.find(kind)
    assert found
    assert list(found) == sorted(found)
    for name, entry in found.items():
        assert (entry.kind, entry.name, entry.origin) == (kind, name, "shipped")
        assert entry.path.is_file()
        assert entry.summary.endswith(".")


def test_a_file_in_the_working_directory_is_found_and_wins(here):
    (here / "circuits" / "mine.py").write_text(GOOD.format(what="mine"))
    (here / "circuits" / "full.py").write_text(GOOD.format(what="full anew"))
    found = catalog.find("circuits")
    assert (found["mine"].summary, found["mine"].origin) == ("Turns mine.", "here")
    assert (found["full"].origin, found["star"].origin) == ("here", "shipped")
    assert catalog.load_circuit("mine", 3, depth=2).num_weights == 18
    assert catalog.load_circuit("full", 2).name == "full anew"


def test_the_checkout_comes_between(here, monkeypatch):
    clone = checkout(here)
    (clone / "circuits" / "mine.py").write_text(GOOD.format(what="the clone's"))
    (clone / "circuits" / "star.py").write_text(GOOD.format(what="the clone's star"))
    assert catalog.find("circuits")["mine"].origin == "checkout"
    below = clone / "work" / "deep"
    (below / "circuits").mkdir(parents=True)
    (below / "circuits" / "mine.py").write_text(GOOD.format(what="mine"))
    monkeypatch.chdir(below)
    found = catalog.find("circuits")
    assert {name: found[name].origin for name in ("mine", "star", "full")} == {
        "mine": "here",
        "star": "checkout",
        "full": "shipped",
    }


def test_names_may_have_a_folder(here):
    (here / "experiments" / "thesis").mkdir()
    (here / "experiments" / "thesis" / "one.yaml").write_text("# First try.\nseed: 1\n")
    entry = catalog.find("experiments")["thesis/one"]
    assert (entry.summary, entry.origin) == ("First try.", "here")


def test_a_path_is_taken_as_it_stands(here):
    (here / "elsewhere.py").write_text(GOOD.format(what="elsewhere"))
    assert catalog.load_circuit("elsewhere.py", 2).name == "elsewhere"
    with pytest.raises(InputError, match=r"nowhere\.py: no such file"):
        catalog.load_circuit("nowhere.py", 2)


def test_listing_runs_nothing_and_hides_private_files(here):
    (here / "circuits" / "loud.py").write_text('"""Shouts."""\nraise SystemExit("was run")\n')
    (here / "circuits" / "_helper.py").write_text("raise SystemExit('was run')\n")
    (here / "circuits" / "broken.py").write_text("def build(:\n")
    (here / "circuits" / "silent.py").write_text("")
    found = catalog.find("circuits")
    assert found["loud"].summary == "Shouts."
    assert "cannot be read" in found["broken"].summary
    assert found["silent"].summary == ""
    assert "_helper" not in found


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("def build(:\n", "SyntaxError: invalid syntax (mine.py, line 1)"),
        (
            "import os\nimport no_such_module\n",
            "mine.py:2: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("x = 1\n\n1 / 0\n", "mine.py:3: ZeroDivisionError: division by zero"),
        ("raise ValueError('one\\ntwo')\n", "ValueError: one"),
        ("x = 1\n", "has no function build(num_qubits, ...)"),
        ("build = 3\n", "has no function build(num_qubits, ...)"),
        ("def build(): return 3\n", "its first must be num_qubits"),
        ("def build(num_qubits): return 3\n", "build returned int, not a CircuitTemplate"),
        ("def build(num_qubits):\n    return 1 + ''\n", "mine.py:2: TypeError: unsupported operand"),
        (
            "from qiskit import QuantumCircuit\ndef build(num_qubits):\n    QuantumCircuit(1).h(num_qubits)\n",
            "mine.py:3: CircuitError: 'Index 2 out of range",
        ),
    ],
)
def test_a_file_that_is_no_circuit_is_named_with_the_reason(here, content, says):
    (here / "circuits" / "mine.py").write_text(content)
    with pytest.raises(InputError) as caught:
        catalog.load_circuit("mine", 2)
    assert says in str(caught.value)
    assert str(here / "circuits" / "mine.py") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_are_held_to_what_build_declares(here):
    (here / "circuits" / "mine.py").write_text(GOOD.format(what="mine"))
    with pytest.raises(InputError, match=r"declares no setting 'reps' \(known: depth\)"):
        catalog.load_circuit("mine", 2, reps=2)
    with pytest.raises(InputError, match="did you mean depth"):
        catalog.load_circuit("mine", 2, dept=2)
    (here / "circuits" / "mine.py").write_text("def build(num_qubits, angle): return None\n")
    with pytest.raises(InputError, match="needs a value for angle"):
        catalog.load_circuit("mine", 2)
    (here / "circuits" / "open.py").write_text(
        "from qshield_qiskit.catalog import load_circuit\n"
        "def build(num_qubits, **settings): return load_circuit('star', num_qubits, **settings)\n"
    )
    assert catalog.load_circuit("open", 2, reps=3).num_weights == 18
    with pytest.raises(InputError, match=r"star\.py: build declares no setting 'depth'") as caught:
        catalog.load_circuit("open", 2, depth=3)
    assert "open.py" not in str(caught.value)


def test_unknown_names():
    with pytest.raises(InputError, match="no such circuit: 'ful'; did you mean full"):
        catalog.load_circuit("ful", 2)
    with pytest.raises(
        InputError, match=r"no such backend: 'aer_nosy'; did you mean aer_noisy.*fake_<device>"
    ):
        catalog.load_backend("aer_nosy", 2)
    with pytest.raises(InputError, match="fake_torino"):
        catalog.load_backend("fake_tornio", 2)
    with pytest.raises(InputError, match="declares no setting 'p'"):
        catalog.load_backend("fake_torino", 2, p=0.1)


def test_a_fake_device_needs_no_file_but_a_file_goes_first(here):
    assert catalog.load_backend("fake_manila", 2).calibration.device == "fake_manila"
    (here / "backends" / "fake_manila.py").write_text(
        "from qshield_qiskit.catalog import load_backend\n"
        "def build(num_qubits): return load_backend('aer_ideal', num_qubits)\n"
    )
    assert catalog.load_backend("fake_manila", 2).name == "aer_ideal"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dynamical_decoupling": ["XX"]}, r"backend\.dynamical_decoupling=\['XX'\]: expected null or XX"),
        ({"twirling": "no"}, r"backend\.twirling=no: expected true or false"),
        ({"resilience_level": [1]}, r"backend\.resilience_level=\[1\]: expected 0, 1 or 2"),
    ],
)
def test_options_of_a_device_of_the_wrong_kind_are_refused_in_one_line(options, says):
    with pytest.raises(InputError, match=says):
        catalog.load_backend("fake_manila", 2, **options)


def test_a_backend_without_room_for_its_source_is_refused_in_one_line(here):
    (here / "backends" / "slim.py").write_text(
        "class Slim:\n"
        "    __slots__ = ('noise_model',)\n"
        "    def __init__(self): self.noise_model = None\n"
        "    def transpile(self, circuit): return circuit\n"
        "def build(num_qubits): return Slim()\n"
    )
    with pytest.raises(InputError, match=r"backend slim: build returned a Slim, .*__slots__"):
        catalog.load_backend("slim", 2)


def test_modules_are_private_fresh_and_leave_no_trace(here):
    file = here / "module.py"
    file.write_text("VALUE = 1\n")
    first = load_module(file)
    file.write_text("VALUE = 2\n")  # within the same second, and of the same size
    second = load_module(file)
    assert (first.VALUE, second.VALUE) == (1, 2)
    assert sys.modules[second.__name__] is second
    assert second.__name__.startswith("_qshield_")
    assert "module" not in sys.modules
    assert not (here / "__pycache__").exists()
    file.write_text("1 / 0\n")
    with pytest.raises(InputError):
        load_module(file)
    assert second.__name__ not in sys.modules


def test_an_installed_package_ships_its_own_copies(tmp_path):
    package = Path(qshield_qiskit.__file__).parent
    site = tmp_path / "site"
    # A wheel has the circuits there already, a checkout has not.
    left_out = shutil.ignore_patterns("__pycache__", "circuits")
    shutil.copytree(package, site / "qshield_qiskit", ignore=left_out)
    (site / "qshield_qiskit" / "shipped" / "circuits").mkdir()
    (site / "qshield_qiskit" / "shipped" / "circuits" / "only.py").write_text(GOOD.format(what="only"))
    (tmp_path / "empty").mkdir()
    script = (
        "from qshield_qiskit.catalog import find\n"
        "print(*(f'{entry.name}:{entry.origin}' for entry in find('circuits').values()))"
    )
    before = os.environ.get("PYTHONPATH")  # where what it depends on may lie
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *([before] if before else [])])}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "empty",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["only:shipped"]
