"""Attacks made cheap for tests, and what any outcome must be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from classifiers import (
    images_and_labels,
    trained_cnn,
    trained_hybrid,
)
from torch import Tensor, nn

from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.attacks import ATTACKS
from qshield_qiskit.robustness.outcome import Outcome, sizes

TOLERANCE = 1e-6

CHEAP: dict[str, dict[str, Any]] = {
    "fgsm": {},
    "pgd": {"steps": 10},
    "apgd": {"steps": 10, "restarts": 1},
    "apgd_dlr": {"steps": 25, "restarts": 1},
    "mim": {"steps": 10},
    "vmi_fgsm": {"steps": 5, "neighbours": 3},
    "cw_l2": {"steps": 15, "binary_search_steps": 3, "initial_constant": 1, "learning_rate": 0.06},
    "cw_linf": {"descents": 4, "steps": 10, "learning_rate": 0.05},
    "deepfool": {"steps": 15},
    "one_pixel": {"steps": 3, "population": 20, "pixels": 3},
    "square": {"proposals": 60},
    "square_l2": {"proposals": 60},
    "hopskipjump": {"steps": 3, "first_evaluations": 20, "most_evaluations": 60},
    "boundary": {"steps": 10, "trials": 5, "candidates": 5},
    "ensemble": {"steps": 10, "targets": 2, "descents": 3, "proposals": 30},
}
"""Little work for each attack; those that look for the smallest perturbation find one, though not the smallest."""

LEAST = dict.fromkeys(ATTACKS, 1.0) | {"fgsm": 0.7, "one_pixel": 0.2}
"""Share of the images that must be fooled, at a large epsilon."""

RANDOM = (
    "pgd",
    "apgd",
    "apgd_dlr",
    "vmi_fgsm",
    "one_pixel",
    "square",
    "square_l2",
    "hopskipjump",
    "boundary",
)
"""Attacks that follow the seed."""

MODELS: dict[str, Callable[[], nn.Module]] = {"cnn": trained_cnn, "hybrid": trained_hybrid}


def large(name: str) -> float:
    return 3.0 if ATTACKS[name].norms[0] == "l2" else 0.5


def run(model: nn.Module, name: str, n: int = 12, **changes: Any) -> Outcome:
    images, labels = changes.pop("data", None) or images_and_labels(n)
    settings: dict[str, Any] = {"epsilon": large(name), "parameters": CHEAP[name]} | changes
    return attack(model, images, labels, name, **settings)


def check(outcome: Outcome, images: Tensor, model: nn.Module | None = None) -> None:
    """Hold an outcome against what any outcome must be."""
    examples, correct = outcome.examples, outcome.correct
    assert examples.dtype == torch.float32
    assert examples.shape == images.shape
    assert examples.min() >= 0
    assert examples.max() <= 1
    measured = sizes(images, examples)
    for norm in ("l0", "l2", "linf"):
        given = getattr(outcome, norm)
        assert given[~correct].isnan().all()
        torch.testing.assert_close(given[correct], measured[norm][correct])
    if outcome.epsilon is not None:
        assert measured[outcome.norm].max() <= outcome.epsilon + TOLERANCE
    assert torch.equal(examples[~correct], images[~correct])
    assert not correct[outcome.clean != outcome.labels].any()
    assert not outcome.fooled[~correct].any()
    assert outcome.asr == float(outcome.fooled.sum()) / max(1, float(correct.sum()))
    if model is not None:
        with torch.no_grad():
            predicted = model.eval()(examples).argmax(1)
            assert torch.equal(outcome.clean, model(images).argmax(1))
        assert torch.equal(outcome.adversarial, predicted)
