"""What every group of settings has in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


def number(value: object) -> Any:
    """Read a fraction such as 8/255 as the number that it is; leave everything else to the next check.

    >>> number("1/4"), number(0.1)
    (0.25, 0.1)
    """
    numerator, slash, denominator = str(value).partition("/")
    try:
        return float(numerator) / float(denominator) if slash else value
    except (ValueError, ZeroDivisionError):
        return value


def several(value: object) -> object:
    """Take one word for a list of it."""
    return [value] if isinstance(value, str) else value


class Section(BaseModel):
    """A frozen group of settings that knows all its keys; the sentence under each is its description."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )
