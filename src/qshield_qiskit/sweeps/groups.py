"""Groups of attacks: the settings that they are run under, held against cells before any of these is trained."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from qshield_qiskit import config
from qshield_qiskit.config import Settings
from qshield_qiskit.errors import InputError
from qshield_qiskit.judgement import attacks_named
from qshield_qiskit.subjects import KEYS


def settings_of_groups(settings: Settings, groups: Mapping[str, tuple[str, ...]]) -> list[Settings]:
    """Give the settings that each group's attacks are run under.

    Args:
        settings: The cell's.
        groups: By the group's name, overrides as `qshield attack` gets them.

    Raises:
        InputError: An override does not fit the cell, names an attack or parameter that does not exist, or asks of an
            attack what it cannot do.
    """
    found = []
    for group, dotted in groups.items():
        try:
            found.append(config.override(settings, dotted, KEYS))
            # How many classes there are the data set says, which is not read here.
            attacks_named(found[-1].attack, num_classes=sys.maxsize)
        except InputError as error:
            raise InputError(f"sweep.attacks.{group}: {error}") from error
    return found
