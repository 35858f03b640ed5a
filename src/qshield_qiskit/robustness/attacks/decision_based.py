"""Attacks by decisions alone: HopSkipJump and the boundary attack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from art.attacks.evasion import BoundaryAttack
from art.attacks.evasion import HopSkipJump as ArtHopSkipJump
from numpy.typing import NDArray

from qshield_qiskit.config import Positive
from qshield_qiskit.robustness.attacks.base import Attack, Norm, Steps, Task
from qshield_qiskit.robustness.attacks.victim import Images

NOISE_TRIALS = 20
"""Images of noise that are tried as starting points before other images are."""


def starting_points(task: Task) -> tuple[Images, NDArray[np.bool_]]:
    """Find an image for each image that is classified as the attack wants: noise, else another image.

    ART draws noise from a generator that cannot be seeded, and gives up on classes that noise never falls into.

    Args:
        task: What is attacked.

    Returns:
        Starting points (B, C, H, W), and where there is one, (B,).
    """
    noise = np.random.uniform(size=(NOISE_TRIALS, *task.images.shape[1:])).astype(np.float32)
    candidates = np.concatenate([noise, np.random.permutation(task.images), task.others])
    predicted = task.victim().predict(candidates).argmax(axis=1)
    suits = predicted[None] == task.classes[:, None]  # (B, candidates)
    suits = suits if task.targeted else ~suits
    return candidates[suits.argmax(axis=1)], suits.any(axis=1)


class Started:
    """Begins where it is told to.

    ART classifies the start once more and, if a random model now says otherwise, draws another from a generator
    that cannot be seeded.
    """

    targeted: bool
    generate: Callable[..., Images]

    def _init_sample(
        self, x: Any, y: int, y_p: int, init_pred: int, adv_init: Any, *rest: Any
    ) -> tuple[Any, int]:
        return adv_init.astype(np.float32), y if self.targeted else y_p


class StartedHopSkipJump(Started, ArtHopSkipJump):  # type: ignore[misc]
    """HopSkipJump from a given start, which ends on the boundary and ends at all.

    ART returns the point after the last step away from the boundary, and halves that step until it is adversarial:
    for ever, if the model takes an image for something else once no others are beside it.
    """

    MOST_FAILURES = 100  # in a row, after which a halved step is none

    failures = 0

    def _attack(
        self,
        initial_sample: Any,
        original_sample: Any,
        target: int,
        mask: Any,
        clip_min: float,
        clip_max: float,
    ) -> Any:
        bounds = {"clip_min": clip_min, "clip_max": clip_max}
        away = super()._attack(initial_sample, original_sample, target, mask, **bounds)
        return self._binary_search(away, original_sample, target, self.norm, **bounds)

    def _adversarial_satisfactory(self, samples: Any, *where: Any, **more: Any) -> Any:
        """Say which samples are adversarial, (B,); after so many failures, that the last one is."""
        found = super()._adversarial_satisfactory(samples, *where, **more)
        self.failures = 0 if found.any() else self.failures + 1
        if self.failures < self.MOST_FAILURES:
            return found
        self.failures = 0
        return np.ones_like(found)


class StartedBoundary(Started, BoundaryAttack):  # type: ignore[misc]
    """The boundary attack from a given start."""


def walk(method: Started, task: Task) -> Images:
    """Run a decision-based method on the images that have a starting point; the others come back as they are."""
    start, possible = starting_points(task)
    images = task.images.copy()
    if possible.any():
        images[possible] = method.generate(
            task.images[possible], task.one_hot[possible], x_adv_init=start[possible]
        )
    return images


class HopSkipJump(Attack):
    """Walk along the decision boundary by estimated normals.

    References:
        Chen et al., "HopSkipJumpAttack", arXiv 1904.02144 (2019).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("l2", "linf")
    bounded: ClassVar[bool] = False
    white_box: ClassVar[bool] = False

    steps: Steps = 30
    """Steps along the boundary."""
    first_evaluations: Steps = 100
    """Queries for the first normal; later ones take more, with the root of the step's number."""
    most_evaluations: Steps = 1000
    """Most queries for a normal."""

    def generate(self, task: Task) -> Images:
        """Run ART's method on the images that have a starting point."""
        method = StartedHopSkipJump(
            task.victim(),
            batch_size=task.batch_size,
            targeted=task.targeted,
            norm=task.art_norm,
            max_iter=self.steps,
            max_eval=self.most_evaluations,
            init_eval=min(self.first_evaluations, self.most_evaluations),
            verbose=False,
        )
        return walk(method, task)


class Boundary(Attack):
    """Walk along the decision boundary by random steps, ever closer to the image.

    References:
        Brendel et al., "Decision-based adversarial attacks", arXiv 1712.04248 (2017).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    bounded: ClassVar[bool] = False
    white_box: ClassVar[bool] = False

    steps: Steps = 200
    """Steps along the boundary."""
    trials: Steps = 25
    """Most tries of a step."""
    candidates: Steps = 20
    """Candidates in a try."""
    step_size: Positive = 0.05
    """First length of a step along the boundary and towards the image, relative to the distance."""

    def generate(self, task: Task) -> Images:
        """Run ART's method on the images that have a starting point."""
        method = StartedBoundary(
            task.victim(),
            batch_size=task.batch_size,
            targeted=task.targeted,
            delta=self.step_size,
            epsilon=self.step_size,
            max_iter=self.steps,
            num_trial=self.trials,
            sample_size=self.candidates,
            verbose=False,
        )
        return walk(method, task)
