"""The models that come with the project: they load, and are as good as their cards say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard

from qshield_qiskit import HybridClassifier, attack, load_dataset
from qshield_qiskit.errors import InputError

MODELS = sorted((Path(__file__).parents[1] / "models").iterdir())


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_model_is_what_its_card_says(folder):
    card = ModelCard.load(folder / "README.md")
    (metric,) = card.data.eval_results
    try:
        test = load_dataset(metric.dataset_name).test
    except InputError:
        pytest.skip(f"no {metric.dataset_name} here")
    model = HybridClassifier.from_pretrained(folder)
    assert model.branch == "circuit"
    with torch.no_grad():
        predicted = torch.cat([model(part) for part in test.images.split(500)]).argmax(1)
    accuracy = float((predicted == test.labels).double().mean())
    assert accuracy == pytest.approx(metric.metric_value, abs=1.5 / len(test))
    assert "**no masking detected**" in card.text


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_model_resists(folder):
    try:
        test = load_dataset(ModelCard.load(folder / "README.md").data.eval_results[0].dataset_name).test
    except InputError:
        pytest.skip("its images are not here")
    model = HybridClassifier.from_pretrained(folder)
    outcome = attack(model, test.images[:100], test.labels[:100], "pgd", epsilon=32 / 255)
    assert outcome.asr < 0.1
