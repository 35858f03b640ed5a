"""Several attacks in turn, each on what the former left standing: AutoAttack's protocol."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from qshield_qiskit.robustness.attacks.auto_pgd import APGD, TargetedAPGD
from qshield_qiskit.robustness.attacks.base import Attack, Norm, Steps, Task
from qshield_qiskit.robustness.attacks.black_box import Square
from qshield_qiskit.robustness.attacks.carlini_wagner import CarliniWagnerLInf
from qshield_qiskit.robustness.attacks.victim import Images


class WithinBall(CarliniWagnerLInf):
    """Carlini and Wagner's sup-norm attack, stopped at the edge of the ball."""

    def generate(self, task: Task) -> Images:
        """Look for the smallest perturbation, and cut it off at epsilon."""
        found = self.model_copy(update={"initial_tau": min(task.radius, 1.0)})
        images = super(WithinBall, found).generate(task)
        return np.clip(images, task.images - task.radius, task.images + task.radius)


class Ensemble(Attack):
    """APGD on cross entropy, targeted APGD on the DLR loss, Carlini and Wagner's sup-norm attack, and Square.

    References:
        Croce and Hein, "Reliable evaluation of adversarial robustness with an ensemble of diverse
        parameter-free attacks", arXiv 2003.01690 (2020).
    """

    can_target: ClassVar[bool] = False
    norms: ClassVar[tuple[Norm, ...]] = ("linf",)
    starts_once: ClassVar[str | None] = "the ensemble's members start once each; try steps=200"

    steps: Steps = 100
    """Steps of both APGDs."""
    targets: Steps = 9
    """Wrong classes that the targeted APGD aims at, in turn."""
    descents: Steps = 10
    """Rounds of the minimum-norm attack."""
    proposals: Steps = 1000
    """Patches that Square tries."""

    def rounds(self, num_classes: int) -> Iterator[Attack]:
        """List the members; the DLR loss needs three classes."""
        yield APGD(steps=self.steps)
        if num_classes >= TargetedAPGD.min_classes:
            for rank in range(1, min(self.targets, num_classes - 1) + 1):
                yield TargetedAPGD(steps=self.steps, rank=rank)
        yield WithinBall(descents=self.descents)
        yield Square(proposals=self.proposals)

    def generate(self, task: Task) -> Images:
        """Members do the work."""
        raise NotImplementedError("an ensemble is run by its rounds")
