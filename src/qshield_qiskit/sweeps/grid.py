"""From an experiment and what was typed to the cells of a grid; nothing is run here."""

from __future__ import annotations

import itertools
import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qshield_qiskit import catalog, overrides
from qshield_qiskit.config import (
    Section,
    Settings,
    SweepSettings,
    load_settings,
    load_sweep,
    named_sections,
)
from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.reporting.folder import LAST
from qshield_qiskit.start import with_start_named
from qshield_qiskit.sweeps.cell import Cell
from qshield_qiskit.sweeps.groups import settings_of_groups


def expand(
    experiment: str | Path | None, dotted: Sequence[str], *, threads: int | None = None
) -> tuple[SweepSettings, list[Cell]]:
    """Expand an experiment's grid, and what was typed, into cells.

    Args:
        experiment: A name of experiments/ or a YAML file; None as for `load_settings`.
        dotted: Overrides. Commas make an axis; a value for an axis of the file takes that axis's place, or chooses
            among its names.
        threads: Threads of every cell, an option of sweeps; None: those of its own settings.

    Returns:
        What the sweep does, and its cells, the last axis varying fastest. Cells that would do the same are one.

    Raises:
        InputError: A setting, value or attack that does not exist, or two axes that set the same.
    """
    for_sweep = [override for override in dotted if override.startswith("sweep.")]
    typed = [override for override in dotted if not override.startswith("sweep.")]
    sweep = load_sweep(experiment, [*_of_the_data_set(typed), *_checked(for_sweep)])
    axes = {name: _values(name, values) for name, values in sweep.axes.items()}
    bundles = {name for name, values in sweep.axes.items() if isinstance(values, dict)}
    fixed: list[str] = []
    for override in typed:
        key = override.partition("=")[0]
        if key in bundles:
            axes[key] = _chosen(key, axes[key], override)
            continue
        choices = overrides.alternatives(override)
        if len(choices) > 1:
            axes[key] = {choice.partition("=")[2]: (choice,) for choice in choices}
        else:
            axes.pop(key, None)
            fixed.append(override)
    _refuse_shadows(axes, fixed)
    _refuse_idle(sweep, axes, typed, threads)
    cells: dict[str, Cell] = {}
    used: list[Settings] = []
    for point in itertools.product(*(values.items() for values in axes.values())):
        choices_here = dict(zip(axes, (label for label, _ in point), strict=True))
        words = [*fixed, *(override for _, chosen in point for override in chosen)]
        cell = Cell(choices_here, _settled(experiment, words, threads), sweep.attacks, sweep.verdict)
        used += [cell.settings, *settings_of_groups(cell.settings, cell.attacks)]
        cells.setdefault(cell.digest, cell)
    _refuse_unlimited_spending(used)
    return sweep, _with_few_verdicts(sweep, list(cells.values()))


def _refuse_unlimited_spending(used: Sequence[Settings]) -> None:
    """Refuse a device without a budget, whether a cell is trained on it or only attacked."""
    for settings in {each.backend.model_dump_json(): each for each in used}.values():
        backend, num_qubits = settings.backend, settings.circuit.num_qubits or 2
        hardware = False
        with suppress(InputError):  # what cannot be built sends nothing, and its cells will say why
            hardware = catalog.names_hardware(backend.name, num_qubits, **backend.build_options())
        if hardware and backend.max_qpu_seconds is None:
            raise InputError(
                f"backend={backend.name}: in a sweep nobody is asked what it may cost; set "
                "backend.max_qpu_seconds, which holds for each run"
            )


def _settled(experiment: str | Path | None, words: Sequence[str], threads: int | None) -> Settings:
    asked = load_settings(experiment, words)
    settings = with_start_named(asked)
    if str(asked.training.start_from) == LAST:
        raise InputError(
            f"training.start_from={LAST}: when this sweep goes on, another run is the last; "
            f"try training.start_from={settings.training.start_from}"
        )
    if threads is None:
        return settings
    training = settings.training.model_copy(update={"threads": threads})
    return settings.model_copy(update={"training": training})


