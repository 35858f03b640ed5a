"""The models that come with the project: they load, and are as good as their cards say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

from qshield_qiskit import HybridClassifier, attack, load_dataset

ROOT = Path(__file__).parents[1] / "models"
MNIST = Path(os.environ.get("QSHIELD_DATA") or "/nowhere", "MNIST")
MODELS = [
    pytest.param(
        folder,
        id=folder.name,
        marks=pytest.mark.skipif(
            folder.name == "mnist" and not MNIST.exists(), reason="QSHIELD_DATA has no MNIST"
        ),
    )
    for folder in sorted(ROOT.iterdir())
]


@pytest.mark.parametrize("folder", MODELS)
def test_a_model_is_what_its_card_says(folder):
    card = ModelCard.load(folder / "README.md")
    (metric,) = card.data.eval_results
    model, test = HybridClassifier.from_pretrained(folder), load_dataset(metric.dataset_name).test
    assert model.branch == "circuit"
    with torch.no_grad():
        predicted = torch.cat([model(part) for part in test.images.split(500)]).argmax(1)
    accuracy = float((predicted == test.labels).double().mean())
    assert accuracy == pytest.approx(metric.metric_value, abs=1.5 / len(test))
    assert "**no masking detected**" in card.text


def test_the_readmes_figure_is_what_its_example_gives():
    model, test = HybridClassifier.from_pretrained(ROOT / "digits"), load_dataset("digits").test
    outcome = attack(model, test.images[:100], test.labels[:100], "pgd", epsilon=32 / 255)
    words = f"{int(outcome.fooled.sum())} of the {outcome.attacked} that it gets right are fooled"
    assert words in (ROOT.parent / "README.md").read_text()


@pytest.mark.parametrize("folder", MODELS)
def test_a_model_resists(folder):
    model, test = HybridClassifier.from_pretrained(folder), load_dataset(folder.name).test
    outcome = attack(model, test.images[:100], test.labels[:100], "pgd", epsilon=32 / 255)
    assert outcome.asr < 0.1
