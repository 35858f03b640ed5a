"""Studies: questions that take more than one run, or none.

Each is a file of this folder, named like it, with a function `run(words, announce) -> Studied`. To add one, write the
file and enter its name in STUDIES.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar

from pydantic import ValidationError
from rich.console import RenderableType

from qshield_qiskit import overrides
from qshield_qiskit.config import Section
from qshield_qiskit.errors import InputError, unknown

STUDIES = ("circuits", "unseen")
"""Names of the files that hold a study."""

Announce = Callable[[str, int, int], None]
"""Called with what is being looked at, how much is done and how much there is."""

Settings = TypeVar("Settings", bound=Section)


@dataclass(frozen=True)
class Studied:
    """What a study came to.

    Attributes:
        shown: Tables and lines for the terminal.
        facts: The same for scripts.
        files: What was written.
    """

    shown: list[RenderableType]
    facts: dict[str, Any]
    files: list[Path] = field(default_factory=list)


class Study(Protocol):
    """What a file of this folder offers."""

    def run(self, words: Sequence[str], announce: Announce | None = None) -> Studied:
        """Carry the study out, from what was typed behind its name."""
        ...


def load(name: str) -> Study:
    """Import a study.

    Raises:
        InputError: There is none of that name.
    """
    if name not in STUDIES:
        raise unknown("study", name, STUDIES)
    return import_module(f"{__name__}.{name}")


def settings(section: type[Settings], dotted: Sequence[str]) -> Settings:
    """Read a study's settings from overrides such as "samples=500".

    Raises:
        InputError: A key is unknown or a value out of range.
    """
    try:
        return section.model_validate(overrides.parse(dotted, frozenset()))
    except ValidationError as error:
        raise InputError(overrides.explain(error, section)) from error
