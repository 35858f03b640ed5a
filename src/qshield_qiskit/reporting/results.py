"""Results to be kept: several runs on the same images, as JSON for scripts and as a table for people."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.reporting.comparison import Share, weight
from qshield_qiskit.reporting.results_table import markdown
from qshield_qiskit.reporting.robustness import WORST_CASE, RobustRun, Row

ON_MACHINES = {
    "data": {"root", "mirror"},
    "training": {"threads", "accelerator", "devices", "strategy"},
}
"""Settings of a training, by section, that are about the machine and not about the model."""

CLASSICAL = {"small_cnn": "cnn", "resnet18": "cnn", "dnn": "dnn", "mlp": "mlp"}


@dataclass(frozen=True)
class Block:
    """One run under one preset.

    Attributes:
        run: The run.
        preset: Name of the preset that the attacks were asked for by; None for attacks by name.
        epsilon: Radius of the bounded ones, in the sup norm.
        every: All rows, of which an attack that was run in several ways has several.
    """

    run: RobustRun
    preset: str | None
    epsilon: float
    every: Sequence[Row]

    @cached_property
    def rows(self) -> Mapping[str, Row]:
        """By attack, the row that fooled most images."""
        rows: dict[str, Row] = {}
        for row in self.every:
            rows[row.key.attack] = max(rows.get(row.key.attack, row), row, key=weight)
        return rows

    @property
    def figures(self) -> Mapping[str, Any]:
        """What all rows have in common stands in any of them."""
        return self.every[0].figures

    @property
    def backend(self) -> str:
        """What the model ran on."""
        return self.every[0].backend

    @property
    def verdict(self) -> Mapping[str, Any] | None:
        """The verdict, if it is about this backend, epsilon and number of draws."""
        verdict = self.run.verdict_on(self.backend)
        if verdict is None or verdict.get("eot", 1) != self.figures.get("eot", 1):
            return None
        return verdict if abs(verdict["epsilon"] - self.epsilon) < 1e-9 else None

    @property
    def correct(self) -> NDArray[np.int64]:
        """Which images the model classifies correctly."""
        outcomes = self.every[0].outcomes
        assert outcomes is not None
        return outcomes.index[outcomes.correct]

    @property
    def table(self) -> tuple[Any, ...]:
        """Tell which blocks belong side by side: the same preset and epsilon on the same images."""
        return self.run.dataset, self.preset, self.epsilon, self.figures["image_set"]

    def worst_case(self, images: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which of the images any bounded attack fooled."""
        bounded = [row for row in self.every if row.key.epsilon is not None]
        return reduce(np.logical_or, (_fooled(row, images) for row in bounded))


