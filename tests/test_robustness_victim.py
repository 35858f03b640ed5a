"""ART's view of a model: no answer is paid for twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from classifiers import DIGIT, Noisy, images_and_labels, trained_cnn

from qshield_qiskit.robustness.attacked_model import AttackedModel
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.attacks.base import Task
from qshield_qiskit.robustness.attacks.victim import REMEMBERED, RememberingVictim, Victim


def batch(n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    images, labels = images_and_labels(n)
    return images.numpy(), np.eye(10, dtype=np.float32)[labels.numpy()]


def victim(kind: type[Victim] = Victim) -> Victim:
    return kind(AttackedModel(trained_cnn()), DIGIT, 10)


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
