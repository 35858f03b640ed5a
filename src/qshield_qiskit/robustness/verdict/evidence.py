"""What the checks have in common: the model, images that it classifies correctly, and attacks run once."""

from __future__ import annotations

import copy
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import Branches, HybridClassifier
from qshield_qiskit.robustness.attacked_model import AttackedModel, predict
from qshield_qiskit.robustness.attacking import attack, check_logits
from qshield_qiskit.robustness.attacks.auto_pgd import APGDDLR, TargetedAPGD
from qshield_qiskit.robustness.outcome import Outcome
from qshield_qiskit.robustness.verdict.copies import Frozen, InDouble

RANDOM = 1e-4
"""A model is random if its logits differ by more from one forward pass to the next, relative to their scale."""

UNLIMITED = 1e9
"""Stands for a difference without limit, such as to a logit that is infinite or no number."""

ENOUGH_DRAWS = 20
"""Draws with which a random model may be attacked."""


@dataclass(frozen=True)
class Effort:
    """How much work the checks do."""

    steps: int  # of gradient attacks
    restarts: int
    targets: int  # classes that the targeted APGD aims at
    proposals: int  # of Square
    probed: int  # images for finite differences and the active test
    walked: int  # images for HopSkipJump


FULL = Effort(steps=100, restarts=2, targets=3, proposals=300, probed=20, walked=5)
QUICK = Effort(steps=40, restarts=1, targets=1, proposals=100, probed=10, walked=0)


