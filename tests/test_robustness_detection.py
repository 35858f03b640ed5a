"""Detection by disagreement: what the figure means, and that attacks leave it in their rows and outcomes."""

import json
from itertools import product

import numpy as np
import pytest
import torch
from classifiers import images_and_labels, trained_hybrid
from hypothesis import given
from hypothesis import strategies as st

from qshield_qiskit import judgement, runs
from qshield_qiskit.config import load_settings
from qshield_qiskit.models.statistics import disagreement
from qshield_qiskit.robustness.detection import branch_disagreement, detection_auroc

SCORES = st.lists(st.integers(0, 5), min_size=1, max_size=8)


@given(SCORES, SCORES)
def test_the_auroc_is_the_chance_of_a_higher_score(clean, adversarial):
    wins = [1.0 if a > c else 0.5 if a == c else 0.0 for a, c in product(adversarial, clean)]
    assert detection_auroc(clean, adversarial) == pytest.approx(sum(wins) / len(wins))


def test_without_images_there_is_no_auroc():
    assert detection_auroc([], []) is None


def test_scores_say_how_far_the_branches_are_apart():
    model, (images, _) = trained_hybrid(), images_and_labels(20)
    branches = model.branches(images)
    scores = branch_disagreement(branches)
    assert torch.equal(scores, disagreement(branches.classical, branches.quantum))
    assert scores.shape == (20,) and scores.min() >= -1e-7


def test_a_branch_that_is_moved_alone_is_detected():
    """Classical logits that follow another image's, as if only they had been attacked."""
    branches = trained_hybrid().branches(images_and_labels(200)[0])
    moved = branches._replace(classical=branches.classical.roll(1, 0))
    clean, attacked = (branch_disagreement(each).detach() for each in (branches, moved))
    assert detection_auroc(clean, attacked) > 0.9
    assert detection_auroc(clean, clean) == pytest.approx(0.5)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    def train(*dotted):
        folder = tmp_path_factory.mktemp("runs")
        common = ["training.epochs=8", "training.accelerator=cpu", "attack.images=60", f"runs={folder}"]
        return runs.train(load_settings("digits", [*common, "data.train_images=400", *dotted]))

    return train


def test_an_attack_keeps_how_well_it_was_detected(trained):
    run = trained()
    row, worst = judgement.attack_run(run, ["attack=pgd", "attack.options.steps=20"])
    with np.load(run.folder.path / row["outcomes"]) as outcomes:
        correct = outcomes["correct"]
        clean, adversarial = outcomes["disagreement_clean"], outcomes["disagreement_adversarial"]
        assert np.isnan(adversarial[~correct]).all() and np.isfinite(clean).all()
        expected = np.mean(adversarial[correct][:, None] > clean[correct][None, :])
    assert row["detection_auroc"] == pytest.approx(expected, abs=1e-3)
    assert "detection_auroc" not in worst
    kept = json.loads((run.folder.path / "robustness.json").read_text())
    assert kept[0]["detection_auroc"] == row["detection_auroc"]


@pytest.mark.parametrize("option", ["model.branch=none", "model.fusion=quantum_only"])
def test_one_branch_alone_detects_nothing(trained, option):
    run = trained("training.epochs=1", option)
    (row, _) = judgement.attack_run(run, ["attack=fgsm"])
    assert row["detection_auroc"] is None
