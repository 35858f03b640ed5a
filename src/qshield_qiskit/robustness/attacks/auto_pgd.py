"""Auto-PGD on cross entropy, on the DLR loss, and on the DLR loss towards a class.

ART's own keeps an example only if the last point fools; towards a class, only if that class was reached; its steps in
L2 depend on the batch, and it stops where cross entropy rounds to 0. The search here is the paper's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
from art.attacks.attack import EvasionAttack
from art.estimators import BaseEstimator, LossGradientsMixin
from torch import Tensor

from qshield_qiskit.robustness.attacks.base import Attack, Norm, Steps, Task
from qshield_qiskit.robustness.attacks.losses import log_odds_against, logits_ratio, targeted_logits_ratio
from qshield_qiskit.robustness.attacks.victim import Images

Objective = Callable[[Tensor], Tensor]
"""Logits (B, K) to what is raised, (B,)."""


class AutoPGD(EvasionAttack):  # type: ignore[misc]
    """Projected gradient ascent with momentum, whose step halves and which goes back to its best point when stuck.

    Whether it is stuck is asked for each image at checkpoints: too few steps since the last one have raised the
    objective, or neither step nor maximum has changed. Every point on the way counts: of those that fool, the one with
    the highest objective is kept, and where none does, the highest of all.

    Args:
        estimator: ART's view of a classifier.
        objective: What is raised, of the images in their order.
        norm: "linf" or "l2".
        eps: Radius of the ball.
        max_iter: Number of steps.
        targeted: Whether labels are to be arrived at.

    References:
        Croce and Hein, arXiv 2003.01690 (2020), algorithm 1, and section 3 for the constants.
    """

    attack_params: ClassVar[list[str]] = [*EvasionAttack.attack_params, "norm", "eps", "max_iter"]
    _estimator_requirements = (BaseEstimator, LossGradientsMixin)

    MOMENTUM = 0.75
    RISING = 0.75

    def __init__(
        self,
        estimator: Any,
        *,
        objective: Objective,
        norm: Norm,
        eps: float,
        max_iter: int,
        targeted: bool = False,
    ) -> None:
        super().__init__(estimator=estimator)
        self.objective, self.norm, self.eps, self.max_iter = objective, norm, eps, max_iter
        self._targeted = targeted

    def generate(self, x: Images, y: Any = None, **ignored: Any) -> Images:
        """Perturb images (B, C, H, W) with one-hot labels, or targets, (B, K)."""
        images = torch.as_tensor(x, device=self.estimator.device)
        classes = torch.as_tensor(y, device=images.device).argmax(1)
        return self._search(images, classes).cpu().numpy().astype(np.float32)

    def _search(self, images: Tensor, classes: Tensor) -> Tensor:
        point = before = self._project(images + self._random_perturbation(images), images)
        height, gradient, fools = self._look(point, classes)
        best, best_height, best_gradient = point, height, gradient
        found, found_height = point, torch.where(fools, height, -torch.inf)
        step = torch.full_like(height, 2 * self.eps)
        rises, halved, height_then = torch.zeros_like(height), torch.ones_like(fools), best_height
        checkpoints = self.checkpoints(self.max_iter)
        for number in range(1, self.max_iter + 1):
            ahead = self._project(point + _of(step) * self._direction(gradient), images)
            share = self.MOMENTUM if number > 1 else 1.0
            moved = self._project(point + share * (ahead - point) + (1 - share) * (point - before), images)
            last_height, before, point = height, point, moved
            height, gradient, fools = self._look(point, classes)
            rises += height > last_height
            higher = height > best_height
            best, best_gradient = _where(higher, point, best), _where(higher, gradient, best_gradient)
            best_height = torch.where(higher, height, best_height)
            better = fools & ((height > found_height) | found_height.isneginf())
            found, found_height = _where(better, point, found), torch.where(better, height, found_height)
            if number in checkpoints:
                period = number - checkpoints[number]
                stuck = (rises < self.RISING * period) | (~halved & (best_height <= height_then))
                step = torch.where(stuck, step / 2, step)
                point, gradient = _where(stuck, best, point), _where(stuck, best_gradient, gradient)
                height = torch.where(stuck, best_height, height)
                rises, halved, height_then = torch.zeros_like(rises), stuck, best_height
        return _where(found_height.isneginf(), best, found)

    @staticmethod
    def checkpoints(steps: int) -> dict[int, int]:
        """Give the steps after which the search looks back, each with the one before it."""
        shares = [0.0, 0.22]
        while shares[-1] < 1:
            shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
        at = sorted({math.ceil(round(share * steps, 6)) for share in shares if share <= 1})
        return dict(zip(at[1:], at[:-1], strict=True))

    def _look(self, point: Tensor, classes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give objective (B,) and gradient (B, C, H, W) at a point, and whether it fools, (B,)."""
        point = point.detach().requires_grad_()
        logits = self.estimator.model(point)
        height = self.objective(logits)
        (gradient,) = torch.autograd.grad(height.sum(), point)
        fools = (logits.argmax(1) == classes) == self._targeted
        return height.detach().to(point.dtype), gradient.nan_to_num(0.0), fools

    def _direction(self, gradient: Tensor) -> Tensor:
        """Give the steepest direction of length 1 in the norm."""
        if self.norm == "linf":
            return gradient.sign()
        steepest = gradient / _of(gradient.abs().amax(dim=(1, 2, 3))).clamp_min(
            torch.finfo(gradient.dtype).tiny
        )
        return steepest / _of(steepest.flatten(1).norm(dim=1)).clamp_min(1e-12)

    def _project(self, point: Tensor, images: Tensor) -> Tensor:
        """Bring a point back into the ball around images and into [0, 1]."""
        change = point - images
        if self.norm == "linf":
            change = change.clamp(-self.eps, self.eps)
        else:
            change = change * (self.eps / _of(change.flatten(1).norm(dim=1)).clamp_min(self.eps))
        return (images + change).clamp(0, 1)

    def _random_perturbation(self, images: Tensor) -> Tensor:
        """Draw from the cube, or from the sphere."""
        if self.norm == "linf":
            return self.eps * (2 * torch.rand_like(images) - 1)
        return self.eps * self._direction(torch.randn_like(images))