def _fooled(row: Row, images: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say which of the images an attack fooled."""
    assert row.outcomes is not None
    return np.isin(images, row.outcomes.index[row.outcomes.fooled])


def _median(row: Row, images: NDArray[np.int64]) -> float | None:
    """Give the median size of the perturbations that fooled, of these images; None if none did."""
    outcomes = row.outcomes
    assert outcomes is not None
    if row.key.norm not in outcomes.norms:
        return row.figures.get(f"median_{row.key.norm}")
    sizes = outcomes.norms[row.key.norm][outcomes.fooled & np.isin(outcomes.index, images)]
    return float(np.median(sizes)) if len(sizes) else None


def blocks(runs: Sequence[RobustRun]) -> list[Block]:
    """Sort the untargeted attacks of runs by preset and epsilon; transfer attacks have no place here."""
    found = []
    for run in runs:
        rows = [
            row
            for row in run.rows
            if row.key.attack != WORST_CASE
            and row.outcomes is not None
            and row.key.target is None
            and not row.key.transferred
        ]
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            if row.key.epsilon is not None and row.key.norm == "linf":
                for preset in presets_of(row):
                    groups.setdefault((preset, row.key.epsilon, *_setting(row)), []).append(row)
        for (preset, _, *setting), group in groups.items():
            group += [
                row
                for row in rows
                if row.key.epsilon is None and preset in presets_of(row) and _setting(row) == tuple(setting)
            ]
        found += [Block(run, preset, epsilon, group) for (preset, epsilon, *_), group in groups.items()]
    return found


def _setting(row: Row) -> tuple[Any, ...]:
    """Tell what the attacks of a block must have in common besides preset and epsilon."""
    figures = row.figures
    return row.backend, figures.get("eot", 1), figures.get("bpda"), figures.get("seed"), figures["image_set"]


def presets_of(row: Row) -> list[str | None]:
    """Give the presets that a row belongs to; an attack by its own name belongs to None."""
    return row.figures.get("presets") or [None]


def results(runs: Sequence[RobustRun], commands: Sequence[str]) -> list[dict[str, Any]]:
    """Gather the figures of runs, each preset on the images that all of them classify correctly.

    Args:
        runs: The runs.
        commands: What each was made by.

    Returns:
        An item for each run, preset and epsilon.

    Raises:
        InputError: A run was not attacked in the sup norm, or what an attack did to each image is missing: without it
            a worst case would look better than it is.
    """
    for run in runs:
        for row in run.rows:
            if row.outcomes is None and row.figures.get("outcomes"):
                path = run.folder.path
                raise InputError(
                    f"{path / row.figures['outcomes']}: missing; make it anew with: qshield attack {path}"
                )
    every = blocks(runs)
    for run in runs:
        if not any(block.run is run for block in every):
            raise InputError(
                f"{run.folder.path}: no attack within a sup-norm ball yet; "
                f"make one with: qshield attack {run.folder.path}"
            )
    items = []
    for block in every:
        peers = [other for other in every if other.table == block.table]
        images = reduce(np.intersect1d, (peer.correct for peer in peers))
        items.append(_item(block, images, commands[list(runs).index(block.run)]))
    return items


def _item(block: Block, images: NDArray[np.int64], command: str) -> dict[str, Any]:
    run, settings = block.run, yaml.safe_load(block.run.config)
    shares = {name: Share(int(_fooled(row, images).sum()), len(images)) for name, row in block.rows.items()}
    worst = Share(int(block.worst_case(images).sum()), len(images))
    first, verdict = block.figures, block.verdict
    on_its_own = block.backend == run.own_backend  # where the clean accuracy was measured
    return {
        "dataset": run.dataset,
        "model": model_name(settings),
        "defence": settings["training"].get("defence", {"name": "none"})["name"],
        "backend": block.backend,
        "eot": first.get("eot", 1),
        "bpda": first.get("bpda"),
        "image_set": first["image_set"],
        "epsilon": block.epsilon,
        "preset": block.preset,
        "seed": settings["seed"],
        "recipe": _recipe(settings),
        "n": first["n"],
        "common_images": len(images),
        "odr": run.metrics["odr"] if on_its_own else None,
        "odr_n": run.metrics["n"],
        "asr": {name: share.value for name, share in shares.items()},
        "asr_interval": {name: [share.low, share.high] for name, share in shares.items()},
        "asr_own": {name: row.figures["asr_own"] for name, row in block.rows.items()},
        "median_norm": {
            name: {"norm": row.key.norm, "value": _median(row, images)}
            for name, row in block.rows.items()
            if row.key.epsilon is None
        },
        "too_weak": {
            name: row.figures["weak"] for name, row in block.rows.items() if row.figures.get("weak")
        },
        "seconds": sum(row.figures["seconds"] for row in block.rows.values()),
        "worst_case_asr": worst.value,
        "worst_case_interval": [worst.low, worst.high],
        "worst_case_own": float(block.worst_case(block.correct).mean()) if len(block.correct) else None,
        "verdict": None if verdict is None else verdict["verdict"],
        "verdict_quick": None if verdict is None else bool(verdict.get("quick")),
        "failed_checks": None
        if verdict is None
        else [check["name"] for check in verdict["checks"] if check["passed"] is False],
        "command": command,
    }


def _recipe(settings: Mapping[str, Any]) -> str:
    """Give eight characters that tell trainings apart which differ in more than their seed and their machine."""
    trained = {
        name: settings.get(name) for name in ("dataset", "data", "circuit", "backend", "model", "training")
    }
    for section, names in ON_MACHINES.items():
        trained[section] = {
            name: value for name, value in (trained[section] or {}).items() if name not in names
        }
    return hashlib.sha256(json.dumps(trained, sort_keys=True, default=str).encode()).hexdigest()[:8]


def model_name(settings: Mapping[str, Any]) -> str:
    """Name a model by its branches: cnn, dnn, control or hqcnn-<template>, given its settings as plain values."""
    branch, backbone = settings["model"]["branch"], settings["model"]["backbone"]
    model = {"none": CLASSICAL.get(backbone, backbone), "control": "control"}
    return str(model.get(branch, f"hqcnn-{settings['circuit']['name']}"))


def _rounded(value: Any) -> Any:
    """Cut figures to what intervals leave of them, five decimals; epsilon stays as it is, and nan is no figure."""
    if isinstance(value, dict):
        return {key: each if key == "epsilon" else _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    if isinstance(value, float):
        return round(value, 5) if math.isfinite(value) else None
    return value


def to_json(items: Sequence[Mapping[str, Any]]) -> str:
    """Spell items as JSON, with null for a share of no image."""
    return json.dumps(_rounded(list(items)), indent=1, allow_nan=False) + "\n"


def without_ending(path: Path) -> Path:
    """Take .json or .md off a name; what follows another dot, as in linf-0.05, belongs to it."""
    return path.with_suffix("") if path.suffix in {".json", ".md"} else path


def keep_results(path: Path, items: Sequence[Mapping[str, Any]], text: str) -> list[Path]:
    """Write items as `path`.json and a text about them as `path`.md, and give both files.

    Raises:
        InputError: A file cannot be written.
    """
    name = without_ending(path)
    written = {Path(f"{name}.json"): to_json(items), Path(f"{name}.md"): text}
    try:
        for file, content in written.items():
            write_atomically(file, content)
    except OSError as error:
        raise InputError(
            f"--results {path}: {error.strerror or error}; give a name in a folder that can be written"
        ) from error
    return list(written)


def write_results(path: Path, title: str, items: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Keep items with a table of them."""
    return keep_results(path, items, markdown(title, items))
