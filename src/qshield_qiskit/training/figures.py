"""What a classifier achieves on images: predictions, accuracy and its interval, precision, recall, F1, and time."""

from __future__ import annotations

import time
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import (
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.models.hybrid import Branches, HybridClassifier
from qshield_qiskit.precision import full_precision

AVERAGES: tuple[Literal["macro"], Literal["micro"], Literal["weighted"]] = ("macro", "micro", "weighted")
TIMED_STEPS = 10


def predict(model: HybridClassifier, images: Tensor, batch_size: int) -> Tensor:
    """Classify images in eval mode, on the model's device.

    Args:
        model: The classifier.
        images: (N, C, H, W), [0, 1].
        batch_size: Images at a time.

    Returns:
        The predicted class of each image, (N,), on the CPU.
    """
    return classify(model, images, batch_size).logits.argmax(-1).cpu()


def classify(
    model: HybridClassifier, images: Tensor, batch_size: int, *, outcomes: Tensor | None = None
) -> Branches:
    """Classify images as `predict` does and keep every stage, without gradients, on the model's device.

    All digits of single precision are kept, as under attack: adversarial examples lie close to boundaries.
    Where the circuit is sampled all images are one job, however many batches the backbone takes: a queue is waited
    for once.

    Args:
        model: The classifier.
        images: (N, C, H, W), [0, 1].
        batch_size: Images at a time.
        outcomes: What the circuit gave for these images, (N, O), if it has run already; NaN where it has not.
    """
    parameter = next(model.parameters())
    model.eval()
    with torch.inference_mode(), full_precision():
        batches = [part.to(parameter.device, parameter.dtype) for part in torch.split(images, batch_size)]
        if model.shots is None:
            return Branches.joined([model.branches(part) for part in batches])
        encoded = [model.encode(part) for part in batches]
        if outcomes is None:
            outcomes = model.layer(torch.cat([angles for _, angles in encoded if angles is not None]))
        given = torch.split(outcomes.to(parameter), batch_size)
        return Branches.joined(
            [
                model.conclude(classical, angles, each)
                for (classical, angles), each in zip(encoded, given, strict=True)
            ]
        )


def classification_figures(predicted: Tensor, labels: Tensor, num_classes: int) -> dict[str, Any]:
    """Count what was right.

    Args:
        predicted: (N,), classes.
        labels: (N,), classes.
        num_classes: K.

    Returns:
        `odr` (clean accuracy) with its Wilson interval, `n`, and precision, recall and F1, each averaged over the
        classes (macro), over the images (micro) and over the classes by their size (weighted).
    """
    correct, n = int((predicted == labels).sum()), len(labels)
    low, high = wilson_interval(correct, n)
    scores = {"precision": multiclass_precision, "recall": multiclass_recall, "f1": multiclass_f1_score}
    return {
        "odr": correct / n,
        "odr_low": low,
        "odr_high": high,
        "n": n,
        **{
            name: {
                average: float(score(predicted, labels, num_classes, average=average)) for average in AVERAGES
            }
            for name, score in scores.items()
        },
    }


def quantum_share(model: HybridClassifier, images: Tensor, labels: Tensor) -> float:
    """Measure which fraction of a training step is spent in the quantum layer, forward and backward.

    Args:
        model: The classifier; its weights and mode stay as they are.
        images: One batch, (B, C, H, W).
        labels: (B,).

    Returns:
        The fraction, in [0, 1]; 0 for a model without a circuit.
    """
    if model.branch != "circuit":
        return 0.0
    parameter = next(model.parameters())
    images, labels = images.to(parameter.device, parameter.dtype), labels.to(parameter.device)
    angles = model.branches(images).angles
    assert angles is not None
    angles = angles.detach().requires_grad_()  # of the timing alone
    weights = [p for p in model.parameters() if p.requires_grad]
    mine = [p for p in model.layer.parameters() if p.requires_grad]

    def whole() -> None:
        torch.autograd.grad(cross_entropy(model(images), labels), weights, allow_unused=True)

    def layer() -> None:
        torch.autograd.grad(model.layer(angles).square().sum(), [angles, *mine], allow_unused=True)

    steps = TIMED_STEPS if model.shots is None else 1
    return min(1.0, _seconds(layer, steps) / _seconds(whole, steps))


def _seconds(call: Any, steps: int) -> float:
    """Median time of a call, the first left out."""
    times = []
    for _ in range(steps + 1):
        start = time.perf_counter()
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[steps // 2]
