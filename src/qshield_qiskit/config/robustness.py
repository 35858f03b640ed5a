"""Settings of attacks, of the verdict on them, and of certificates."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from qshield_qiskit.config.section import Count, Positive, Section, number


class AttackSettings(Section):
    """How a trained model is attacked."""

    name: str = "standard"
    """Attacks and presets, separated by commas; `qshield list attacks` shows both."""
    preset: str = "standard"
    """Where the parameters of attacks that are named themselves come from."""
    epsilon: float | str | list[float | str] = "32/255"
    """Radius in pixel values: a number, a fraction, a list, or start:stop:count for a curve."""
    norm: Literal["linf", "l2", "l0"] | None = None
    """Norm of the perturbation, where an attack has a choice; null: its first."""
    images: Count | None = None
    """How many test images, from the first on; null: all, at most 1,000."""
    batch_size: Count = 256
    """Images that are attacked at a time."""
    eot: Count = 1
    """Draws over which gradients and decisions of a random model are averaged."""
    max_queries: Count | None = None
    """Queries that each attack may make, over all images together, every draw counted; null: any number."""
    target: str | int | None = None
    """likely, unlikely or a class: what images shall be taken for; null: anything but what they are."""
    bpda: str | None = None
    """Backend whose gradient stands in for that of a backend without one; null: none."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Parameters of the attacks, such as steps; `qshield show attack pgd` lists them."""

    @model_validator(mode="after")
    def _epsilon_can_be_read(self) -> AttackSettings:
        self.radii()
        return self

    def radii(self) -> list[float]:
        """Give every epsilon, one or more; 0 is allowed as the start of a curve only.

        Raises:
            ValueError: It cannot be read, or lies outside its range.
        """
        given = self.epsilon if isinstance(self.epsilon, list) else str(self.epsilon).split(",")
        radii: list[float] = []
        curve = False
        for part in map(str, given):
            ends = part.split(":")
            curve = curve or len(ends) == 3
            try:
                if len(ends) == 3:
                    start, stop, count = float(number(ends[0])), float(number(ends[1])), int(ends[2])
                    if count < 2:
                        raise ValueError
                    radii += [start + i * (stop - start) / (count - 1) for i in range(count)]
                else:
                    radii.append(float(number(part)))
            except ValueError:
                raise ValueError(
                    f"attack.epsilon={part}: expected a number, a fraction such as 8/255, or a curve start:stop:count"
                ) from None
        largest = 1 if self.norm in {None, "linf"} else sys.float_info.max
        fit = all(0 < radius <= largest or (curve and radius == 0) for radius in radii)
        if not fit or not any(radii):
            at_most, or_else = (" and at most 1", ", or attack.norm=l2") if largest == 1 else ("", "")
            raise ValueError(
                f"attack.epsilon={self.epsilon}: expected more than 0{at_most}, in pixel values; try 8/255{or_else}"
            )
        return radii


class CertificateSettings(Section):
    """How a trained model's predictions are certified."""

    name: str = "smoothing,lipschitz,noise"
    """Certificates, separated by commas: smoothing, lipschitz, noise."""
    norm: Literal["linf", "l2"] | None = None
    """Norm of the radii, where a certificate has a choice; null: both."""
    images: Count | None = None
    """How many test images, from the first on; null: all, at most 100."""
    batch_size: Count = 256
    """Images in one forward pass."""
    radii: list[float | str] | None = None
    """Radii at which certified accuracy is printed, in pixel values; null: some small and some large ones."""
    symbols: Annotated[int, Field(ge=0)] = 128
    """lipschitz, noise: errors of each layer that are followed one by one; more is tighter and slower."""
    sigma: Positive = 0.25
    """smoothing: standard deviation of the Gaussian noise, in pixel values."""
    n: Count = 1000
    """smoothing: draws that bound the probability of the class."""
    n0: Count = 100
    """smoothing: draws that choose the class."""
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.001
    """smoothing: probability that an image's radius is wrong."""

    @model_validator(mode="after")
    def _radii_can_be_read(self) -> CertificateSettings:
        self.points("linf")
        return self

    @property
    def norms(self) -> tuple[Literal["linf", "l2"], ...]:
        """The norms that are asked for."""
        return ("linf", "l2") if self.norm is None else (self.norm,)

    def points(self, norm: str) -> list[float]:
        """Give the radii at which certified accuracy is printed.

        Raises:
            ValueError: One cannot be read, or is not positive.
        """
        given = RADII[norm] if self.radii is None else self.radii
        points = []
        for radius in given:
            try:
                points.append(float(number(radius)))
            except ValueError:
                points.append(0.0)
            if not 0 < points[-1] <= sys.float_info.max:
                raise ValueError(
                    f"certificate.radii={radius}: expected numbers or fractions above 0, such as [1/255,0.1]"
                )
        return points


RADII: dict[str, tuple[float | str, ...]] = {
    "linf": (0.001, "1/255", "2/255", "4/255", "8/255", "16/255", "32/255"),
    "l2": (0.02, 0.05, 0.1, 0.25, 0.5, 1.0),
}
"""Where certified accuracy is printed unless radii are given."""


class VerdictSettings(Section):
    """How it is judged whether robustness figures may be believed."""

    images: Count | None = None
    """How many test images the checks use, from the first on; null: all, at most 100."""
    batch_size: Count = 256
    """Images in one forward pass."""
