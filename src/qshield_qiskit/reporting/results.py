"""Results to be kept: several runs on the same images, as JSON for scripts and as a table for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.reporting.comparison import Share
from qshield_qiskit.reporting.robustness import (
    WORST_CASE,
    RobustRun,
    Row,
    attack_title,
    norm_title,
    radius_title,
)

CLASSICAL = {"small_cnn": "cnn", "resnet18": "cnn", "dnn": "dnn"}


@dataclass(frozen=True)
class Block:
    """One run under one preset.

    Attributes:
        run: The run.
        preset: Name of the preset that the attacks were asked for by; None for attacks by name.
        epsilon: Radius of the bounded ones, in the sup norm.
        rows: By attack.
    """

    run: RobustRun
    preset: str | None
    epsilon: float
    rows: Mapping[str, Row]

    @property
    def correct(self) -> NDArray[np.int64]:
        """Which images the model classifies correctly."""
        outcomes = next(iter(self.rows.values())).outcomes
        assert outcomes is not None
        return outcomes.index[outcomes.correct]

    def fooled(self, attack: str, images: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which of the images an attack fooled."""
        outcomes = self.rows[attack].outcomes
        assert outcomes is not None
        return np.isin(images, outcomes.index[outcomes.fooled])

    def worst_case(self, images: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say which of the images any bounded attack fooled."""
        bounded = [name for name, row in self.rows.items() if row.key.epsilon is not None]
        return reduce(np.logical_or, (self.fooled(name, images) for name in bounded))


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
        groups: dict[tuple[str | None, float], dict[str, Row]] = {}
        for row in rows:
            if row.key.epsilon is not None and row.key.norm == "linf":
                for preset in _presets(row):
                    groups.setdefault((preset, row.key.epsilon), {})[row.key.attack] = row
        for (preset, _), group in groups.items():
            unbounded = [row for row in rows if row.key.epsilon is None and preset in _presets(row)]
            group.update({row.key.attack: row for row in unbounded})
        found += [Block(run, preset, epsilon, group) for (preset, epsilon), group in groups.items()]
    return found


def _presets(row: Row) -> list[str | None]:
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
        InputError: A run was not attacked in the sup norm.
    """
    every = blocks(runs)
    for run in runs:
        if not any(block.run is run for block in every):
            raise InputError(
                f"{run.folder.path}: no attack within a sup-norm ball yet; "
                f"make one with: qshield attack {run.folder.path}"
            )
    items = []
    for block in every:
        peers = [other for other in every if (other.preset, other.epsilon) == (block.preset, block.epsilon)]
        images = reduce(np.intersect1d, (peer.correct for peer in peers))
        items.append(_item(block, images, commands[list(runs).index(block.run)]))
    return items


def _item(block: Block, images: NDArray[np.int64], command: str) -> dict[str, Any]:
    run, settings = block.run, yaml.safe_load(block.run.config)
    branch, backbone = settings["model"]["branch"], settings["model"]["backbone"]
    model = {"none": CLASSICAL.get(backbone, backbone), "control": "control"}
    shares = {name: Share(int(block.fooled(name, images).sum()), len(images)) for name in block.rows}
    worst = Share(int(block.worst_case(images).sum()), len(images))
    first = next(iter(block.rows.values())).figures
    return {
        "dataset": settings["dataset"]["name"],
        "model": model.get(branch, f"hqcnn-{settings['circuit']['name']}"),
        "defence": settings["training"].get("defence", "none"),
        "backend": first["backend"],
        "epsilon": block.epsilon,
        "preset": block.preset,
        "seed": settings["seed"],
        "n": first["n"],
        "common_images": len(images),
        "odr": run.metrics["odr"],
        "odr_n": run.metrics["n"],
        "asr": {name: share.value for name, share in shares.items()},
        "asr_interval": {name: [share.low, share.high] for name, share in shares.items()},
        "asr_own": {name: row.figures["asr_own"] for name, row in block.rows.items()},
        "median_norm": {
            name: {"norm": row.key.norm, "value": row.figures[f"median_{row.key.norm}"]}
            for name, row in block.rows.items()
            if row.key.epsilon is None
        },
        "too_weak": [name for name, row in block.rows.items() if row.figures.get("weak")],
        "seconds": sum(row.figures["seconds"] for row in block.rows.values()),
        "worst_case_asr": worst.value,
        "worst_case_interval": [worst.low, worst.high],
        "verdict": None if run.verdict is None else run.verdict["verdict"],
        "failed_checks": None
        if run.verdict is None
        else [check["name"] for check in run.verdict["checks"] if check["passed"] is False],
        "command": command,
    }


def markdown(title: str, items: Sequence[Mapping[str, Any]]) -> str:
    """Lay items out as tables, one for each preset and epsilon, a column for each model.

    >>> print(markdown("Nothing", []), end="")
    # Nothing
    """
    lines = [f"# {title}"]
    for preset, epsilon in dict.fromkeys((item["preset"], item["epsilon"]) for item in items):
        members = [item for item in items if (item["preset"], item["epsilon"]) == (preset, epsilon)]
        lines += ["", *_table(preset, epsilon, members)]
    if items:
        lines += ["", "Made by:", "", "```sh"]
        commands = dict.fromkeys(str(item["command"]) for item in items)
        lines += "\n\n".join(command.replace("; ", "\n") for command in commands).split("\n")
        lines += ["```"]
    return "\n".join(lines) + "\n"


def _table(preset: str | None, epsilon: float, members: Sequence[Mapping[str, Any]]) -> list[str]:
    first = members[0]
    heading = f"{first['dataset']}, preset `{preset}`" if preset else str(first["dataset"])
    lines = [
        f"## {heading}, {norm_title('linf')} ≤ {radius_title(epsilon)}",
        "",
        f"ASR in percent with its 95 % Wilson interval, on the {first['common_images']:,} of the first {first['n']:,} "
        "test images that every model here classifies correctly; ODR is of the whole test set.",
        "",
        "| | " + " | ".join(f"{item['model']}, seed {item['seed']}" for item in members) + " |",
        "| --- |" + " --- |" * len(members),
        _row("ODR", [f"{100 * item['odr']:.1f} (n = {item['odr_n']:,})" for item in members]),
        _row("verdict", [f"**{item['verdict'] or 'none yet'}**" for item in members]),
    ]
    for attack in dict.fromkeys(name for item in members for name in item["asr"]):
        weak = any(attack in item["too_weak"] for item in members)
        cells = [_cell(item, attack) for item in members]
        norms = {item["median_norm"][attack]["norm"] for item in members if attack in item["median_norm"]}
        goal = "".join(f", minimum {norm_title(norm)}" for norm in sorted(norms))
        lines.append(_row(attack_title(attack) + goal + (" \\*" if weak else ""), cells))
    worst = [_share(item["worst_case_asr"], item["worst_case_interval"]) for item in members]
    lines.append(_row("**worst case** of the bounded", [f"**{share}**" for share in worst]))
    lines.append(_row("seconds", [f"{item['seconds']:,.0f}" for item in members]))
    if any(item["too_weak"] for item in members):
        lines += ["", "\\* Its steps cannot cross the ball: the figure is too low."]
    return lines


def _rounded(value: Any) -> Any:
    """Cut figures to what intervals leave of them, five decimals; epsilon stays as it is."""
    if isinstance(value, dict):
        return {key: each if key == "epsilon" else _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 5) if isinstance(value, float) else value


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _cell(item: Mapping[str, Any], attack: str) -> str:
    if attack not in item["asr"]:
        return ""
    share = _share(item["asr"][attack], item["asr_interval"][attack])
    median = item["median_norm"].get(attack, {"value": None})
    if median["value"] is None:
        return share
    return f"{share}; median {norm_title(median['norm'])} {median['value']:.3g}"


def _share(value: float, interval: Sequence[float]) -> str:
    return f"{100 * value:.1f} ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})"


def attack_commands(run: RobustRun) -> list[str]:
    """Say what to type to have a run's attacks by preset again, and the verdict."""
    asked = dict.fromkeys(
        (block.preset, block.epsilon, next(iter(block.rows.values())).figures["n"])
        for block in blocks([run])
        if block.preset is not None
    )
    lines = [
        f"qshield attack last attack={preset} attack.epsilon={radius_title(epsilon)} attack.images={n}"
        for preset, epsilon, n in asked
    ]
    return [*lines, "qshield verdict last"]


def write_results(path: Path, title: str, items: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Write items as `path`.json and `path`.md, and give both files."""
    written = [path.with_suffix(".json"), path.with_suffix(".md")]
    write_atomically(written[0], json.dumps(_rounded(list(items)), indent=1) + "\n")
    write_atomically(written[1], markdown(title, items))
    return written
