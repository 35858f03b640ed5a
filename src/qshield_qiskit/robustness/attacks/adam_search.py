"""Searches for the smallest adversarial perturbation, in the L2 and the sup norm, by Adam on whole batches."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from art.attacks.attack import EvasionAttack
from art.estimators import BaseEstimator
from art.estimators.classification.classifier import ClassGradientsMixin
from torch import Tensor

from qshield_qiskit.robustness.attacks.victim import Images

LEAST_TAU = 1e-6
"""Changes of a pixel are bounded no further down: there single precision ends."""


class Found(NamedTuple):
    """The smallest adversarial example that a descent has passed, of each image."""

    images: Tensor  # (B, C, H, W)
    size: Tensor  # (B,), inf where there is none

    @classmethod
    def nothing(cls, images: Tensor) -> Found:
        """Begin a search from images (B, C, H, W)."""
        return cls(images.clone(), images.new_full((len(images),), torch.inf))

    def improved_by(self, better: Tensor, new: Found) -> Found:
        """Take over the images of a newer find where (B,) it is better."""
        return Found(
            torch.where(better[:, None, None, None], new.images, self.images),
            torch.where(better, new.size, self.size),
        )


class CarliniWagnerAdam(EvasionAttack):  # type: ignore[misc]
    r"""Minimise penalty(\delta) + c [z_y - \max_{i \ne y} z_i + \kappa]_+ by Adam, keeping images in [0, 1].

    Args:
        estimator: ART's view of a classifier.
        max_iter: Steps of a descent.
        learning_rate: Of Adam at first, in pixel values.
        confidence: \kappa, by how much the wrong logit shall exceed the right one.
        targeted: Whether labels are targets.
    """

    attack_params: ClassVar[list[str]] = [
        *EvasionAttack.attack_params,
        "max_iter",
        "learning_rate",
        "confidence",
    ]
    _estimator_requirements = (BaseEstimator, ClassGradientsMixin)

    def __init__(
        self, estimator: Any, *, max_iter: int, learning_rate: float, confidence: float, targeted: bool
    ) -> None:
        super().__init__(estimator=estimator)
        self.max_iter, self.learning_rate, self.confidence = max_iter, learning_rate, confidence
        self._targeted = targeted

    def generate(self, x: Images, y: Any = None, **ignored: Any) -> Images:
        """Perturb images (B, C, H, W) with one-hot labels, or targets, (B, K)."""
        images = torch.as_tensor(x, device=self.estimator.device)
        found = self.search(images, torch.as_tensor(y, device=images.device).argmax(1))
        return found.images.cpu().numpy().astype(np.float32)

    @abstractmethod
    def search(self, images: Tensor, classes: Tensor) -> Found:
        """Find the smallest perturbation of images (B, C, H, W) with labels, or targets, (B,)."""

    def descend(
        self,
        images: Tensor,
        classes: Tensor,
        start: Tensor,
        constant: Tensor,
        penalty: Callable[[Tensor], Tensor],
        size: Callable[[Tensor], Tensor],
        step_size: Callable[[float], Tensor],
    ) -> tuple[Found, Tensor]:
        """Descend once.

        Args:
            images: (B, C, H, W).
            classes: (B,), labels or targets.
            start: (B, C, H, W), where the descent begins.
            constant: (B,), the weights c.
            penalty: Of perturbations (B, C, H, W), what is minimised besides: (B,).
            size: Of perturbations, what the smallest example is chosen by: (B,).
            step_size: Of each image, (B,), in pixel values, after a share of the descent's steps in [0, 1).

        Returns:
            The smallest example on the way, and where the descent ended, (B, C, H, W).
        """
        delta = (start - images).requires_grad_()  # (B, C, H, W)
        adam = torch.optim.Adam([delta], lr=1.0)  # its steps are scaled for each image
        found = Found.nothing(images)
        for step in range(self.max_iter + 1):
            margin = self._margin(self.estimator.model(images + delta), classes).to(delta.dtype)
            reached = size(delta.detach())
            better = (margin < 0) & (margin <= -self.confidence) & (reached < found.size)
            found = found.improved_by(better, Found((images + delta).detach(), reached))
            if step == self.max_iter:
                break  # the point after the last step is looked at as well
            loss = penalty(delta) + constant * (margin + self.confidence).relu()
            (delta.grad,) = torch.autograd.grad(loss.sum(), delta)
            before = delta.detach().clone()
            adam.step()
            with torch.no_grad():
                scale = step_size(step / self.max_iter)[:, None, None, None]
                delta.copy_((images + before + scale * (delta - before)).clamp(0, 1) - images)
        return found, (images + delta).detach().clamp(0, 1)

    def _margin(self, logits: Tensor, classes: Tensor) -> Tensor:
        """Give by how much an image is not yet adversarial, (B,); negative where it is."""
        own = logits.gather(1, classes[:, None]).squeeze(1)
        other = logits.scatter(1, classes[:, None], -torch.inf).amax(dim=1)
        return other - own if self.targeted else own - other


class CarliniWagnerAdamL2(CarliniWagnerAdam):
    r"""penalty = |\delta|_2^2; c is searched for each image: up to a success, down to a failure, then by bisection.

    How long a step should be depends on how far away the boundary is, and that is known after the first success: from
    then on the steps of a descent begin at `STRIDE` times the found distance, spread over all pixels, and fall to 0
    along a cosine. Steps of one length for all overstate the distance severalfold, be it near or far.

    Args:
        estimator: ART's view of a classifier.
        binary_search_steps: Constants that are tried.
        initial_const: The first.
        **settings: Those of `CarliniWagnerAdam`.

    References:
        Carlini and Wagner, arXiv 1608.04644 (2016), section VI A.
    """

    STRIDE = 4.0

    def __init__(
        self, estimator: Any, *, binary_search_steps: int, initial_const: float, **settings: Any
    ) -> None:
        super().__init__(estimator, **settings)
        self.binary_search_steps, self.initial_const = binary_search_steps, initial_const

    def search(self, images: Tensor, classes: Tensor) -> Found:
        """Bisect c."""
        constant = images.new_full((len(images),), self.initial_const)
        low, high = torch.zeros_like(constant), torch.full_like(constant, torch.inf)
        best = Found.nothing(images)
        for _ in range(self.binary_search_steps):
            found, _ = self.descend(
                images,
                classes,
                images,
                constant,
                lambda delta: delta.square().sum(dim=(1, 2, 3)),
                lambda delta: delta.flatten(1).norm(dim=1),
                partial(self._step_size, best.size, images[0].numel()),
            )
            success = found.size.isfinite()
            best = best.improved_by(found.size < best.size, found)
            high = torch.where(success, torch.minimum(high, constant), high)
            low = torch.where(success, low, torch.maximum(low, constant))
            middle = torch.where(low > 0, (low * high).sqrt(), high / 3)
            constant = torch.where(high.isfinite(), middle, 10 * constant)
        return best

    def _step_size(self, distance: Tensor, pixels: int, share: float) -> Tensor:
        fitting = self.STRIDE * distance / math.sqrt(pixels) * (1 + math.cos(math.pi * share)) / 2
        return torch.where(distance.isfinite(), fitting, self.learning_rate)


class CarliniWagnerAdamLInf(CarliniWagnerAdam):
    r"""penalty = \sum_j [|\delta_j| - \tau]_+; every image's \tau falls while it succeeds.

    On success \tau falls to 0.9 of the largest change that was needed, and the next round starts from the found
    example; on failure c grows tenfold, and until the first success a round goes on where the last one ended. A
    descent's steps go 2.5 \tau together at most: where the boundary is near, longer ones pass it time and again.

    Args:
        estimator: ART's view of a classifier.
        tau: First \tau.
        rounds: Number of descents.
        **settings: Those of `CarliniWagnerAdam`.

    References:
        Carlini and Wagner, arXiv 1608.04644 (2016), section VI C.
    """

    DECREASE = 0.9
    ROUND_TRIP = 2.5

    def __init__(self, estimator: Any, *, tau: float, rounds: int, **settings: Any) -> None:
        super().__init__(estimator, **settings)
        self.tau, self.rounds = tau, rounds

    def search(self, images: Tensor, classes: Tensor) -> Found:
        """Lower tau."""
        best = Found.nothing(images)
        tau = images.new_full((len(images),), self.tau)
        constant = torch.ones_like(tau)
        start = images
        for _ in range(self.rounds):
            bound = tau[:, None, None, None]
            stride = (self.ROUND_TRIP / self.max_iter * tau).clamp_max(self.learning_rate)
            found, end = self.descend(
                images,
                classes,
                start,
                constant,
                lambda delta, bound=bound: (delta.abs() - bound).relu().sum(dim=(1, 2, 3)),  # type: ignore[misc]
                lambda delta: delta.abs().amax(dim=(1, 2, 3)),
                lambda share, stride=stride: stride,  # type: ignore[misc]
            )
            better = found.size < best.size
            best = best.improved_by(better, found)
            tau = torch.where(better, self.DECREASE * best.size, tau).clamp_min(LEAST_TAU)
            constant = torch.where(better, constant, 10 * constant).clamp_max(1e6)
            start = torch.where(best.size.isfinite()[:, None, None, None], best.images, end)
        return best
