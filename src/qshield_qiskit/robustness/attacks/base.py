"""What every attack has: parameters with a range and a sentence each, norms, restarts, and `generate`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator

from qshield_qiskit.config import Section
from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.attacked_model import AttackedModel
from qshield_qiskit.robustness.attacks.victim import Images, SteepVictim, Victim

Norm = Literal["linf", "l2", "l0"]

Steps = Annotated[int, Field(ge=1)]

DRAWS_NOTHING = "it draws nothing, and would end where it ended before; leave it at 1"
"""Why some attacks start once."""

PROBED = 8
"""Images that show whether a model answers alike every time."""

ART_NORMS: dict[str, int | float] = {"linf": np.inf, "l2": 2}
"""Our names of norms in ART's words."""


@dataclass(frozen=True)
class Task:
    """A batch of images to be attacked, and how far the attack may go.

    Attributes:
        model: The model.
        num_classes: K.
        images: (B, C, H, W), [0, 1].
        classes: (B,): the labels to get away from, or with `targeted` the classes to arrive at.
        norm: The norm in which the perturbation is measured.
        epsilon: Its largest value; None for attacks that look for the smallest perturbation.
        targeted: Whether `classes` are targets.
        batch_size: Most images in a forward pass.
        others: (M, C, H, W): an image of every class that the model predicts, to start from where one is needed.
    """

    model: AttackedModel
    num_classes: int
    images: Images
    classes: NDArray[np.int64]
    norm: Norm
    epsilon: float | None
    targeted: bool
    batch_size: int
    others: Images

    @property
    def one_hot(self) -> NDArray[np.float32]:
        """The classes as ART wants them, (B, K)."""
        return np.eye(self.num_classes, dtype=np.float32)[self.classes]

    @property
    def radius(self) -> float:
        """Epsilon, for attacks that need one."""
        assert self.epsilon is not None
        return self.epsilon

    @property
    def art_norm(self) -> int | float:
        """The norm in ART's words."""
        return ART_NORMS[self.norm]

    def victim(self) -> Victim:
        """Make ART's view of the model."""
        return self._seen_by(Victim)

    def slope(self) -> Victim:
        """Make ART's view of the model for an attack that goes along the gradient, however small it is."""
        return self._seen_by(SteepVictim if self.norm == "l2" else Victim)

    def is_answered_alike(self) -> bool:
        """Say whether the model gives the same images the same logits when asked again."""
        return self.model.repeats_itself(torch.as_tensor(self.images[:PROBED]))

    def _seen_by(self, view: type[Victim]) -> Victim:
        return view(self.model, self.images.shape[1:], self.num_classes, batch_size=self.batch_size)


class Attack(Section, ABC):
    """A method with its parameters; a restart attacks what the ones before left standing."""

    norms: ClassVar[tuple[Norm, ...]] = ("linf",)
    """Norms that it can work in; the first is the default."""
    bounded: ClassVar[bool] = True
    """Whether it stays within epsilon; else it looks for the smallest perturbation."""
    white_box: ClassVar[bool] = True
    """Whether it uses gradients."""
    can_target: ClassVar[bool] = True
    """Whether it can aim at a class."""
    min_classes: ClassVar[int] = 2
    """How many classes it needs."""

    starts_once: ClassVar[str | None] = None
    """Why it cannot be restarted; None if every start finds something else."""

    restarts: Steps = 1
    """Times that it starts anew, each on the images that are still standing."""

    @model_validator(mode="after")
    def _restarts_if_it_can(self) -> Self:
        if self.restarts != 1 and self.starts_once is not None:
            raise ValueError(f"restarts={self.restarts}: {self.starts_once}")
        return self

    @abstractmethod
    def generate(self, task: Task) -> Images:
        """Perturb the images once, (B, C, H, W), in [0, 1]; an image on which it fails comes back in any state."""

    @classmethod
    def options(cls) -> set[str]:
        """List the parameters that may differ from their defaults."""
        return set(cls.model_fields) - (set() if cls.starts_once is None else {"restarts"})

    @classmethod
    def check_classes(cls, name: str, num_classes: int) -> None:
        """Raise InputError if it needs more classes."""
        if num_classes < cls.min_classes:
            raise InputError(
                f"attack {name} needs {cls.min_classes} classes or more, here are {num_classes}; try apgd"
            )

    def rounds(self, num_classes: int) -> Iterator[Attack]:
        """List what is tried in turn, each on the images that the ones before left standing."""
        for _ in range(self.restarts):
            yield self

    def reach(self, epsilon: float) -> float | None:
        """Give the distance that the steps can go at most, or None where that says nothing."""
        return None
