"""Attacks along the sign of the gradient: FGSM, PGD, MIM."""

from __future__ import annotations

from typing import ClassVar

from art.attacks.evasion import FastGradientMethod, MomentumIterativeMethod, ProjectedGradientDescent

from qshield_qiskit.config import NotNegative
from qshield_qiskit.config.defence import StepSize
from qshield_qiskit.robustness.attacks.base import DRAWS_NOTHING, Attack, Norm, Steps, Task
from qshield_qiskit.robustness.attacks.victim import Images

ROUND_TRIP = 2.5
"""Steps go this many times epsilon together, unless a step size is given: any point of the ball can be reached."""


class FGSM(Attack):
    """One step along the sign of the gradient.

    References:
        Goodfellow et al., "Explaining and harnessing adversarial examples", arXiv 1412.6572 (2014).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    starts_once: ClassVar[str | None] = DRAWS_NOTHING

    def generate(self, task: Task) -> Images:
        """Take the step."""
        attack = FastGradientMethod(
            task.slope(),
            norm=task.art_norm,
            eps=task.radius,
            eps_step=task.radius,
            targeted=task.targeted,
            batch_size=task.batch_size,
        )
        images: Images = attack.generate(task.images, task.one_hot)
        return images


class SteppedAttack(Attack):
    """An attack in steps of equal size."""

    steps: Steps = 100
    """Number of steps."""
    step_size: StepSize = None
    """Length of a step, in pixel values; null: 2.5 epsilon / steps."""

    def step(self, epsilon: float) -> float:
        """Give the length of a step."""
        return self.step_size or ROUND_TRIP * epsilon / self.steps

    def reach(self, epsilon: float) -> float:
        """Give the length of all steps together."""
        return self.steps * self.step(epsilon)


class PGD(SteppedAttack):
    """Projected gradient descent from a random start.

    References:
        Madry et al., "Towards deep learning models resistant to adversarial attacks", arXiv 1706.06083 (2017).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")

    def generate(self, task: Task) -> Images:
        """Go uphill, and back into the ball, step by step."""
        attack = ProjectedGradientDescent(
            task.slope(),
            norm=task.art_norm,
            eps=task.radius,
            eps_step=self.step(task.radius),
            max_iter=self.steps,
            targeted=task.targeted,
            num_random_init=1,
            batch_size=task.batch_size,
            verbose=False,
        )
        images: Images = attack.generate(task.images, task.one_hot)
        return images


class MIM(SteppedAttack):
    """Momentum iterative method: gradients are accumulated over the steps.

    References:
        Dong et al., "Boosting adversarial attacks with momentum", arXiv 1710.06081 (2017).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    starts_once: ClassVar[str | None] = DRAWS_NOTHING

    steps: Steps = 50
    """Number of steps."""
    momentum_decay: NotNegative = 1.0
    """What is kept of the accumulated gradient at a step."""

    def generate(self, task: Task) -> Images:
        """Go along the accumulated gradient."""
        attack = MomentumIterativeMethod(
            task.slope(),
            norm=task.art_norm,
            eps=task.radius,
            eps_step=self.step(task.radius),
            decay=self.momentum_decay,
            max_iter=self.steps,
            targeted=task.targeted,
            batch_size=task.batch_size,
            verbose=False,
        )
        images: Images = attack.generate(task.images, task.one_hot)
        return images
