"""Whole runs on a few embedded digits: what they leave behind, and that they can be had again."""

from __future__ import annotations

import json
import time

import pytest
import torch

import qshield_qiskit as qs
from qshield_qiskit import evaluation, runs
from qshield_qiskit.config import load_settings
from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.tables import results_table

SMALL = (
    "data.train_images=300",
    "data.test_images=60",
    "training.epochs=2",
    "circuit.num_qubits=2",
    "circuit.reps=1",
)
FIGURES = {"odr", "odr_low", "odr_high", "n", "precision", "recall", "f1", "seed"}
METRICS = FIGURES | {
    "train_accuracy",
    "train_seconds",
    "inference_seconds",
    "quantum_share",
    "parameters",
    "parameters_matched",
}


def small_run(folder, *overrides: str) -> runs.Run:
    return runs.train(load_settings("digits", [*SMALL, f"runs={folder}", *overrides]))


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> runs.Run:
    return small_run(tmp_path_factory.mktemp("runs"))


def test_the_folder_holds_what_the_contract_says(run):
    names = {
        path.relative_to(run.folder.path).as_posix() for path in run.folder.path.rglob("*") if path.is_file()
    }
    assert names >= {
        "config.yaml",
        "environment.json",
        "metrics.json",
        "history.csv",
        "model.safetensors",
        "checkpoints/last.ckpt",
        "checkpoints/best.ckpt",
    }
    assert not [name for name in names if name.endswith(".part")]
    assert run.metrics.keys() == METRICS
    for kind in ("precision", "recall", "f1"):
        assert run.metrics[kind].keys() == {"macro", "micro", "weighted"}
    assert run.metrics["precision"]["micro"] == pytest.approx(run.metrics["odr"])
    assert run.metrics["odr_low"] < run.metrics["odr"] < run.metrics["odr_high"]
    assert 0 < run.metrics["quantum_share"] < 1
    assert run.metrics["train_seconds"] == pytest.approx(sum(epoch.seconds for epoch in run.history))
    environment = json.loads((run.folder.path / "environment.json").read_text())
    assert environment["calibration"] == {"device": "fake_boston", "taken_at": "2026-04-17T10:19:24+00:00"}
    assert environment["threads"] == torch.get_num_threads()


def test_a_run_loads_back_to_the_model_that_was_measured(run):
    loaded = qs.load_run(run.folder.path)
    assert loaded.config == run.config
    dataset = loaded.dataset()
    with torch.inference_mode():
        predicted = loaded.model(dataset.test.images).argmax(-1)
    assert float((predicted == dataset.test.labels).double().mean()) == pytest.approx(loaded.metrics["odr"])


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(run, tmp_path):
    again, other = small_run(tmp_path), small_run(tmp_path, "seed=1")
    mine = run.model.state_dict()
    assert all(torch.equal(tensor, mine[name]) for name, tensor in again.model.state_dict().items())
    assert not torch.equal(other.model.head.weight, run.model.head.weight)
    assert again.metrics["odr"] == run.metrics["odr"]


