"""What to type to have a run's attacks, and the verdicts on them, again."""

from __future__ import annotations

import json
import shlex
from typing import Any

import yaml

from qshield_qiskit.config.robustness import AttackSettings
from qshield_qiskit.config.sections import BackendSettings
from qshield_qiskit.reporting.results import blocks, presets_of
from qshield_qiskit.reporting.robustness import WORST_CASE, RobustRun, Row
from qshield_qiskit.reporting.titles import radius_title

DEFAULT_PRESET = AttackSettings().preset


def robustness_commands(run: RobustRun, which: str = "last") -> list[str]:
    """Say what to type to have a run's attacks again, by their presets or else by their names, and the verdicts.

    Args:
        run: The run.
        which: The run's name on the command line.
    """
    rows = [row for row in run.rows if row.key.attack != WORST_CASE]
    with_ball = {preset for row in rows if row.key.epsilon is not None for preset in presets_of(row)}
    together: dict[tuple[str | None, tuple[str, ...]], dict[str, None]] = {}
    for row in rows:
        presets = presets_of(row)
        if row.key.epsilon is None and presets != [None]:
            if with_ball.intersection(presets):  # that preset's command, with its radius, makes it too
                continue
            presets = [None]
        for preset in presets:
            settings = _attack_settings(run, row, by_name=preset is None)
            together.setdefault((preset, settings), {})[preset or row.key.attack] = None
    attacks = [
        shlex.join(["qshield", "attack", which, f"attack={','.join(names)}", *settings])
        for (_, settings), names in together.items()
    ]
    return [*attacks, *_verdict_commands(run, which)]


def _verdict_commands(run: RobustRun, which: str) -> list[str]:
    """Ask for a verdict on each ball, number of draws and backend that figures are of."""
    settings = {
        (f"attack.epsilon={radius_title(block.epsilon)}", *_changed(run, block.every[0], "eot"))
        for block in blocks([run])
    }
    return [shlex.join(["qshield", "verdict", which, *each]) for each in sorted(settings) or [()]]


def _attack_settings(run: RobustRun, row: Row, *, by_name: bool) -> tuple[str, ...]:
    """Give what stands behind an attack's or a preset's name; a preset has a norm of its own for each attack."""
    key = row.key
    return (
        *([f"attack.norm={key.norm}"] if by_name or key.norm != "linf" else []),
        *([] if key.epsilon is None else [f"attack.epsilon={radius_title(key.epsilon)}"]),
        f"attack.images={row.figures['n']}",
        *(_typed(row) if by_name else []),
        *_changed(run, row, "eot", "target", "bpda", "max_queries"),
        *(["--from", str(row.figures["source"])] if row.figures.get("source") else []),
    )


def _typed(row: Row) -> list[str]:
    """Give the parameters that were set by hand, and the preset that the others came from."""
    preset = row.figures.get("preset", DEFAULT_PRESET)
    chosen = [] if preset == DEFAULT_PRESET else [f"attack.preset={preset}"]
    options = (row.figures.get("options") or {}).items()
    return [*chosen, *(f"attack.options.{name}={json.dumps(value)}" for name, value in options)]


def _changed(run: RobustRun, row: Row, *names: str) -> list[str]:
    """Give the settings of an attack, and the backend, in which it differs from the run's own."""
    defaults: dict[str, Any] = {"eot": 1}
    own = defaults | (yaml.safe_load(run.config).get("attack") or {})
    changed = []
    for name in names:
        value = row.figures.get(name, defaults.get(name))
        if value != own.get(name):
            changed.append(f"attack.{name}={'null' if value is None else value}")
    if row.backend != run.own_backend:
        name, *options = row.backend.split()
        changed += [f"backend={name}", *map(_backend_setting, options)]
    return changed


def _backend_setting(option: str) -> str:
    """Say where a backend's option is set: one that settings do not know is the backend file's own."""
    known = option.partition("=")[0] in BackendSettings.model_fields
    return f"backend.{option}" if known else f"backend.options.{option}"
