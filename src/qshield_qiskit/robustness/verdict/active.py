"""The active test: adversarial examples are planted, and the attack must find them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qshield_qiskit.robustness.attacked_model import AttackedModel, predict
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.verdict.check import Check, all_but_one, does_not_apply
from qshield_qiskit.robustness.verdict.evidence import Evidence

INNER = 100
"""Points well inside the ball that a planted readout must tell from the planted example."""
INNER_RADIUS = 0.5
"""Radius of that inner ball, in epsilon."""
MISSED = 0.05
TRIALS = 3


class PlantedReadout(nn.Module):
    """A classifier's logits with a linear readout of two classes on top.

    Args:
        model: The classifier.
        direction: (K,).
        offset: What the second class's logit starts from.
    """

    direction: Tensor
    offset: Tensor

    def __init__(self, model: nn.Module, direction: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("direction", direction)
        self.register_buffer("offset", offset)

    def forward(self, images: Tensor) -> Tensor:
        """Give two logits for images (B, C, H, W): inner point, planted example."""
        logits = finite(self.model(images))
        score = logits @ self.direction.to(logits) - self.offset.to(logits)
        return torch.stack([-score, score], dim=1)


def finite(logits: Tensor) -> Tensor:
    """Take classes that are never named, at minus infinity, out of all sums."""
    return logits.nan_to_num(nan=torch.nan, neginf=0.0)


def active_test(evidence: Evidence) -> Check:
    """Plant a readout that calls one corner of the ball adversarial, and let PGD look for it.

    Where a model's logits cannot tell that corner from the inner ball, nothing can be planted.

    References:
        Zimmermann et al., "Increasing confidence in adversarial robustness evaluations", arXiv 2206.13991 (2022).
    """
    generator = torch.Generator().manual_seed(evidence.seed)
    images, _ = evidence.probed
    planted = found = 0
    for image in images:
        readout = _plant(evidence, image, generator)
        if readout is None:
            continue
        planted += 1
        outcome = attack(
            readout,
            image[None],
            torch.zeros(1, dtype=torch.long),
            "pgd",
            epsilon=evidence.epsilon,
            parameters={"steps": evidence.effort.steps, "restarts": 2},
            eot=evidence.eot,
            seed=evidence.seed,
        )
        found += int(outcome.fooled.sum())
    if planted == 0:
        return does_not_apply("active_test", "the logits are so flat in the ball that nothing can be planted")
    figure, threshold = found / planted, 1 - all_but_one(MISSED, planted)
    passed = figure >= threshold
    says = f"of {planted} planted adversarial examples PGD finds {found}"
    return Check("active_test", False, passed, figure, threshold, says)


def _plant(evidence: Evidence, image: Tensor, generator: torch.Generator) -> PlantedReadout | None:
    """Fit a readout that separates a corner of the ball from points inside, or give None."""
    model = AttackedModel(evidence.model, eot=evidence.eot)
    epsilon = evidence.epsilon
    noise = 2 * torch.rand((INNER, *image.shape), generator=generator).to(image) - 1
    inner = (image + INNER_RADIUS * epsilon * noise).clamp(0, 1)
    inside = predict(model, torch.cat([image[None], inner]), evidence.batch_size).double()
    inside = finite(inside)
    for _ in range(TRIALS):
        signs = torch.randint(0, 2, image.shape, generator=generator).to(image)
        corner = (image + epsilon * (2 * signs - 1)).clamp(0, 1)
        outside = finite(predict(model, corner[None], 1).double()[0])
        centre = inside.mean(0)
        spread = (inside - centre).T @ (inside - centre) / len(inside)
        ridge = 1e-3 * spread.diagonal().mean().clamp_min(1e-12) * torch.eye(len(centre))
        direction = torch.linalg.solve(spread + ridge, outside - centre)
        highest, planted = float((inside @ direction).max()), float(outside @ direction)
        gap = planted - highest
        if gap <= 1e-6 * max(abs(planted), abs(highest)):
            continue
        offset = torch.tensor(highest + 0.75 * gap)
        size = 0.25 * gap
        own = evidence.attacked.dtype  # a model without weights of its own would be asked in the readout's
        readout = PlantedReadout(evidence.model, (direction / size).to(own), (offset / size).to(own)).eval()
        both = predict(AttackedModel(readout, eot=evidence.eot), torch.stack([image, corner]), 2).argmax(1)
        if both.tolist() == [0, 1]:
            return readout
    return None