class Late(torch.Tensor):
    """A tensor that, as on a GPU, whoever wants to see it waits for."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        found = super().__torch_function__(func, types, args, kwargs)
        if func is not torch.Tensor.cpu:
            return found
        time.sleep(1)
        return found.as_subclass(torch.Tensor)


def test_an_evaluation_takes_until_its_last_answer_is_there(run, monkeypatch):
    honest = evaluation.classify

    def classify(*words):
        found = honest(*words)
        return found._replace(logits=found.logits.cpu().as_subclass(Late))

    monkeypatch.setattr(evaluation, "classify", classify)
    assert evaluation.evaluate(run)["seconds"] >= 1


@pytest.mark.parametrize("branch", ["none", "control"])
def test_twin_and_control_are_one_override_away(branch, tmp_path):
    run = small_run(tmp_path, f"model.branch={branch}", "training.epochs=1")
    assert run.metrics["quantum_share"] == 0
    assert qs.load_run(run.folder.path).model.branch == branch
    assert evaluation.evaluate(run)["odr"] == run.metrics["odr"]


def test_the_paper_as_published_is_an_experiment(tmp_path):
    small = ["data.train_images=300", "data.test_images=60", "training.epochs=2", f"runs={tmp_path}"]
    run = runs.train(load_settings("paper/replica_digits", small))
    assert run.metrics.keys() == METRICS
    assert [epoch.validated for epoch in run.history] == [False, False]
    loaded = qs.load_run(run.folder.path)
    assert loaded.config == run.config
    assert len(loaded.dataset().train) == 300
    assert loaded.model.readout_name == "basis_states"
    assert evaluation.evaluate(loaded, ["backend=aer_ideal"])["n"] == 60


def test_evaluation_swaps_the_backend_and_retrains_nothing(run):
    before = (run.folder.path / "model.safetensors").read_bytes()
    own = evaluation.evaluate(run)
    assert own["odr"] == run.metrics["odr"]
    ideal = evaluation.evaluate(run, ["backend=aer_ideal", "evaluation.images=30"])
    assert (ideal["backend"], ideal["n"], ideal["calibration"], ideal["shots"]) == (
        "aer_ideal",
        30,
        None,
        None,
    )
    other = evaluation.evaluate(run, ["backend=fake_manila"])
    assert other["calibration"]["device"] == "fake_manila"
    assert own.keys() == FIGURES | {"backend", "calibration", "shots", "seconds"}
    files = sorted(path.name.split("-")[0] for path in (run.folder.path / "evaluations").iterdir())
    assert files == ["aer_ideal", "aer_noisy", "fake_manila"]
    assert (run.folder.path / "model.safetensors").read_bytes() == before
    dataset = run.dataset()
    noisy, quiet = run.model, run.model.with_backend(qs.load_backend("aer_ideal", 2))
    with torch.inference_mode():
        difference = noisy(dataset.test.images) - quiet(dataset.test.images)
    assert 0 < difference.abs().max() < 1


MINE = """from qshield_qiskit import load_backend
def build(num_qubits, p=0.01): return load_backend("paper_noise", num_qubits, p=p)
"""


def test_a_run_on_a_backend_file_of_the_users_own_loads_and_runs_no_other(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    (tmp_path / "theirs.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w').close()\n{MINE}")
    monkeypatch.chdir(tmp_path)
    run = small_run(tmp_path / "runs", "backend=./mine.py", "backend.p=0.1", "training.epochs=1")
    loaded = qs.load_run(run.folder.path)
    assert loaded.model.backend.source == {"name": "./mine.py", "num_qubits": 2, "options": {"p": 0.1}}
    assert evaluation.evaluate(loaded)["odr"] == run.metrics["odr"]
    assert evaluation.evaluate(loaded, ["backend=aer_ideal"])["n"] == 60
    config = run.folder.path / "config.json"
    config.write_text(config.read_text().replace("./mine.py", str(tmp_path / "theirs.py")))
    assert qs.load_run(run.folder.path).model.backend.source["name"] == "./mine.py"
    assert not (tmp_path / "was_run").exists()
    with pytest.raises(InputError, match="pass backend="):
        qs.HybridClassifier.from_pretrained(run.folder.path)


def test_a_sampled_models_metrics_are_of_the_images_asked_for_however_it_was_trained(tmp_path):
    run = small_run(tmp_path, "backend.shots=20", "evaluation.images=40", "training.epochs=1")
    shots = ("odr", "precision", "train_accuracy")
    before = {name: run.metrics[name] for name in shots}
    assert run.metrics["n"] == 40
    assert evaluation.evaluate(run)["odr"] == run.metrics["odr"]
    (run.folder.path / "metrics.json").unlink()
    resumed = runs.train(run.config, resume=run)
    assert {name: resumed.metrics[name] for name in shots} == before


def test_a_device_is_not_paid_for_figures_of_the_training(run, monkeypatch):
    model = run.model  # loaded on the backend that it has
    monkeypatch.setattr(runs.catalog, "is_hardware", lambda backend: True)
    figures = runs._metrics(model, run.dataset(), run.config, run.history)
    assert figures.keys() == METRICS
    assert (figures["train_accuracy"], figures["quantum_share"]) == (None, None)
    assert results_table("A device", [("mine", figures)]).row_count == 1


def test_more_images_than_there_are_is_said_before_the_training(tmp_path):
    with pytest.raises(InputError, match=r"evaluation\.images=61, but digits has 60 test images"):
        small_run(tmp_path, "evaluation.images=61")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("training.epochs=3", "belongs to the training"),
        ("circuit=star", "belongs to the training"),
        ("evaluation.images=61", "has 60 test images"),
        ("backend=fake_torin", "fake_torino"),
        ("evaluation.image=1", "evaluation.images"),
    ],
)
def test_an_evaluation_refuses_in_one_line(run, override, says):
    with pytest.raises(InputError, match=f"^[^\n]*{says}[^\n]*$"):
        evaluation.evaluate(run, [override])


def test_an_unfinished_run_says_how_to_go_on(tmp_path):
    folder = RunFolder.create(tmp_path, "digits", 0, load_settings("digits").to_yaml())
    with pytest.raises(InputError, match="--resume"):
        _ = qs.load_run(folder.path).model


@pytest.mark.parametrize("override", ["training.devices=0", "training.batch_size=1"])
def test_what_is_refused_before_it_begins_leaves_no_run(override, tmp_path):
    with pytest.raises(InputError, match="training"):
        small_run(tmp_path, override)
    assert not list(tmp_path.rglob("config.yaml"))


def test_a_control_tells_the_size_of_the_hybrid_that_it_stands_for(run, tmp_path):
    control = small_run(tmp_path, "model.branch=control", "training.epochs=1").metrics
    assert control["parameters_matched"] == run.metrics["parameters"] == run.metrics["parameters_matched"]
    assert abs(control["parameters"] - run.metrics["parameters"]) < 20


def test_a_model_of_another_shape_is_refused_in_one_line(run, tmp_path):
    other = small_run(tmp_path, "circuit.num_qubits=3", "training.epochs=1")
    (other.folder.path / "model.safetensors").write_bytes(
        (run.folder.path / "model.safetensors").read_bytes()
    )
    with pytest.raises(InputError, match=r"^[^\n]*shape[^\n]*$"):
        _ = qs.load_run(other.folder.path).model


def test_a_place_that_cannot_hold_runs_is_refused_in_one_line(tmp_path):
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    for root in (tmp_path / "dangling", tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=f"^runs={root}: cannot make [^\n]*; set runs=FOLDER$"):
            RunFolder.create(root, "digits", 0, "seed: 0\n")


def test_a_place_in_a_run_that_cannot_be_written_is_named_in_one_line(tmp_path):
    folder = RunFolder.create(tmp_path, "digits", 0, "seed: 0\n")
    (folder.path / "evaluations").write_text("")
    (folder.path / "metrics.json").mkdir()
    for name in ("evaluations/aer.json", "metrics.json"):
        with pytest.raises(InputError, match=f"^{folder.path / name}: [^\n]*$"):
            folder.write_json(name, {})
    assert not list(folder.path.rglob("*.part"))


def test_folders_never_collide_and_last_is_the_newest(tmp_path):
    made = [RunFolder.create(tmp_path, "paper/digits", 0, "seed: 0\n") for _ in range(3)]
    assert len({folder.path for folder in made}) == 3
    assert RunFolder.find("last", tmp_path).path == made[-1].path
    assert RunFolder.find(made[0].path).path == made[0].path
    with pytest.raises(InputError, match="not a run"):
        RunFolder.find(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="qshield train"):
        RunFolder.find("last", tmp_path / "elsewhere")
