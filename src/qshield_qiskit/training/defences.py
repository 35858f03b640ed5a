"""Defences: which images a training step shows the model, and what it asks of the answer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from qshield_qiskit.config import DefenceSettings
from qshield_qiskit.errors import InputError
from qshield_qiskit.seeding import derive
from qshield_qiskit.training.crafting import ascend, frozen, random_point

ROUND_TRIP = 2.5
"""Steps go this many times epsilon together, unless a step size is given: any point of the ball can be reached."""

NEAR = 1e-3
"""Scale of the Gaussian start of TRADES, without which its first gradient would be zero."""

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

    crafts = False
    """Whether it needs a radius, and epochs are compared by their accuracy under attack."""

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

    def _start(self, images: Tensor, epsilon: float) -> Tensor:
        return random_point(images, epsilon, self.generator) if self.settings.random_start else images


class PGD(Defence):
    r"""Adversarial training: \min_w E \max_{\|x' - x\| \le \epsilon} CE(f_w(x'), y), the maximum by a few steps.

    References:
        Madry et al., "Towards deep learning models resistant to adversarial attacks", arXiv 1706.06083 (2017).
    """

    crafts = True

    def shown(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Perturb the images so that the loss is large."""
        with frozen(model):
            return ascend(
                lambda found: cross_entropy(model(found), labels, reduction="sum"),
                images,
                self._start(images, epsilon),
                epsilon=epsilon,
                step_size=self._step_size(epsilon),
                steps=self.settings.steps,
            )

    def _step_size(self, epsilon: float) -> float:
        """Give the length of a step; one that was set shrinks with the radius while training warms up."""
        given = self.settings.step_size
        return given * epsilon / self.epsilon if given else ROUND_TRIP * epsilon / self.settings.steps


class Fast(Defence):
    """Adversarial training by a single step from a random start.

    Long trainings may suddenly learn to resist this one step and nothing else; the accuracy under attack that
    epochs are compared by shows it.

    References:
        Wong, Rice, Kolter, "Fast is better than free", arXiv 2001.03994 (2020).
    """

    crafts = True

    def shown(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Take one step, a little longer than the radius, and project."""
        given = self.settings.step_size
        with frozen(model):
            return ascend(
                lambda found: cross_entropy(model(found), labels, reduction="sum"),
                images,
                self._start(images, epsilon),
                epsilon=epsilon,
                step_size=given * epsilon / self.epsilon if given else 1.25 * epsilon,
                steps=1,
            )


class Trades(PGD):
    r"""Accuracy and robustness apart: CE(f(x), y) + \beta \max_{x'} KL(f(x) \| f(x')).

    Both versions of an image go through the model in one pass, so that batch norm normalises them alike, as
    it does later.

    References:
        Zhang et al., "Theoretically principled trade-off between robustness and accuracy", arXiv 1901.08573 (2019).
    """

    def shown(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Show the images, and after them the same ones perturbed so that their predictions change."""
        with frozen(model):
            with torch.no_grad():
                clean = model(images)
            noise = torch.randn(images.shape, generator=self.generator, device=images.device)
            perturbed = ascend(
                lambda found: divergence(clean, model(found)).sum(),
                images,
                images + NEAR * noise.to(images.dtype),
                epsilon=epsilon,
                step_size=self._step_size(epsilon),
                steps=self.settings.steps,
            )
        return torch.cat([images, perturbed])

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Add the divergence, weighed by beta, to the clean images' cross entropy."""
        clean, perturbed = logits.chunk(2)
        return cross_entropy(clean, labels) + self.settings.beta * divergence(clean, perturbed).mean()


class Free(Defence):
    """Adversarial training for free: every backward pass serves the weights and the perturbation.

    Each batch is shown `replays` times in a row, and its perturbation goes on from step to step and from batch
    to batch. Since weights are being trained, the model is in train mode and its circuit is not fused.

    References:
        Shafahi et al., "Adversarial training for free!", arXiv 1904.12843 (2019).
    """

    crafts = True

    def begin_epoch(self, epoch: int, rank: int, device: torch.device) -> None:
        """Start the perturbation anew, so that an epoch depends on nothing but the weights before it."""
        super().begin_epoch(epoch, rank, device)
        self._perturbation: Tensor | None = None
        self._shown: Tensor | None = None
        self._radius = 0.0

    def shown(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Show the images under the perturbation so far."""
        if self._perturbation is None:
            self._perturbation = self._start(images, epsilon) - images
        self._radius = epsilon
        # batches of an epoch differ by one image, and the larger ones come first
        perturbation = self._perturbation[: len(images)].clamp(-epsilon, epsilon)
        self._shown = (images + perturbation).clamp(0, 1).detach().requires_grad_()
        self._perturbation = perturbation
        return self._shown

    def after_backward(self) -> None:
        """Take a step with the gradient that came along."""
        if self._shown is None or self._shown.grad is None or self._perturbation is None:
            return
        given = self.settings.step_size
        step_size = given * self._radius / self.epsilon if given else self._radius
        # where a gradient in half precision has overflowed, the optimizer passes the step over, and so do we
        direction = torch.nan_to_num(self._shown.grad.sign())
        self._perturbation = (self._perturbation + step_size * direction).clamp(-self._radius, self._radius)


DEFENCES: dict[str, type[Defence]] = {
    "none": Defence,
    "pgd": PGD,
    "trades": Trades,
    "fast": Fast,
    "free": Free,
}


def build_defence(settings: DefenceSettings, seed: int) -> Defence:
    """Make the defence that settings name; its random numbers follow from the seed."""
    return DEFENCES[settings.name](settings, seed)


def divergence(wanted: Tensor, found: Tensor) -> Tensor:
    """Give KL(softmax(wanted) || softmax(found)) of logits (B, K), for each image, (B,), in nats."""
    both = log_softmax(found, dim=-1), log_softmax(wanted, dim=-1)
    return kl_div(*both, reduction="none", log_target=True).sum(dim=-1)
