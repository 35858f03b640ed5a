"""VMI-FGSM: momentum with variance tuning, which ART lacks."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators import BaseEstimator, LossGradientsMixin
from art.estimators.classification import ClassifierMixin

from qshield_qiskit.config import NotNegative
from qshield_qiskit.robustness.attacks.base import Steps, Task
from qshield_qiskit.robustness.attacks.gradient import SteppedAttack
from qshield_qiskit.robustness.attacks.victim import Images


class VarianceTuningMethod(EvasionAttack):  # type: ignore[misc]
    r"""The variance-tuned momentum iterative method, in the sup norm.

    g_{t+1} = \mu g_t + (\nabla J(x_t) + v_t) / |\nabla J(x_t) + v_t|_1,
    v_{t+1} = \frac{1}{N} \sum_i \nabla J(x_t + r_i) - \nabla J(x_t),
    r_i uniform in [-\beta\epsilon, \beta\epsilon],
    x_{t+1} = x_t + \alpha sign(g_{t+1}), projected.

    Args:
        estimator: ART's view of a classifier.
        eps: Radius \epsilon of the ball.
        eps_step: Step size \alpha.
        max_iter: Number of steps.
        decay: Momentum \mu.
        neighbours: Number of neighbours N.
        beta: How far neighbours lie, in epsilon.
        targeted: Whether labels are targets.

    References:
        Wang and He, "Enhancing the transferability of adversarial attacks through variance tuning",
        arXiv 2103.15571 (2021), algorithm 1.
    """

    attack_params: ClassVar[list[str]] = [
        *EvasionAttack.attack_params,
        "eps",
        "eps_step",
        "max_iter",
        "decay",
        "neighbours",
        "beta",
    ]
    _estimator_requirements = (BaseEstimator, LossGradientsMixin, ClassifierMixin)

    def __init__(
        self,
        estimator: Any,
        *,
        eps: float,
        eps_step: float,
        max_iter: int,
        decay: float = 1.0,
        neighbours: int = 20,
        beta: float = 1.5,
        targeted: bool = False,
    ) -> None:
        super().__init__(estimator=estimator)
        self.eps, self.eps_step, self.max_iter = eps, eps_step, max_iter
        self.decay, self.neighbours, self.beta = decay, neighbours, beta
        self._targeted = targeted

    def generate(self, x: Images, y: Any = None, **ignored: Any) -> Images:
        """Perturb images (B, C, H, W) with one-hot labels, or targets, (B, K)."""
        low, high = self.estimator.clip_values
        uphill = -1 if self.targeted else 1
        x_t = x.copy()
        g = np.zeros_like(x)
        v = np.zeros_like(x)
        for _ in range(self.max_iter):
            gradient = uphill * self.estimator.loss_gradient(x_t, y)
            tuned = gradient + v
            norm = np.abs(tuned).sum(axis=(1, 2, 3), keepdims=True)
            g = self.decay * g + np.divide(tuned, norm, out=np.zeros_like(tuned), where=norm > 0)
            v = uphill * self._gradient_around(x_t, y) - gradient
            x_t = np.clip(x_t + self.eps_step * np.sign(g), x - self.eps, x + self.eps)
            x_t = np.clip(x_t, low, high).astype(np.float32)
        return x_t

    def _gradient_around(self, x: Images, y: Any) -> Images:
        """Average the loss's gradient over the neighbourhood of each image."""
        total = np.zeros_like(x)
        for _ in range(self.neighbours):
            r = np.random.uniform(-self.beta * self.eps, self.beta * self.eps, x.shape).astype(np.float32)
            total += self.estimator.loss_gradient(x + r, y)
        return total / np.float32(self.neighbours)


class VMIFGSM(SteppedAttack):
    """Momentum with variance tuning, strong when carried over to another model.

    References:
        Wang and He, arXiv 2103.15571 (2021).
    """

    steps: Steps = 20
    """Number of steps."""
    momentum_decay: NotNegative = 1.0
    """What is kept of the accumulated gradient at a step."""
    neighbours: Steps = 10
    """Neighbours over which the gradient is averaged at a step."""
    beta: NotNegative = 1.5
    """How far neighbours lie, in epsilon."""

    def generate(self, task: Task) -> Images:
        """Run the method."""
        attack = VarianceTuningMethod(
            task.victim(),
            eps=task.radius,
            eps_step=self.step(task.radius),
            max_iter=self.steps,
            decay=self.momentum_decay,
            neighbours=self.neighbours,
            beta=self.beta,
            targeted=task.targeted,
        )
        return attack.generate(task.images, task.one_hot)
