"""How often Square puts images to a model: no answer is paid for twice, and no lucky one is believed for ever."""

from __future__ import annotations

import torch
from classifiers import Noisy, images_and_labels, trained_cnn

from qshield_qiskit.robustness.attacking import attack


def test_square_asks_once_for_each_proposal():
    images, labels = images_and_labels(20)
    outcome = attack(trained_cnn(), images, labels, "square", epsilon=1 / 255, parameters={"proposals": 50})
    assert not outcome.fooled.any()
    assert outcome.queries <= len(images) * (50 + 4)  # the images, the stripes, the probe and the judgement
    assert torch.isfinite(outcome.examples).all()


def test_square_asks_a_random_model_about_its_best_images_again():
    """Else the luckiest draw of the first hundred would be the bar for all that follow."""
    images, labels = images_and_labels(20)
    steady, random = (
        attack(
            Noisy(trained_cnn(), noise),
            images,
            labels,
            "square",
            epsilon=1 / 255,
            parameters={"proposals": 50},
        )
        for noise in (0.0, 1e-3)
    )
    assert random.queries > 1.8 * steady.queries