def _values(axis: str, values: Sequence[Any] | Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Give an axis of a file as overrides by label."""
    if isinstance(values, Mapping):
        return dict(values)
    words = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return {word: (f"{axis}={word}",) for word in words}


def _chosen(axis: str, known: Mapping[str, tuple[str, ...]], override: str) -> dict[str, tuple[str, ...]]:
    """Choose among the names of an axis; in a list of them, one with a comma stands in quotes."""
    labels = [override.partition("=")[2]]
    if labels[0] not in known:
        labels = [_unquoted(choice.partition("=")[2]) for choice in overrides.alternatives(override)]
    for label in labels:
        if label not in known:
            raise unknown(f"value of the axis {axis}", label, known)
    return {label: known[label] for label in labels}


def _unquoted(label: str) -> str:
    quoted = len(label) > 1 and label[0] == label[-1] and label[0] in "'\""
    return label[1:-1] if quoted else label


def _refuse_shadows(axes: Mapping[str, Mapping[str, tuple[str, ...]]], fixed: Sequence[str]) -> None:
    """Refuse a setting that two axes, or an axis and what was typed, would both set."""
    owners: dict[str, str] = {_key(override): "what was typed" for override in fixed}
    for axis, values in axes.items():
        own = {_key(override) for chosen in values.values() for override in chosen}
        for key in sorted(own):
            if key in owners:
                names = ",".join(f'"{name}"' if "," in name else name for name in values)
                raise InputError(
                    f"{key}: set by {owners[key]} and by the axis {axis} too; leave one out, or choose among the "
                    f"axis's values: {shlex.quote(f'{axis}={names}')}"
                )
        owners |= dict.fromkeys(own, f"the axis {axis}")


def _refuse_idle(
    sweep: SweepSettings,
    axes: Mapping[str, Mapping[str, tuple[str, ...]]],
    typed: Sequence[str],
    threads: int | None,
) -> None:
    """Refuse a setting that would not count: an option sets it, or every group of attacks sets it for itself."""
    groups = [{_key(override) for override in chosen} for chosen in sweep.attacks.values()]
    own = set.intersection(*groups) if groups else set()
    given = [
        *typed,
        *(override for values in axes.values() for chosen in values.values() for override in chosen),
    ]
    for override in given:
        if _key(override) == "training.threads" and threads is not None:
            raise InputError(f"{override}: in a sweep it is an option; try --threads N")
        if _key(override) in own:
            raise InputError(
                f"{override}: the sweep's groups of attacks ({', '.join(sweep.attacks)}) say that themselves; "
                f"try \"sweep.attacks={{mine: ['{override}']}}\""
            )


def _key(override: str) -> str:
    key = override.partition("=")[0]
    return f"{key}.name" if key in named_sections() else key


def _of_the_data_set(typed: Sequence[str]) -> list[str]:
    """Keep the override that may name the experiment."""
    return [override for override in typed if _key(override) == "dataset.name" and "," not in override]


class _Typed(Section):
    """What may be typed of a sweep."""

    sweep: SweepSettings = SweepSettings()


def _checked(for_sweep: Sequence[str]) -> Sequence[str]:
    """Refuse by itself what was typed, before the experiment's file is blamed for it."""
    try:
        _Typed.model_validate(overrides.parse(for_sweep, frozenset()))
    except ValidationError as error:
        raise InputError(overrides.explain(error, _Typed)) from error
    return for_sweep


def _with_few_verdicts(sweep: SweepSettings, cells: Sequence[Cell]) -> list[Cell]:
    """Leave the verdict to the first seeds, if not all are to have one."""
    if sweep.verdict_seeds is None:
        return list(cells)
    judged = list(dict.fromkeys(cell.settings.seed for cell in cells))[: sweep.verdict_seeds]
    return [cell if cell.settings.seed in judged else replace(cell, verdict="none") for cell in cells]
