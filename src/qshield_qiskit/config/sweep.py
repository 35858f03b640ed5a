"""Settings of a sweep: what varies, and what is done with each of its runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from qshield_qiskit.config.section import Count, Section, several

Dotted = Annotated[tuple[str, ...], BeforeValidator(several)]
"""Settings as they are typed, such as `model.branch=none`."""


class SweepSettings(Section):
    """What a sweep varies, and what is done with each cell of its grid."""

    axes: dict[str, list[JsonValue] | dict[str, Dotted]] = Field(default_factory=dict)
    """What varies: a setting and its values, or a name of one's own whose values stand for several settings each."""
    attacks: dict[str, Dotted] = Field(default={"standard": ("attack=standard",)})
    """Groups of attacks by a name of one's own, each the settings that `qshield attack` would get."""
    verdict: Literal["none", "quick", "full"] = "quick"
    """Which verdict every cell gets."""
    verdict_seeds: Count | None = None
    """How many of the first seeds get it; null: all."""

    @model_validator(mode="after")
    def _every_axis_has_a_value(self) -> SweepSettings:
        for name, values in self.axes.items():
            if not values:
                raise ValueError(f"axes.{name} has no value; give one or more, or leave it out")
        return self