def _of(values: Tensor) -> Tensor:
    """Lay a value of each image (B,) out for its pixels."""
    return values[:, None, None, None]


def _where(chosen: Tensor, some: Tensor, others: Tensor) -> Tensor:
    """Choose between images, (B, C, H, W), by (B,)."""
    return torch.where(_of(chosen), some, others)


class APGD(Attack):
    """Projected gradient ascent on cross entropy that halves its step, and goes back to its best point, when stuck.

    References:
        Croce and Hein, arXiv 2003.01690 (2020).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")

    steps: Steps = 100
    """Number of steps."""
    restarts: Steps = 2
    """Times that it starts anew, each on the images that are still standing."""

    def generate(self, task: Task) -> Images:
        """Run it once."""
        attack = AutoPGD(
            task.victim(),
            objective=self.objective(task),
            norm=task.norm,
            eps=task.radius,
            max_iter=self.steps,
            targeted=task.targeted,
        )
        return attack.generate(task.images, task.one_hot)

    def objective(self, task: Task) -> Objective:
        """Give what is raised."""
        classes = _tensor(task, task.classes)
        sign = -1 if task.targeted else 1
        return lambda logits: sign * log_odds_against(logits, classes)


class APGDDLR(APGD):
    """Auto-PGD on the DLR loss, which saturated logits cannot hide from."""

    min_classes: ClassVar[int] = 3

    def objective(self, task: Task) -> Objective:
        """Give what is raised; towards a target, from the class that the images have now."""
        classes = _tensor(task, task.classes)
        if not task.targeted:
            return lambda logits: logits_ratio(logits, classes)
        labels = _tensor(task, task.victim().predict(task.images).argmax(axis=1))
        return lambda logits: targeted_logits_ratio(logits, labels, classes)


class TargetedAPGD(APGDDLR):
    """Auto-PGD on the targeted DLR loss, towards one of the likeliest wrong classes; any wrong class will do."""

    can_target: ClassVar[bool] = False

    restarts: Steps = 1
    """Times that it starts anew, each on the images that are still standing."""
    rank: Steps = 1
    """Which wrong class is aimed at, 1 for the likeliest."""

    def objective(self, task: Task) -> Objective:
        """Give what is raised: towards the wrong class of that rank."""
        logits = task.victim().predict(task.images)
        np.put_along_axis(logits, task.classes[:, None], -np.inf, axis=1)
        targets = _tensor(task, np.argsort(-logits, axis=1)[:, self.rank - 1].copy())
        labels = _tensor(task, task.classes)
        return lambda logits: targeted_logits_ratio(logits, labels, targets)


def _tensor(task: Task, classes: Any) -> Tensor:
    return torch.as_tensor(classes, device=task.model.device)
