"""A model that leaves its run: it loads, and its card carries the verdict."""

import json
import shutil

import pytest
import torch
from huggingface_hub import ModelCard
from typer.testing import CliRunner

import qshield_qiskit as qs
from qshield_qiskit import judgement, runs
from qshield_qiskit.cli import app
from qshield_qiskit.config import load_settings

SMALL = ("data.train_images=300", "data.test_images=40", "training.epochs=2", "circuit.num_qubits=2")


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    run = runs.train(load_settings("digits", [*SMALL, f"runs={tmp_path_factory.mktemp('runs')}"]))
    judgement.attack_run(run, ("attack=fgsm", "attack.epsilon=0.1", "attack.images=20"))
    return run.folder.path


@pytest.fixture
def run(attacked, tmp_path):
    """A copy of the run, without a verdict."""
    return runs.load_run(shutil.copytree(attacked, tmp_path / "runs" / attacked.name))


def export(run, folder, *more):
    return CliRunner().invoke(app, ["export", str(run.folder.path), "--to", str(folder), "--json", *more])


def test_an_exported_model_is_the_runs_own_and_its_card_has_figures_and_verdict(run, tmp_path):
    refused = export(run, tmp_path / "digits")
    assert refused.exit_code == 2
    assert "no figure leaves without one" in refused.stderr
    assert not (tmp_path / "digits").exists()

    judgement.judge_run(run, ("attack.epsilon=0.2", "verdict.images=10"), quick=True)
    refused = export(run, tmp_path / "digits")
    assert "no verdict yet on aer_noisy within 0.1" in refused.stderr  # there is one of another ball

    judgement.judge_run(run, ("attack.epsilon=0.1", "verdict.images=10"), quick=True)
    done = export(run, tmp_path / "digits")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["folder"] == str(tmp_path / "digits")
    model = qs.HybridClassifier.from_pretrained(tmp_path / "digits")
    images = run.dataset().test.images[:5]
    assert torch.equal(model(images), run.model(images))

    judgement.attack_run(run, ("attack=fgsm", "attack.epsilon=0.05", "attack.images=20"))
    assert export(run, tmp_path / "digits", "--replace").exit_code == 0  # one verdict, of the one ball
    text = (tmp_path / "digits" / "README.md").read_text()
    assert "attacked within L∞ ≤ 0.05 on aer_noisy too; there is no verdict there" in text
    assert "### digits, L∞ ≤ 0.1" in text and "### digits, L∞ ≤ 0.05" not in text

    again = export(run, tmp_path / "digits")
    assert (again.exit_code, "a model is there already" in again.stderr) == (2, True)
    assert export(run, tmp_path / "digits", "--replace").exit_code == 0

    card = ModelCard.load(tmp_path / "digits" / "README.md")
    (accuracy,) = card.data.eval_results
    assert accuracy.metric_value == pytest.approx(run.metrics["odr"], abs=1e-4)
    verdict = json.loads((run.folder.path / "verdict.json").read_text())["verdict"]
    for words in (
        f'from_pretrained("{tmp_path / "digits"}")',
        verdict,
        "FGSM",
        "qshield train digits seed=0",
        "does not mean robust",
    ):
        assert words in card.text


def test_a_folder_that_cannot_be_written_is_refused_in_one_line(run, tmp_path):
    judgement.judge_run(run, ("attack.epsilon=0.1", "verdict.images=10"), quick=True)
    (tmp_path / "file").write_text("")
    refused = export(run, tmp_path / "file" / "digits")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "file/digits: Not a directory; give a folder that can be written with --to" in refused.stderr
