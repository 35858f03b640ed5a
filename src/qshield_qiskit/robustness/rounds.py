"""The rounds of an attack: batch by batch, each round on the images that the ones before left standing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from qshield_qiskit.errors import BudgetSpent
from qshield_qiskit.robustness.attacked_model import AttackedModel, predict
from qshield_qiskit.robustness.attacks import Attack, Norm, Task
from qshield_qiskit.robustness.attacks.victim import Images
from qshield_qiskit.robustness.budget import TOLERANCE, Sighting, Watch
from qshield_qiskit.robustness.outcome import sizes

Progress = Callable[[int, int, int], None]
"""Called with images done, images in all, and images fooled so far."""


@dataclass(frozen=True)
class Goal:
    """What an attack is after, and how far it may go.

    Attributes:
        images: (N, C, H, W), [0, 1].
        logits: (N, K), what the attacked model makes of them.
        classes: (N,), the classes to leave, or to arrive at.
        correct: (N,), which images are attacked.
        norm: Norm of the perturbation.
        epsilon: Its largest value; None for an attack that looks for the smallest perturbation.
        targeted: Whether `classes` are to be arrived at.
    """

    images: Tensor
    logits: Tensor
    classes: Tensor
    correct: Tensor
    norm: Norm
    epsilon: float | None
    targeted: bool

    @property
    def num_classes(self) -> int:
        """K."""
        return self.logits.shape[1]

    @property
    def clean(self) -> Tensor:
        """Predicted classes of the images, (N,)."""
        return self.logits.argmax(1)

    def is_reached(self, part: Tensor, predicted: Tensor) -> Tensor:
        """Say which of the images at positions `part` (B,) are where they should be by their predictions (B,), (B,)."""
        return (predicted == self.classes[part]) == self.targeted


@dataclass
class Findings:
    """What an attack has come to so far.

    Attributes:
        examples: (N, C, H, W), float32: the images after it.
        predicted: (N,), the classes that the attacked model gives them.
        fooled: (N,), whether they are where the attack wants them.
        spent: Which budget has ended the attack, in words; None as long as none has.
    """

    examples: Tensor
    predicted: Tensor
    fooled: Tensor
    spent: str | None = None

    @classmethod
    def before(cls, goal: Goal) -> Findings:
        """Give the images as they are, none of them fooled."""
        return cls(goal.images.float().clone(), goal.clean, torch.zeros_like(goal.correct))

    def take(self, part: Tensor, seen: Sighting, *, failures_too: bool) -> None:
        """Take over what came of the images at positions `part` (B,); examples that do not fool only if asked."""
        keep = torch.ones_like(seen.fooled) if failures_too else seen.fooled
        self.examples[part[keep]] = seen.examples[keep].to(self.examples.device)
        self.predicted[part[keep]] = seen.predicted[keep]
        self.fooled[part] = seen.fooled


@dataclass(frozen=True)
class Rounds:
    """Everything that the rounds of an attack need.

    Attributes:
        name: Of the attack.
        method: The attack.
        goal: What it is after.
        maker: The model on which examples are made.
        judge: The model that they are to fool.
        batch_size: Images that are attacked at a time.
        watched: Whether what is found on the way is kept, should a budget end the attack.
        progress: Called after every batch.
    """

    name: str
    method: Attack
    goal: Goal
    maker: AttackedModel
    judge: AttackedModel
    batch_size: int
    watched: bool
    progress: Progress | None

    def run(self) -> Findings:
        """Run round after round until no image is standing, all have been run, or a budget is spent.

        Raises:
            RuntimeError: An example lies outside the bounds or the ball.
        """
        goal, found = self.goal, Findings.before(self.goal)
        others = goal.images[_one_of_each(goal.clean)].float().cpu().numpy()
        for number, attempt in enumerate(self.method.rounds(goal.num_classes)):
            standing = torch.nonzero(goal.correct & ~found.fooled).squeeze(1)
            if not len(standing):
                break
            for part in torch.split(standing, self.batch_size):
                try:
                    seen = self._try(attempt, part, others)
                except BudgetSpent as reason:
                    found.spent = str(reason)
                    seen = self._seen_on_the_way(part)
                found.take(part, seen, failures_too=number == 0 and not found.spent)
                if self.progress is not None:
                    self.progress(int(part[-1]) + 1, len(goal.images), int(found.fooled.sum()))
                if found.spent:
                    return found
        return found

    def _try(self, attempt: Attack, part: Tensor, others: Images) -> Sighting:
        """Attack the images at positions `part` (B,) once, and let the judge say what came of it."""
        goal = self.goal
        images, classes = goal.images[part], goal.classes[part]
        task = Task(
            self.maker,
            goal.num_classes,
            images.float().cpu().numpy(),
            classes.cpu().numpy(),
            goal.norm,
            goal.epsilon,
            targeted=goal.targeted,
            batch_size=self.batch_size,
            others=others,
        )
        if self.watched:
            self.maker.watch = Watch(images, classes, goal.norm, goal.epsilon, targeted=goal.targeted)
        made = torch.as_tensor(np.asarray(attempt.generate(task), dtype=np.float32))
        check_inside(images.cpu(), made, goal.norm, goal.epsilon, self.name)
        predicted = predict(self.judge, made, self.batch_size).argmax(1)
        fooled = goal.is_reached(part, predicted)
        if fooled.any():  # an image is left alone only if a random model says so twice
            with suppress(BudgetSpent):  # then once has to do, and whoever asks next is told
                predicted[fooled] = predict(self.judge, made[fooled.cpu()], self.batch_size).argmax(1)
            fooled = goal.is_reached(part, predicted)
        return Sighting(made, fooled, predicted)

    def _seen_on_the_way(self, part: Tensor) -> Sighting:
        """Give what was found of the images at positions `part` (B,) before a budget ended the attack."""
        nothing = torch.full((len(part),), -1)
        unseen = Sighting(self.goal.images[part].float().cpu(), nothing >= 0, nothing)
        if self.maker.watch is None:
            return unseen
        seen = self.maker.watch.seen()
        if self.maker.model is self.judge.model:
            return seen
        try:  # what fools the model that examples are made on need not fool the other
            predicted = predict(self.judge, seen.examples, self.batch_size).argmax(1)
        except BudgetSpent:
            return unseen
        return Sighting(seen.examples, self.goal.is_reached(part, predicted), predicted)


def check_inside(images: Tensor, found: Tensor, norm: str, epsilon: float | None, name: str) -> None:
    """Raise RuntimeError if an attack, by a bug of ours or ART's, left the bounds or the ball."""
    if not len(found):
        return
    if not (float(found.min()) >= -TOLERANCE and float(found.max()) <= 1 + TOLERANCE):
        raise RuntimeError(f"{name} left the bounds [0, 1]: {float(found.min())} to {float(found.max())}")
    largest = float(sizes(images, found)[norm].max())
    if epsilon is not None and largest > epsilon * (1 + TOLERANCE) + TOLERANCE:
        raise RuntimeError(f"{name} left the ball: {norm} {largest}, epsilon {epsilon}")


def _one_of_each(classes: Tensor) -> list[int]:
    """Give the first place of every class that occurs."""
    return [int(torch.nonzero(classes == each)[0]) for each in sorted(set(classes.tolist()))]
