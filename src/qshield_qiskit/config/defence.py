"""Settings of training that defends."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field

from qshield_qiskit.config.section import Count, NotNegative, Positive, Probability, Section, number, several

Radius = Annotated[float, BeforeValidator(number), Field(gt=0, le=1)]
"""A radius in pixel values, such as 0.1 or 8/255."""

StepSize = Annotated[Annotated[float, Field(gt=0)] | None, BeforeValidator(number)]
"""The length of a step in pixel values, or None."""


NoiseKind = Literal["gaussian", "salt_and_pepper", "occlusion", "poisson", "geometric"]

NoiseKinds = Annotated[tuple[NoiseKind, ...], BeforeValidator(several), Field(min_length=1)]
"""One kind or more."""


class NoiseSettings(Section):
    """What noise-augmented training does to images."""

    kinds: NoiseKinds = get_args(NoiseKind)
    """Kinds of noise, one or more, of which an image meets one."""
    share: Probability = 0.5
    """Share of the images that meet any."""
    gaussian: NotNegative = 0.1
    """Standard deviation of Gaussian noise, in pixel values."""
    salt_and_pepper: Probability = 0.05
    """Share of the pixels that turn white or black."""
    occlusion: Probability = 0.25
    """Side of the square that is blacked out, as a share of the image's shorter side."""
    photons: Positive = 50.0
    """Photons that a white pixel catches on average; the fewer, the more Poisson noise."""
    rotation: NotNegative = 10.0
    """Largest turn, in degrees."""
    scaling: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Largest change of size, as a share."""
    shift: NotNegative = 0.1
    """Largest shift along each side, as a share of it."""


class DefenceSettings(Section):
    """What training does so that a model resists attacks."""

    name: Literal["none", "pgd", "trades", "fast", "free", "noise"] = "none"
    """Adversarial training by pgd (Madry), trades, fast (one step) or free (replays); or noise on the images."""
    epsilon: Radius | None = None
    """Radius of the perturbations in the sup norm, in pixel values; null: the largest attack.epsilon."""
    warmup_epochs: NotNegative = 0.0
    """Epochs over which the radius grows from 0."""
    steps: Count = 4
    """Steps of pgd and trades."""
    step_size: StepSize = None
    """Length of a step; null: 2.5 epsilon / steps, and 1.25 epsilon for fast, epsilon for free."""
    random_start: bool = True
    """Whether those of pgd, fast and free start at a random point of the ball; trades starts beside the image."""
    beta: NotNegative = 6.0
    """Weight of trades' divergence between clean and perturbed prediction."""
    replays: Count = 4
    """How often free uses a batch in a row, so that an epoch takes so many times as long."""
    augment: bool = False
    """Whether images meet noise before they are perturbed, as they always do with `noise`."""
    noise: NoiseSettings = NoiseSettings()
    """What noise does to images."""
