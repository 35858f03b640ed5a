"""Auto-PGD with cross entropy, with the DLR loss, and with the DLR loss towards a class."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from art.attacks.evasion import AutoProjectedGradientDescent
from torch import nn

from qshield_qiskit.robustness.attacks.base import Attack, Norm, Steps, Task
from qshield_qiskit.robustness.attacks.victim import DifferenceOfLogitsRatio, Images


class APGD(Attack):
    """Projected gradient descent that halves its step, and goes back to its best point, when it gets stuck.

    References:
        Croce and Hein, arXiv 2003.01690 (2020).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    loss: ClassVar[type[nn.Module]] = nn.CrossEntropyLoss

    steps: Steps = 100
    """Number of steps."""
    restarts: Steps = 2
    """Times that it starts anew, each on the images that are still standing."""

    def generate(self, task: Task) -> Images:
        """Run it once; where its last point fails, ART's point of highest loss is tried too."""
        attack = AutoProjectedGradientDescent(
            task.victim(self.loss()),
            norm=task.art_norm,
            eps=task.radius,
            eps_step=2 * task.radius,
            max_iter=self.steps,
            targeted=task.targeted,
            nb_random_init=1,
            batch_size=len(task.images),
            verbose=False,
        )
        last: Images = attack.generate(task.images, task.one_hot)
        best = getattr(attack, "x_max", None)
        if best is None or best.shape != last.shape:  # some images needed no attack
            return last
        better = ~task.fooled(last) & task.fooled(best)
        last[better] = best[better]
        return last.astype(np.float32)


class APGDDLR(APGD):
    """Auto-PGD on the DLR loss, which saturated logits cannot hide from."""

    loss: ClassVar[type[nn.Module]] = DifferenceOfLogitsRatio
    min_classes: ClassVar[int] = 3


class TargetedAPGD(APGDDLR):
    """Auto-PGD on the targeted DLR loss, towards one of the likeliest wrong classes."""

    rank: Steps = 1
    """Which wrong class is aimed at, 1 for the likeliest."""

    def generate(self, task: Task) -> Images:
        """Aim at that class; an image counts as soon as it is misclassified."""
        logits = task.victim().predict(task.images)
        np.put_along_axis(logits, task.classes[:, None], -np.inf, axis=1)
        aims = np.argsort(-logits, axis=1)[:, self.rank - 1]
        return super().generate(replace(task, classes=aims, targeted=True))