@dataclass
class Evidence:
    """A model under examination; it is in eval mode with frozen weights.

    Attributes:
        model: The classifier.
        images: (N, C, H, W), [0, 1].
        labels: (N,).
        epsilon: Radius of the ball that the figures are about, in the sup norm.
        eot: Draws with which the figures were taken.
        seed: Of every attack.
        batch_size: Images in a forward pass.
        effort: How much work the checks do.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    epsilon: float
    eot: int
    seed: int
    batch_size: int
    effort: Effort
    _outcomes: dict[str, Outcome] = field(default_factory=dict)

    @cached_property
    def attacked(self) -> AttackedModel:
        """The model as attacks see it."""
        return AttackedModel(self.model, eot=self.eot)

    @cached_property
    def logits(self) -> Tensor:
        """Logits of all images, (N, K), on the CPU.

        Raises:
            InputError: They are none, or no numbers.
        """
        logits = predict(self.attacked, self.images, self.batch_size)
        check_logits(logits, len(self.images))
        if logits.isnan().any():
            raise InputError(
                "the model's logits are not a number on some images; is it trained, and in this precision?"
            )
        return logits

    @cached_property
    def correct(self) -> Tensor:
        """Which images are classified correctly, (N,)."""
        return self.logits.argmax(1) == self.labels.cpu()

    @cached_property
    def standing(self) -> tuple[Tensor, Tensor]:
        """The correctly classified images and their labels."""
        return self.images[self.correct], self.labels[self.correct].cpu()

    @cached_property
    def probed(self) -> tuple[Tensor, Tensor]:
        """A few of them."""
        images, labels = self.standing
        return images[: self.effort.probed], labels[: self.effort.probed]

    @cached_property
    def spread(self) -> float:
        """Largest difference of a logit over ten forward passes, relative to the lead of the class that is named."""
        draws = AttackedModel(self.model)
        passes = torch.stack([predict(draws, self.images[:32], self.batch_size) for _ in range(10)])
        return moved(passes.amax(0), passes.amin(0), lead(passes))

    @property
    def random(self) -> bool:
        """Whether the model's logits are random."""
        return self.spread > RANDOM

    @cached_property
    def double(self) -> nn.Module:
        """A float64 copy whose randomness, if any, is the same at every forward pass."""
        exact = InDouble(copy.deepcopy(self.model).double())
        return Frozen(exact, self.seed) if self.random else exact

    @property
    def counted(self) -> bool:
        """Whether the model's answers are counted from shots."""
        return isinstance(self.model, HybridClassifier) and self.model.shots is not None

    @cached_property
    def repeatable(self) -> bool:
        """Whether the float64 copy gives the same images the same logits when asked again; shots are not asked."""
        if self.counted or not self.random:
            return not self.counted
        images = self.images[:2]
        with torch.no_grad():
            first, second = (predict(AttackedModel(self.double), images, len(images)) for _ in range(2))
        return moved(first, second, lead(first)) <= RANDOM

    @property
    def branch(self) -> str:
        """What stands beside the classical head; a control has no circuit."""
        return "quantum branch" if getattr(self.model, "branch", "circuit") == "circuit" else "control branch"

    @cached_property
    def has_second_branch(self) -> bool:
        """Whether there is a second branch whose output can be replaced."""
        return self.branches(self.images[:2]) is not None

    def branches(self, images: Tensor) -> Branches | None:
        """Give what happens to images (B, C, H, W) in a hybrid, or None for any other classifier."""
        known = getattr(self.model, "branches", None)
        if not (inspect.ismethod(known) and hasattr(self.model, "readout")):
            return None
        branches = known(images.to(self.attacked.device, self.attacked.dtype))
        return branches if isinstance(branches, Branches) and branches.quantum is not None else None

    def attack(
        self,
        name: str,
        *,
        epsilon: float | None = None,
        norm: str | None = None,
        only: Tensor | None = None,
        model: nn.Module | None = None,
        source: nn.Module | None = None,
        **parameters: Any,
    ) -> Outcome:
        """Attack the correctly classified images, or `only` some of them (by mask).

        What is asked again of this model and all images is remembered.
        """
        images, labels = self.standing
        if only is not None:
            images, labels = images[only], labels[only]
        radius = self.epsilon if epsilon is None else epsilon
        key = json.dumps([name, radius, norm, parameters], sort_keys=True)
        memorable = only is None and model is None and source is None
        if memorable and key in self._outcomes:
            return self._outcomes[key]
        outcome = attack(
            model or self.model,
            images,
            labels,
            name,
            epsilon=radius,
            norm=norm,
            parameters=TargetedAPGD(**parameters) if name == "apgd_targeted" else parameters,
            eot=self.eot,
            source=source,
            seed=self.seed,
            batch_size=self.batch_size,
        )
        if memorable:
            self._outcomes[key] = outcome
        return outcome

    @cached_property
    def minimum_norm(self) -> list[Outcome]:
        """DeepFool and two settings of C&W on some of the images."""
        some = torch.arange(len(self.standing[1])) < 2 * self.effort.probed
        return [
            self.attack("deepfool", only=some, steps=100),
            self.attack("cw_l2", only=some),
            self.attack("cw_l2", only=some, learning_rate=0.05),
        ]

    def pgd(self, epsilon: float | None = None) -> Outcome:
        """Run PGD."""
        return self.attack("pgd", epsilon=epsilon, steps=self.effort.steps, restarts=self.effort.restarts)

    def apgd(self, **which: Any) -> Outcome:
        """Run APGD on the cross entropy."""
        return self.attack("apgd", steps=self.effort.steps, restarts=self.effort.restarts, **which)

    def strongest(self) -> list[Outcome]:
        """Run the gradient attacks that the other checks are held against: PGD and APGD on three losses."""
        outcomes = [self.pgd(), self.apgd()]
        num_classes = self.logits.shape[1]
        if num_classes >= APGDDLR.min_classes:
            outcomes.append(self.attack("apgd_dlr", steps=self.effort.steps, restarts=self.effort.restarts))
            ranks = range(1, min(self.effort.targets, num_classes - 1) + 1)
            outcomes += [self.attack("apgd_targeted", steps=self.effort.steps, rank=rank) for rank in ranks]
        return outcomes

    @cached_property
    def missed(self) -> Tensor:
        """Which of the standing images no gradient attack fooled, (S,).

        One that every attack found wrong before it began, as happens to random models, is not standing.
        """
        attacked, fooled = union(self.strongest())
        return attacked & ~fooled


def union(outcomes: Sequence[Outcome]) -> tuple[Tensor, Tensor]:
    """Say of the same images which of them any attack tried, and which of those any attack fooled, (B,) each."""
    attacked = torch.stack([outcome.correct for outcome in outcomes]).any(dim=0).cpu()
    return attacked, torch.stack([outcome.fooled for outcome in outcomes]).any(dim=0).cpu() & attacked


def lead(logits: Tensor) -> float:
    """Give the median lead of the class that is named over the next one, in logits (..., K).

    It is what a change must be held against: a factor on all logits, or a class that is never named, changes how far
    logits are apart, but not which share of the lead a change is. At least what the leading logits are rounded by.
    """
    first, second = logits.topk(2, dim=-1).values.unbind(-1)
    leads = (first - second)[(first - second).isfinite()]
    size = first[first.isfinite()].abs()
    rounding = float(size.median()) * torch.finfo(logits.dtype).eps if len(size) else 0.0
    return max(float(leads.median()) if len(leads) else 0.0, rounding, torch.finfo(torch.float64).tiny)


def moved(first: Tensor, second: Tensor, against: float) -> float:
    """Give the largest difference between logits, relative to a lead; equal infinities do not differ."""
    apart = torch.where(first == second, torch.zeros_like(first), (first - second).abs())
    largest = float(apart.nan_to_num(nan=torch.inf).max())
    return min(largest / against, UNLIMITED)
