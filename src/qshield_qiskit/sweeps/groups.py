"""Groups of attacks, held against the settings of cells before any of these is trained."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from qshield_qiskit import config
from qshield_qiskit.config import Settings
from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.attacks import choose
from qshield_qiskit.subjects import KEYS


def check_groups(settings: Settings, groups: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse what would fail only once a cell has been trained.

    Args:
        settings: The cell's.
        groups: By the group's name, overrides as `qshield attack` gets them.

    Raises:
        InputError: An override does not fit the cell, or names an attack or parameter that does not exist.
    """
    for group, dotted in groups.items():
        try:
            attack = config.override(settings, dotted, KEYS).attack
            # How many classes there are the data set says, which is not read here.
            choose(attack.name, attack.preset, attack.options, num_classes=sys.maxsize)
        except InputError as error:
            raise InputError(f"sweep.attacks.{group}: {error}") from error
