"""Is the model a function of the image alone? Randomness and neighbours in the batch hide gradients."""

from __future__ import annotations

import torch

from qshield_qiskit.robustness.attacked_model import AttackedModel, predict
from qshield_qiskit.robustness.verdict.check import Check, does_not_apply
from qshield_qiskit.robustness.verdict.evidence import ENOUGH_DRAWS, RANDOM, Evidence, lead, moved

BATCH_TOLERANCE = 1e-5


def determinism(evidence: Evidence) -> Check:
    """Compare ten forward passes of the same images."""
    spread = evidence.spread
    if not evidence.random:
        says = "the same images give the same logits every time"
    elif evidence.eot >= ENOUGH_DRAWS:
        says = f"the model is random, and the figures average over {evidence.eot} draws"
    else:
        says = (
            f"the model is random, and an attack that sees {evidence.eot} draw at a step follows noise; "
            f"use eot={ENOUGH_DRAWS} or more"
        )
    if not (evidence.counted or evidence.repeatable):
        says += "; its randomness cannot be frozen, so that its gradient is held against no differences"
    passed = not evidence.random or evidence.eot >= ENOUGH_DRAWS
    return Check("determinism", True, passed, spread, RANDOM, says)


def batch_invariance(evidence: Evidence) -> Check:
    """Compare an image alone with the same image in two batches, in float64."""
    if evidence.random:
        return does_not_apply("batch_invariance", "a random model cannot be asked this", hard=True)
    model = AttackedModel(evidence.double)
    images = evidence.images[: evidence.effort.probed]
    alone = predict(model, images, 1)
    together = predict(model, images, len(images))
    generator = torch.Generator().manual_seed(evidence.seed)
    strangers = torch.rand(images.shape, generator=generator, dtype=images.dtype).to(images.device)
    mixed = predict(model, torch.cat([strangers, images.flip(0)]), 2 * len(images))
    against = max(lead(alone), lead(together))  # alone, an image may be its own mean and have no logits left
    figure = max(moved(alone, other, against) for other in (together, mixed[len(images) :].flip(0)))
    passed = figure <= BATCH_TOLERANCE
    says = (
        "an image's logits do not depend on the images beside it"
        if passed
        else "an image's logits depend on the images beside it, so that they change with the attack's batches"
    )
    return Check("batch_invariance", True, passed, figure, BATCH_TOLERANCE, says)
