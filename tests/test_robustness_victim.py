"""ART's view of a model: ART's own losses and gradients, and no answer paid for twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from art.estimators.classification import PyTorchClassifier
from classifiers import DIGIT, Noisy, images_and_labels, trained_cnn
from torch import nn

from qshield_qiskit.robustness.attacked_model import AttackedModel
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.attacks.base import Task
from qshield_qiskit.robustness.attacks.victim import (
    REMEMBERED,
    DifferenceOfLogitsRatio,
    RememberingVictim,
    Victim,
)


def batch(n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    images, labels = images_and_labels(n)
    return images.numpy(), np.eye(10, dtype=np.float32)[labels.numpy()]


def victim(kind: type[Victim] = Victim, loss: nn.Module | None = None) -> Victim:
    return kind(AttackedModel(trained_cnn()), DIGIT, 10, loss=loss)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss, DifferenceOfLogitsRatio])
def test_losses_and_gradients_are_those_of_arts_own_wrapper(loss):
    images, one_hot = batch()
    ours, arts = victim(loss=loss()), PyTorchClassifier(trained_cnn(), loss(), DIGIT, 10)
    np.testing.assert_allclose(
        ours.compute_loss(images, one_hot), arts.compute_loss(images, one_hot), atol=1e-6
    )
    np.testing.assert_allclose(
        ours.loss_gradient(images, one_hot), arts.loss_gradient(images, one_hot), atol=1e-6
    )


def test_a_loss_and_then_its_gradient_take_one_pass():
    images, one_hot = batch()
    view = victim()
    view.compute_loss(images, one_hot)
    view.loss_gradient(images, one_hot)
    assert (view.model.queries, view.model.gradients) == (6, 6)
    view.loss_gradient(images, one_hot)  # the pass is used up
    assert (view.model.queries, view.model.gradients) == (12, 12)


def test_a_pass_serves_its_own_images_only():
    images, one_hot = batch()
    fresh = victim().loss_gradient(1 - images, one_hot)
    view = victim()
    view.compute_loss(images, one_hot)
    images[:] = 1 - images  # in place, as attacks do
    np.testing.assert_array_equal(view.loss_gradient(images, one_hot), fresh)
    assert view.model.queries == 12


def test_what_is_remembered_is_what_was_answered():
    images, _ = batch(12)
    view = victim(RememberingVictim)
    answers = victim().predict(images)
    np.testing.assert_allclose(view.predict(images), answers, atol=1e-6)
    some = [7, 3, 3, 11]
    np.testing.assert_allclose(view.predict(images[some]), answers[some], atol=1e-6)
    assert view.model.queries == 12
    np.testing.assert_allclose(
        view.predict(np.tile(1 - images[:1], (2, 1, 1, 1)))[0], victim().predict(1 - images[:1])[0], atol=1e-6
    )
    assert view.model.queries == 13  # the same image twice is one question


def test_memory_has_an_end():
    images, _ = batch(4)
    view = victim(RememberingVictim)
    for shade in range(REMEMBERED + 1):
        view.predict(images * (1 - shade / 10))
    view.predict(images * (1 - 1 / 10))
    assert view.model.queries == 4 * (REMEMBERED + 1)
    view.predict(images)
    assert view.model.queries == 4 * (REMEMBERED + 2)


@pytest.mark.parametrize(("strength", "view"), [(0.0, RememberingVictim), (0.1, Victim)])
def test_only_a_model_that_answers_alike_is_remembered(strength, view):
    images, _ = batch()
    model = AttackedModel(Noisy(trained_cnn(), strength))
    task = Task(model, 10, images, np.zeros(6, dtype=np.int64), "linf", 0.1, False, 6, images[:1])
    assert type(task.scores()) is view


def test_square_asks_once_for_each_proposal():
    images, labels = images_and_labels(20)
    outcome = attack(trained_cnn(), images, labels, "square", epsilon=1 / 255, parameters={"proposals": 50})
    assert not outcome.fooled.any()
    assert outcome.queries <= len(images) * (50 + 4)  # the images, the stripes, the probe and the judgement
    assert torch.isfinite(outcome.examples).all()
