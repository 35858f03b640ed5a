"""Adversarial training: PGD in several steps, or fast in one."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qshield_qiskit.training.crafting import ascend, frozen
from qshield_qiskit.training.defences.base import ROUND_TRIP, Defence


class PGD(Defence):
    r"""Adversarial training: \min_w E \max_{\|x' - x\| \le \epsilon} CE(f_w(x'), y), the maximum by a few steps.

    References:
        Madry et al., "Towards deep learning models resistant to adversarial attacks", arXiv 1706.06083 (2017).
    """

    crafts = True
    travel: ClassVar[float] = ROUND_TRIP
    """How many times epsilon the steps go together, unless a step size is given."""

    @property
    def steps(self) -> int:
        """Number of steps."""
        return self.settings.steps

    def step_size(self, epsilon: float) -> float:
        """Give the length of a step; one that was set shrinks with the radius while training warms up."""
        given = self.settings.step_size
        return given * epsilon / self.epsilon if given else self.travel * epsilon / self.steps

    def shown(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Perturb the images so that the loss is large."""
        with frozen(model):
            return ascend(
                lambda found: cross_entropy(model(found), labels, reduction="sum"),
                images,
                self.start(images, epsilon),
                epsilon=epsilon,
                step_size=self.step_size(epsilon),
                steps=self.steps,
            )


class Fast(PGD):
    """Adversarial training by a single step from a random start, a little longer than the radius.

    Long trainings may suddenly learn to resist this one step and nothing else; the accuracy under attack that
    epochs are compared by shows it.

    References:
        Wong, Rice, Kolter, "Fast is better than free", arXiv 2001.03994 (2020).
    """

    travel = 1.25

    @property
    def steps(self) -> int:
        """One step, whatever the settings say."""
        return 1
