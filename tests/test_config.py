"""The settings tree: defaults, ranges, overrides, files, and the one line that each mistake gets."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from qshield_qiskit import catalog
from qshield_qiskit.config import Settings, load_settings, named_sections
from qshield_qiskit.errors import InputError
from qshield_qiskit.overrides import difference, expand, parse

EXPERIMENTS = sorted(catalog.find("experiments"))

WORDS = st.text("abcdefghij_XYZ0123456789", min_size=1, max_size=12).filter(
    lambda word: not word[0].isdigit()
)
COUNTS = st.integers(1, 10**6)
POSITIVE = st.floats(1e-12, 1e6)
LEAVES = {
    "seed": st.integers(0, 2**32 - 1),
    "dataset.name": WORDS,
    "dataset.file": st.none() | WORDS,
    "data.root": st.none() | WORDS,
    "data.validation_fraction": st.just(0.0) | st.floats(1e-6, 1 - 1e-6),
    "data.train_images": st.none() | COUNTS,
    "circuit.name": WORDS,
    "circuit.num_qubits": st.none() | st.integers(1, 20),
    "circuit.reps": st.none() | COUNTS,
    "circuit.readout": st.none()
    | WORDS
    | st.lists(st.text("IXYZ", min_size=2, max_size=4), min_size=1, max_size=3),
    "circuit.reupload": st.none() | st.booleans(),
    "circuit.options": st.dictionaries(WORDS, COUNTS | st.booleans() | WORDS, max_size=3),
    "backend.name": WORDS,
    "backend.calibration": st.none() | WORDS,
    "backend.p": st.none() | st.floats(0, 1),
    "model.backbone": st.sampled_from(["small_cnn", "resnet18", "dnn"]),
    "model.fusion": st.sampled_from(
        ["dynamic", "entropy", "weighted_sum", "product", "disagreement", "quantum_only", "classical_only"]
    ),
    "model.pretrained": st.booleans(),
    "model.features": st.sampled_from(["backbone", "logits"]),
    "model.projection": st.sampled_from(["trained", "random_expansion"]),
    "model.readout": st.sampled_from(["trained", "basis_states"]),
    "training.epochs": COUNTS,
    "training.learning_rate": POSITIVE,
    "training.devices": COUNTS | st.just("auto"),
    "training.lipschitz_weight": st.floats(0, 1e3),
    "training.defence.name": st.sampled_from(["none", "pgd", "trades", "fast", "free", "noise"]),
    "training.defence.epsilon": st.floats(1e-6, 1),
    "training.defence.warmup_epochs": st.floats(0, 100),
    "training.defence.random_start": st.booleans(),
    "training.defence.noise.kinds": st.lists(
        st.sampled_from(["gaussian", "poisson"]), min_size=1, max_size=2
    ),
    "training.noise_aware": st.none() | st.floats(0, 10) | st.lists(WORDS, min_size=1, max_size=3),
    "training.patience": st.none() | COUNTS,
    "evaluation.images": st.none() | COUNTS,
    "runs": WORDS,
}
"""Settings and the values that they may take."""

CHANGES = st.fixed_dictionaries({}, optional=LEAVES)


def leaf(tree: Settings, key: str):
    for part in key.split("."):
        tree = getattr(tree, part)
    return str(tree) if isinstance(tree, Path) else list(tree) if isinstance(tree, tuple) else tree


def dotted(changes: dict) -> list[str]:
    return [f"{key}={json.dumps(value)}" for key, value in changes.items()]


@given(CHANGES)
def test_what_is_typed_is_what_is_set(changes):
    found = load_settings("digits", dotted(changes))
    assert {key: leaf(found, key) for key in changes} == changes


@settings(max_examples=50)
@given(CHANGES)
def test_saved_settings_load_back_equal(tmp_path_factory, changes):
    found = load_settings("digits", dotted(changes))
    file = tmp_path_factory.mktemp("run") / "config.yaml"
    file.write_text(found.to_yaml())
    assert load_settings(file) == found
    assert load_settings(str(file)) == found


@settings(max_examples=50)
@given(CHANGES, CHANGES)
def test_the_later_override_wins(first, second):
    both = load_settings("digits", [*dotted(first), *dotted(second)])
    expected = dict(first) | second
    if "circuit.options" in first and "circuit.options" in second:
        expected["circuit.options"] = first["circuit.options"] | second["circuit.options"]
    assert {key: leaf(both, key) for key in expected} == expected


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_names_and_numbers(name):
    found = load_settings(name)
    assert found.experiment == name
    assert Settings.model_validate(yaml.safe_load(found.to_yaml())) == found
    entry = catalog.entry("experiments", name)
    assert entry.summary.endswith(".")
    assert len(entry.summary) < 80
    template = catalog.load_circuit(
        found.circuit.name, found.circuit.qubits_for(10), **found.circuit.build_options()
    )
    assert template.num_qubits == 4
    backend = catalog.load_backend(found.backend.name, 2, **found.backend.build_options())
    assert backend.num_qubits == 2


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name.startswith("paper/")])
def test_the_papers_choices(name):
    found = load_settings(name)
    assert (found.circuit.ansatz, found.circuit.encoding) == ("none", "enhanced_angle")
    assert (found.backend.name, found.backend.channel, found.backend.p) == ("paper_noise", "mixed", 0.005)
    assert (found.training.epochs, found.training.batch_size) == (10, 128)
    assert (found.training.learning_rate, found.training.weight_decay) == (1e-3, 1e-4)
    assert found.model.fusion == "dynamic"


def sections(model: type[BaseModel]):
    yield model
    for field in model.model_fields.values():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from sections(field.annotation)


def test_every_setting_has_a_sentence():
    for section in sections(Settings):
        for name, field in section.model_fields.items():
            assert field.description and field.description.endswith((".", "...")), (
                f"{section.__name__}.{name}"
            )


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().training.epochs = 3


@pytest.mark.parametrize(
    ("classes", "qubits"), [(2, 2), (3, 2), (4, 2), (5, 3), (8, 3), (9, 4), (10, 4), (11, 4)]
)
def test_a_basis_state_for_every_class(classes, qubits):
    assert Settings().circuit.qubits_for(classes) == qubits
    assert load_settings(None, ["circuit.num_qubits=6"]).circuit.qubits_for(classes) == 6


def test_only_what_is_set_reaches_build():
    assert Settings().circuit.build_options() == {}
    given_some = load_settings(None, ["circuit.reps=2", "circuit.num_qubits=3", "circuit.options.angle=0.5"])
    assert given_some.circuit.build_options() == {"reps": 2, "angle": 0.5}
    assert load_settings(None, ["backend.p=0"]).backend.build_options() == {"p": 0.0}
    assert load_settings("paper/digits", ["backend.p=null"]).backend.build_options() == {"channel": "mixed"}


def test_a_sections_name_can_be_typed_alone():
    assert named_sections() >= {"circuit", "backend", "dataset"}
    found = load_settings("digits", ["circuit=star", "backend=aer_ideal", "dataset=mnist"])
    assert (found.circuit.name, found.backend.name, found.dataset.name) == ("star", "aer_ideal", "mnist")
    assert found.experiment == "digits"


@pytest.mark.parametrize(
    ("overrides", "experiment"),
    [
        ([], "digits"),
        (["dataset=mnist"], "mnist"),
        (["dataset.name=mnist"], "mnist"),
        (["dataset=breastmnist"], "digits"),
        (["dataset.file=mine.npz"], "digits"),
    ],
)
def test_without_an_experiment_the_dataset_chooses_it(overrides, experiment):
    assert load_settings(None, overrides).experiment == experiment


def test_a_file_of_ones_own(tmp_path):
    file = tmp_path / "my first try.yaml"
    file.write_text("# mine\nbackend: aer_ideal\ntraining:\n  learning_rate: 1e-4\n")
    found = load_settings(file, ["seed=3"])
    assert (found.experiment, found.backend.name, found.seed) == ("my-first-try", "aer_ideal", 3)
    assert found.training.learning_rate == 1e-4


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("training.epoch=3", "no such setting: 'training.epoch'; did you mean training.epochs?"),
        ("trainin.epochs=3", "no such setting: 'trainin.epochs'; did you mean training.epochs?"),
        ("epochs=3", "did you mean training.epochs?"),
        ("sed=3", "did you mean seed?"),
        ("a.b.c=3", "no such setting: 'a.b.c'"),
        ("training.epochs=0", "training.epochs=0: expected at least 1"),
        ("training.epochs=many", "training.epochs=many: expected a whole number"),
        ("training.epochs=2.5", "training.epochs=2.5: expected a whole number"),
        ("training.epochs.x=1", "expected a whole number"),
        ("training.learning_rate=0", "expected more than 0"),
        ("training.learning_rate=1e38", "expected at most 1e+30"),  # a step of Adam would overflow
        ("training.weight_decay=1e39", "expected at most 1e+30"),
        ("training.noise_aware=1000", "training.noise_aware=1000: expected at most 10"),
        ("training.noise_aware=[]", "training.noise_aware=[]: expected"),
        ("training.defence.noise.kinds=[]", "training.defence.noise.kinds=[]: expected"),
        ("circuit.options.num_qubits=3", "num_qubits=3 is no option; try circuit.num_qubits=3"),
        ("circuit.options.name=x", "name=x is no option; try circuit.name=x"),
        ("backend.options.num_qubits=3", "num_qubits=3 is no option; try circuit.num_qubits=3"),
        ("backend.options.name=x", "name=x is no option; try backend.name=x"),
        ("certificate.radii=[0.1,inf]", "certificate.radii=inf: expected numbers or fractions above 0"),
        ("certificate.radii=[nan]", "certificate.radii=nan: expected numbers"),
        ("attack.epsilon=[]", "attack.epsilon=[]: expected"),
        ("attack.epsilon=0", "attack.epsilon=0.0: expected more than 0 and at most 1"),
        ("attack.epsilon=0:0:2", "attack.epsilon=0:0:2: expected more than 0"),
        ("attack.epsilon=-0.1:0.1:3", "expected more than 0"),
        ("attack.epsilon=inf", "attack.epsilon=inf: expected more than 0 and at most 1"),
        ("attack.epsilon=1.5", "expected more than 0 and at most 1"),
        ("attack.epsilon=x", "attack.epsilon=x: expected a number"),
        ("training.learning_rate=.nan", "expected a finite number"),
        ("training.learning_rate=.inf", "expected a finite number"),
        ("data.validation_fraction=1", "expected less than 1"),
        ("data.validation_fraction=-0.1", "expected at least 0"),
        ("model.projection=pca", "expected 'trained' or 'random_expansion'"),
        ("model.readout=basis_state", "did you mean basis_states?"),
        ("backend.p=1.5", "backend.p=1.5: expected at most 1"),
        ("seed=-1", "seed=-1: expected at least 0"),
        ("seed=0,1", "seed=0,1: expected a whole number"),
        ("model.pretrained=perhaps", "expected true or false"),
        ("model.fusion=dynamik", "did you mean dynamic?"),
        ("model.backbone=vgg", "expected 'small_cnn', 'resnet18', 'dnn' or 'mlp'"),
        ("dataset=[mnist]", "expected a text"),
        ("circuit=", "circuit.name=null: expected a text"),
        ("circuit.readout=3", "expected a text or a list"),
        ("circuit.readout=[ZZ", "circuit.readout=[ZZ"),
        ("circuit.reps=${reps}", "reps"),
        ("circuit.options=3", "expected a mapping"),
        ("training=3", "expected settings such as training.epochs=..."),
        ("experiment=../elsewhere", "expected a folder's name"),
        ("experiment=/tmp/x", "expected a folder's name"),
        ("seed", "override 'seed': expected key=value"),
        ("=3", "override '=3': expected key=value"),
    ],
)
def test_a_wrong_override_gets_one_line(override, says):
    with pytest.raises(InputError) as caught:
        load_settings(None, [override])
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["model.branch=none", "model.fusion=quantum_only"], "needs a branch"),
        (["model.branch=control", "model.readout=basis_states"], "needs a circuit, but branch=control"),
        (["attack.norm=l2", "attack.epsilon=[]"], r"attack\.epsilon=\[\]: expected"),
        (
            ["attack.norm=l2", "attack.epsilon=inf"],
            "attack.epsilon=inf: expected more than 0, in pixel values",
        ),
        (["attack.norm=l2", "attack.epsilon=0:inf:3"], "attack.epsilon=0:inf:3: expected more than 0"),
        (["attack.norm=l2", "attack.epsilon=nan"], "attack.epsilon=nan: expected more than 0"),
        (["training.defence=pgd", "attack.epsilon=0:0:2"], "attack.epsilon=0:0:2: expected more than 0"),
        (["model.detach_circuit=true", "model.fusion=quantum_only"], "leaves the backbone untrained"),
    ],
)
def test_settings_that_contradict_each_other(overrides, says):
    with pytest.raises(InputError, match=says) as caught:
        load_settings("digits", overrides)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("- 1\n- 2\n", "holds no mapping"),
        ("seed: [\n", "cannot be read as YAML"),
        ("seed: 1\nseed: 2\n", "duplicate key"),
        ("sed: 1\n", "did you mean seed?"),
        ("training: {epochs: -1}\n", "training.epochs=-1: expected at least 1"),
        (b"\xff\xfe\x00", "cannot be read as YAML"),
        ("5: 1\n", 'the key 5: expected a text, as "5" in quotes'),
        ("training: {5: 1}\n", 'the key 5 in training: expected a text, as "5" in quotes'),
        ("circuit: {options: {5: 1}}\n", 'the key 5 in circuit.options: expected a text, as "5" in quotes'),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, says):
    file = tmp_path / "wrong.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as caught:
        load_settings(file)
    assert says in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_all_defaults(tmp_path):
    (tmp_path / "empty.yaml").write_text("")
    assert load_settings(tmp_path / "empty.yaml") == Settings(experiment="empty")


def test_unknown_experiment():
    with pytest.raises(InputError, match="no such experiment: 'mnits'; did you mean mnist"):
        load_settings("mnits")


@pytest.mark.parametrize(
    ("overrides", "runs"),
    [
        ([], [[]]),
        (["seed=0"], [["seed=0"]]),
        (["seed=0,1"], [["seed=0"], ["seed=1"]]),
        (["a=1,2", "b=x,y"], [["a=1", "b=x"], ["a=1", "b=y"], ["a=2", "b=x"], ["a=2", "b=y"]]),
        (["r=[ZZ,XX]"], [["r=[ZZ,XX]"]]),
        (["r=[ZZ,XX],z"], [["r=[ZZ,XX]"], ["r=z"]]),
        (["o={a: 1, b: 2}"], [["o={a: 1, b: 2}"]]),
        (["f='a,b.npz'"], [["f='a,b.npz'"]]),
    ],
)
def test_commas_outside_brackets_make_runs(overrides, runs):
    assert expand(overrides) == runs


def test_nothing_between_commas():
    with pytest.raises(InputError, match="nothing between two commas"):
        expand(["seed=0,,1"])


@given(st.dictionaries(WORDS, st.lists(COUNTS, min_size=1, max_size=3), max_size=3))
def test_expand_gives_every_combination_once(choices):
    runs = expand([f"{key}={','.join(map(str, values))}" for key, values in choices.items()])
    size = 1
    for values in choices.values():
        size *= len(values)
    assert len(runs) == size
    assert all([override.partition("=")[0] for override in run] == list(choices) for run in runs)


def test_parse_reads_yaml_values():
    tree = parse(["a.b=1e-3", "a.c=[1, x]", "d=true", "e=null", "f='1'"], frozenset())
    assert tree == {"a": {"b": 1e-3, "c": [1, "x"]}, "d": True, "e": None, "f": "1"}


@pytest.mark.parametrize("curve", ["1:5:5", "0:0.3:7", "2:4:3"])
def test_a_curve_is_no_number_to_the_base_of_60(tmp_path, curve):
    file = tmp_path / "mine.yaml"
    file.write_text(f"dataset: digits\nattack: {{norm: l2, epsilon: {curve}}}\n")
    start, stop, count = curve.split(":")
    for found in (
        load_settings(file),
        load_settings("digits", ["attack.norm=l2", f"attack.epsilon={curve}"]),
    ):
        radii = found.attack.radii()
        assert (len(radii), radii[0], radii[-1]) == (int(count), float(start), float(stop))


@pytest.mark.parametrize(
    "text",
    [
        "evaluation: {batch_size: 7}\nverdict: ${evaluation}\n",
        "evaluation: &same {batch_size: 7}\nverdict:\n  <<: *same\n",
    ],
)
def test_what_is_written_by_reference_is_read_as_it_is(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text("dataset: digits\n" + text)
    assert load_settings(file).verdict.batch_size == 7


@given(st.text(st.sampled_from("ab, :[]{}'\"#-1/=*&!|>%@`"), max_size=8))
def test_a_difference_reads_back_as_it_was_whatever_the_text(text):
    (typed,) = difference({"key": None}, {"key": text})
    assert expand([typed]) == [[typed]]
    assert parse([typed], frozenset()) == {"key": text}


def test_a_step_may_be_a_fraction_as_a_radius_may():
    found = load_settings("digits", ["training.defence=pgd", "training.defence.step_size=2/255"])
    assert found.training.defence.step_size == pytest.approx(2 / 255)


def test_shots_stay_with_another_backend(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("dataset: digits\nbackend: {name: paper_noise, p: 0.1, shots: 100, gradient: spsa}\n")
    found = load_settings(file, ["backend=aer_ideal"]).backend
    assert (found.build_options(), found.shots, found.gradient) == ({}, 100, "spsa")


def test_another_circuit_or_backend_keeps_what_it_knows_and_leaves_the_rest(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("circuit: {name: full, reps: 3, num_qubits: 3}\nbackend: {name: paper_noise, p: 0.1}\n")
    settings = load_settings(file, ["circuit=star", "backend=fake_torino"])
    assert (settings.circuit.name, settings.circuit.reps, settings.circuit.num_qubits) == ("star", 3, 3)
    assert settings.backend.build_options() == {}
    own = tmp_path / "own.py"
    own.write_text("def build(num_qubits):\n    raise SystemExit('was run')\n")
    assert load_settings(file, [f"circuit={own}"]).circuit.build_options() == {}
    typed = load_settings(file, [f"circuit={own}", "circuit.reps=2"])  # asked for: `build` will refuse it
    assert typed.circuit.build_options() == {"reps": 2}
