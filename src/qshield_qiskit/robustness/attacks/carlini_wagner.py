"""Carlini and Wagner's attacks, in the L2 and the sup norm, on whole batches.

ART's own L2 method, which remains as `optimiser: line_search`, descends in tanh space, where black and white
pixels hardly move: on MNIST it finds perturbations half as long again. Its sup-norm method runs an image at a time,
which takes hours. These use Adam on the pixels themselves and project, the papers' second way to keep the bounds.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from art.attacks.attack import EvasionAttack
from art.attacks.evasion import CarliniL2Method

from qshield_qiskit.config import NotNegative, Positive, Probability
from qshield_qiskit.robustness.attacks.adam_search import CarliniWagnerAdamL2, CarliniWagnerAdamLInf
from qshield_qiskit.robustness.attacks.base import DRAWS_NOTHING, Attack, Norm, Steps, Task
from qshield_qiskit.robustness.attacks.victim import Images


class CarliniWagnerL2(Attack):
    """Carlini and Wagner's attack: the least L2 norm that changes the class.

    References:
        Carlini and Wagner, "Towards evaluating the robustness of neural networks", arXiv 1608.04644 (2016).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    bounded: ClassVar[bool] = False
    starts_once: ClassVar[str | None] = DRAWS_NOTHING

    optimiser: Literal["adam", "line_search"] = "adam"
    """How each step is found: by Adam on the pixels, or by ART's line search in tanh space."""
    steps: Steps = 50
    """Steps of descent for each constant."""
    binary_search_steps: Steps = 6
    """Constants that are tried."""
    initial_constant: Positive = 1.0
    """First weight of misclassification against distance."""
    learning_rate: Positive = 0.02
    """First step size, in pixel values or in tanh space; Adam's follows the distance once one is found."""
    confidence: NotNegative = 0.0
    """By how much the wrong logit shall exceed the right one."""
    line_search: Steps = 5
    """Most halvings, and most doublings, of a step of the line search."""

    def generate(self, task: Task) -> Images:
        """Run it on the whole batch."""
        shared: dict[str, Any] = {
            "confidence": self.confidence,
            "targeted": task.targeted,
            "learning_rate": self.learning_rate,
            "binary_search_steps": self.binary_search_steps,
            "max_iter": self.steps,
            "initial_const": self.initial_constant,
        }
        attack: EvasionAttack
        if self.optimiser == "adam":
            attack = CarliniWagnerAdamL2(task.victim(), **shared)
        else:
            attack = CarliniL2Method(
                task.victim(),
                **shared,
                max_halving=self.line_search,
                max_doubling=self.line_search,
                batch_size=len(task.images),
                verbose=False,
            )
        images: Images = attack.generate(task.images, task.one_hot)
        return images


class CarliniWagnerLInf(Attack):
    """Carlini and Wagner's attack in the sup norm: the least change of the most changed pixel.

    References:
        Carlini and Wagner, arXiv 1608.04644 (2016).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf",)
    bounded: ClassVar[bool] = False
    starts_once: ClassVar[str | None] = DRAWS_NOTHING

    descents: Steps = 20
    """How often the largest change is lowered."""
    steps: Steps = 20
    """Steps of a descent."""
    learning_rate: Positive = 0.01
    """Longest step of Adam, in pixel values; steps shrink with the largest change."""
    confidence: NotNegative = 0.0
    """By how much the wrong logit shall exceed the right one."""
    initial_tau: Probability = 0.5
    """The first bound on the change of a pixel."""

    def generate(self, task: Task) -> Images:
        """Run it on the whole batch."""
        attack = CarliniWagnerAdamLInf(
            task.victim(),
            tau=self.initial_tau,
            rounds=self.descents,
            max_iter=self.steps,
            learning_rate=self.learning_rate,
            confidence=self.confidence,
            targeted=task.targeted,
        )
        return attack.generate(task.images, task.one_hot)
