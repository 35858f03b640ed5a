"""Measure a trained run on its test images, on whatever backend."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from qshield_qiskit import assembly, config
from qshield_qiskit.config import Settings
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import BudgetSpent
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.runs import Run
from qshield_qiskit.seeding import derive, seed_everything
from qshield_qiskit.training.figures import classification_figures, classify

KEYS = ("backend", "evaluation", "data.root", "data.mirror")
"""What `evaluate` may change; all else belongs to the training."""


def evaluate(run: Run, dotted: Sequence[str] = (), *, terms: Terms | None = None) -> dict[str, Any]:
    """Measure a trained model, on another backend if asked for, and keep the figures in evaluations/.

    Args:
        run: The run; nothing in it is retrained.
        dotted: Overrides of backend, evaluation, data.root and data.mirror.
        terms: On what terms a device is used.

    Returns:
        The figures, with `backend`, `calibration`, `shots`, `n` and `seconds`. Where a budget ended it, `n` is what
        was done until then, and `stopped` says so.

    Raises:
        InputError: An override changes what belongs to the training, or does not fit.
    """
    settings = config.override(run.config, dotted, KEYS)
    model, images, labels = to_evaluate(run, settings, terms)
    start, stopped = time.perf_counter(), None
    with assembly.conversation(model):
        try:
            logits = classify(model, images, settings.evaluation.batch_size).logits.cpu()
        except BudgetSpent as stop:
            stopped, outcomes = str(stop), getattr(stop, "figures", None)
            if outcomes is None or np.isnan(outcomes).all():
                raise
            known = torch.from_numpy(outcomes)
            logits = classify(model, images, settings.evaluation.batch_size, outcomes=known).logits.cpu()
    seconds = time.perf_counter() - start  # a GPU has answered by then
    answered = ~logits.isnan().any(1)
    predicted, labels = logits[answered].argmax(1), labels[answered]
    figures = {
        "backend": settings.backend.name,
        "calibration": assembly.calibration(model),
        **assembly.primitives(model),
        **classification_figures(predicted, labels, model.num_classes),
        "seconds": seconds,
        "seed": settings.seed,
    }
    if stopped is not None:
        figures["stopped"] = stopped
    asked = json.dumps([settings.backend.model_dump(mode="json"), len(images)], sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    name = Path(settings.backend.name).stem  # it may be a file
    run.folder.write_json(f"evaluations/{name}-{digest}.json", figures)
    return figures


def to_evaluate(
    run: Run, settings: Settings, terms: Terms | None = None
) -> tuple[HybridClassifier, torch.Tensor, torch.Tensor]:
    """Get a run's model ready on the backend that settings ask for, with the images and labels to evaluate it on.

    Raises:
        InputError: There are fewer images than that, or a setting does not fit.
    """
    dataset = assembly.load_images(settings)
    model = assembly.on_backend(run.model, settings, run.purpose, terms)
    test = assembly.evaluated_images(dataset, settings)
    seed_everything(derive(settings.seed, "evaluation"))  # shots follow it
    return model, test.images, test.labels
