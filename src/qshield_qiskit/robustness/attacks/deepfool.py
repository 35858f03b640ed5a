"""DeepFool: the smallest L2 perturbation, by linearising the classifier."""

from __future__ import annotations

from typing import ClassVar

from art.attacks.evasion import DeepFool as ArtDeepFool

from qshield_qiskit.config import NotNegative
from qshield_qiskit.robustness.attacks.base import DRAWS_NOTHING, Attack, Norm, Steps, Task
from qshield_qiskit.robustness.attacks.victim import Images


class DeepFool(Attack):
    """Step to the nearest boundary of the linearised classifier until the class changes.

    References:
        Moosavi-Dezfooli et al., "DeepFool", arXiv 1511.04599 (2015).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    bounded: ClassVar[bool] = False
    can_target: ClassVar[bool] = False
    starts_once: ClassVar[str | None] = DRAWS_NOTHING

    steps: Steps = 50
    """Most steps."""
    overshoot: NotNegative = 0.02
    """By how much the found perturbation is lengthened, relative."""

    def generate(self, task: Task) -> Images:
        """Run ART's method on the whole batch."""
        attack = ArtDeepFool(
            task.victim(),
            max_iter=self.steps,
            epsilon=self.overshoot,
            nb_grads=task.num_classes,
            batch_size=len(task.images),
            verbose=False,
        )
        images: Images = attack.generate(task.images)
        return images
