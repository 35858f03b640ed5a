"""What of a model is trained, and what is dropped meanwhile; afterwards the model is as before but for its weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier

PARTS = {"branch": ("projection", "layer", "readout", "fusion"), "circuit": ("layer",)}
"""What is trained, by the names of a classifier's modules; "all" is everything."""


@contextmanager
def trained_alone(model: HybridClassifier, part: str) -> Iterator[list[nn.Module]]:
    """Freeze all weights but those of a part for a while.

    Args:
        model: The classifier.
        part: "all", "branch" for the second branch, or "circuit" for the circuit's own weights.

    Yields:
        The modules that are not trained, which belong in eval mode.

    Raises:
        InputError: The model has no such part, or nothing in it to train.
    """
    if part == "all":
        yield []
        return
    if model.template is None:
        raise InputError(f"training.trains={part}: this model has no second branch; try training.trains=all")
    if model.fusion_name == "classical_only":
        raise InputError(
            f"training.trains={part}: with fusion classical_only the second branch has no say; try training.trains=all"
        )
    kept = [module for name, module in model.named_children() if name not in PARTS[part]]
    still = [weight for module in kept for weight in module.parameters() if weight.requires_grad]
    for weight in still:
        weight.requires_grad_(False)
    try:
        if not any(weight.requires_grad for weight in model.parameters()):
            raise InputError(f"training.trains={part}: it has no weights; try circuit.ansatz=rotations")
        yield kept
    finally:
        for weight in still:
            weight.requires_grad_()


@contextmanager
def dropping(model: HybridClassifier, share: float | None) -> Iterator[None]:
    """Let the backbone's dropout zero another share of its values for a while.

    Args:
        model: The classifier.
        share: In [0, 1); None leaves the backbone's own.

    Raises:
        InputError: The backbone has no dropout.
    """
    layers = [layer for layer in model.backbone.modules() if isinstance(layer, nn.Dropout)]
    if share is not None and not layers:
        raise InputError(
            f"training.dropout={share}: backbone {model.backbone_name} has no dropout; leave it null"
        )
    own = [layer.p for layer in layers]
    for layer in layers:
        layer.p = layer.p if share is None else share
    try:
        yield
    finally:
        for layer, p in zip(layers, own, strict=True):
            layer.p = p
