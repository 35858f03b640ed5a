"""What the paper published: its tables as data, and what press accounts made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from qshield_qiskit.errors import unknown

FILE = Path(__file__).with_name("azimi2026.json")

STANDS_FOR = {"digits": "mnist"}
"""Data sets that the paper does not have, and the one of its own that comes nearest."""


@dataclass(frozen=True)
class Published:
    """The paper's figures for one data set.

    Attributes:
        dataset: The data set that was asked for.
        title: The paper's own, which may be another one.
        epsilon: Radius of its bounded attacks, as a fraction.
        models: By name, `odr`, `train_accuracy`, `total_seconds`, and by attack `asr` and `attack_seconds`.
        attacks: By name, its parameters.
    """

    dataset: str
    title: str
    epsilon: str
    models: Mapping[str, Mapping[str, Any]]
    attacks: Mapping[str, Mapping[str, Any]]

    @property
    def is_another(self) -> bool:
        """Whether the paper has no figures for the data set itself."""
        return self.dataset in STANDS_FOR


@cache
def content() -> dict[str, Any]:
    """Read the file: `source`, `units`, `datasets` and `claims`."""
    found: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def published(dataset: str) -> Published:
    """Give the paper's figures for a data set: mnist, organamnist, cifar10; for digits those of mnist.

    Raises:
        InputError: The paper has nothing of the kind.
    """
    known = content()["datasets"]
    name = STANDS_FOR.get(dataset, dataset)
    if name not in known:
        raise unknown("data set of the paper", dataset, [*known, *STANDS_FOR])
    return Published(dataset, **known[name])


def is_the_papers(dataset: str) -> bool:
    """Say whether there are figures of the paper to stand beside ours."""
    return STANDS_FOR.get(dataset, dataset) in content()["datasets"]
