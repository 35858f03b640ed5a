"""What a defence is: which images a training step shows the model, and what it asks of the answer."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qshield_qiskit.config import DefenceSettings
from qshield_qiskit.errors import InputError
from qshield_qiskit.seeding import derive
from qshield_qiskit.training.crafting import ascend, frozen, random_point
from qshield_qiskit.training.noises import augment

ROUND_TRIP = 2.5
"""Steps go this many times epsilon together, unless a step size is given: any point of the ball can be reached."""

VALIDATION_STEPS = 10
"""Steps of the attack that epochs are compared by; one step would not notice that training for one step failed."""


class Defence:
    """No defence: clean images, and their labels' cross entropy. The others differ from it in a method or two.

    Its random numbers come from a generator of its own, which is seeded anew for every epoch, so that a
    resumed training draws what an uninterrupted one would have drawn.

    Args:
        settings: Radius, steps and whatever else a defence may need.
        seed: Seed of its random numbers.

    Raises:
        InputError: A defence that perturbs images has no radius.
    """

    crafts: ClassVar[bool] = False
    """Whether it needs a radius, and epochs are compared by their accuracy under attack."""
    always_augments: ClassVar[bool] = False
    """Whether images meet noise, whatever the settings say."""

    def __init__(self, settings: DefenceSettings, seed: int) -> None:
        if self.crafts and settings.epsilon is None:
            raise InputError(
                f"training.defence={settings.name} needs a radius; try training.defence.epsilon=8/255"
            )
        self.settings, self.seed = settings, seed
        self.epsilon = settings.epsilon or 0.0
        self._generator: torch.Generator | None = None

    def begin_epoch(self, epoch: int, rank: int, device: torch.device) -> None:
        """Seed the random numbers of an epoch, counted from 0, in one process of a distributed run."""
        self._generator = torch.Generator(device).manual_seed(derive(self.seed, "defence", epoch, rank))

    def radius(self, epochs: float) -> float:
        """Give the radius after a (fractional) number of epochs: it grows linearly while training warms up."""
        warmup = self.settings.warmup_epochs
        return self.epsilon * min(1.0, epochs / warmup) if warmup else self.epsilon

    def augmented(self, images: Tensor) -> Tensor:
        """Put images (B, C, H, W) under noise, if that was asked for; what they are shown as follows from these."""
        if not (self.always_augments or self.settings.augment):
            return images
        return augment(images, self.settings.noise, self.generator)

    def shown(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Choose what the model is shown in place of a batch.

        Args:
            model: Images to logits (B, K).
            images: (B, C, H, W), [0, 1].
            labels: (B,).
            epsilon: Radius, in pixel values.

        Returns:
            (M, C, H, W), [0, 1]; M is B, or 2 B for defences that compare two versions of each image.
        """
        return images

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Judge what was answered to the images shown, (M, K), given the batch's labels, (B,); a mean, in nats."""
        return cross_entropy(logits, labels)

    def after_backward(self) -> None:
        """Hear that gradients have been computed."""

    def validation_examples(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        """Perturb validation images (B, C, H, W) as strongly as epochs are compared by: by PGD in the full ball."""
        generator = torch.Generator(images.device).manual_seed(derive(self.seed, "validation"))
        start = random_point(images, self.epsilon, generator)
        step_size = ROUND_TRIP * self.epsilon / VALIDATION_STEPS
        with frozen(model):
            return ascend(
                lambda found: cross_entropy(model(found), labels, reduction="sum"),
                images,
                start,
                epsilon=self.epsilon,
                step_size=step_size,
                steps=VALIDATION_STEPS,
            )

    @property
    def generator(self) -> torch.Generator:
        """The epoch's random numbers."""
        assert self._generator is not None, "an epoch has to begin first"
        return self._generator

    def start(self, images: Tensor, epsilon: float) -> Tensor:
        """Choose where perturbations start."""
        return random_point(images, epsilon, self.generator) if self.settings.random_start else images
