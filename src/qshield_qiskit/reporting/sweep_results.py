"""All that a sweep found as one table, a row a cell and attack, and back: what results.parquet holds."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.recording import fooled_by_any, largest_ball, read_outcome
from qshield_qiskit.reporting.results import model_name
from qshield_qiskit.reporting.robustness import WORST_CASE
from qshield_qiskit.reporting.sweep_folder import DONE, Record, SweepFolder

Row = dict[str, Any]

_TEXT, _SHARE, _COUNT = pa.string(), pa.float64(), pa.int64()

SCHEMA = pa.schema(
    [
        ("sweep", _TEXT),
        ("cell", _TEXT),  # its label
        ("digest", _TEXT),
        ("choices", _TEXT),  # JSON: by axis, the value as typed
        ("run", _TEXT),  # its folder, within the sweep's
        ("state", _TEXT),  # done, failed, or what it was when the sweep ended
        ("failure", _TEXT),
        ("dataset", _TEXT),
        ("model", _TEXT),  # cnn, dnn, control or hqcnn-<template>
        ("branch", _TEXT),  # circuit, control or none
        ("twin", _TEXT),  # what it has in common with its twin, the model without a second branch
        ("line", _TEXT),  # what it has in common with its other seeds
        ("defence", _TEXT),
        ("backend", _TEXT),
        ("seed", _COUNT),
        ("odr", _SHARE),
        ("odr_n", _COUNT),
        ("train_accuracy", _SHARE),
        ("train_seconds", _SHARE),
        ("inference_seconds", _SHARE),
        ("parameters", _COUNT),
        ("threads", _COUNT),
        ("verdict", _TEXT),
        ("verdict_quick", pa.bool_()),
        ("failed_checks", pa.list_(_TEXT)),
        ("group", _TEXT),  # of attacks; null where a cell has none
        ("attack", _TEXT),  # worst_case: fooled by any bounded attack of the group in its largest ball
        ("norm", _TEXT),
        ("epsilon", _SHARE),
        ("target", _TEXT),  # what was aimed at; null where only the label was to be left
        ("parameters_of_attack", _TEXT),  # JSON
        ("weak", _TEXT),
        ("n", _COUNT),
        ("image_set", _TEXT),
        ("attacked", _COUNT),
        ("fooled", _COUNT),
        ("asr_own", _SHARE),  # on the images that this model classifies correctly
        ("asr", _SHARE),  # on the images that every model of this seed classifies correctly
        ("common_images", _COUNT),
        ("median_l0", _SHARE),
        ("median_l2", _SHARE),
        ("median_linf", _SHARE),
        ("queries", _SHARE),
        ("gradients", _SHARE),
        ("seconds", _SHARE),
        ("correct_by_image", pa.list_(pa.bool_())),
        ("fooled_by_image", pa.list_(pa.bool_())),
    ]
)


def gather(folder: SweepFolder) -> list[Row]:
    """Read what the cells of a sweep left behind, a row for each cell and attack, and one for a cell without.

    ASR is given on common images too: of each seed and target, those that every model that was attacked on the same
    set classifies correctly. An image that is of a targeted class already does not count there.
    """
    plan = folder.plan
    empty = dict.fromkeys(SCHEMA.names)
    rows: list[Row] = [empty | row for cell in plan["cells"] for row in _rows(folder, plan, cell)]
    sets: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["attack"]:
            asked = tuple(row[name] for name in ("dataset", "image_set", "seed", "target"))
            sets.setdefault(asked, []).append(row)
    for members in sets.values():
        common = np.logical_and.reduce([row["correct_by_image"] for row in members])
        for row in members:
            row["common_images"] = int(common.sum())
            fooled = np.asarray(row["fooled_by_image"])[common]
            row["asr"] = float(fooled.mean()) if len(fooled) else None
    return rows


def to_parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Write rows as a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=SCHEMA), buffer, compression="zstd")
    return buffer.getvalue()


def from_parquet(path: Path) -> list[Row]:
    """Read rows back.

    Raises:
        InputError: The file is missing, damaged, or of another layout.
    """
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: not a readable Parquet file ({' '.join(str(error).split())})") from error
    if missing := [name for name in SCHEMA.names if name not in table.column_names]:
        raise InputError(f"{path}: has no column {', '.join(missing)}; make it anew with: qshield sweep")
    rows: list[Row] = table.to_pylist()
    return rows


def _rows(folder: SweepFolder, plan: Mapping[str, Any], cell: Mapping[str, Any]) -> list[Row]:
    record = folder.record(cell["digest"])
    common = _common(plan, cell, record)
    run = None if record.get("run") is None else RunFolder(folder.path / record["run"])
    if run is not None and (run.path / "metrics.json").is_file():
        metrics = run.read_json("metrics.json", plan["command"])
        common |= {name: metrics[name] for name in ("odr", "train_accuracy", "train_seconds")}
        common |= {name: metrics[name] for name in ("inference_seconds", "parameters")}
        common["odr_n"] = metrics["n"]
    groups = record.get("rows") or {}
    rows: list[Row] = []
    if run is not None and groups:
        for group, found in groups.items():
            attacks = [_attack(run, row) for row in found]
            rows += [common | {"group": group} | attack for attack in [*attacks, *_worst_case(attacks)]]
    return rows or [common]


def _common(plan: Mapping[str, Any], cell: Mapping[str, Any], record: Record) -> Row:
    settings = cell["settings"]
    failure = record.get("failure")
    judged = record["state"] == DONE
    return {
        "sweep": plan["name"],
        "cell": cell["label"],
        "digest": cell["digest"],
        "choices": json.dumps(cell["choices"]),
        "run": record.get("run"),
        "state": record["state"],
        "failure": failure and f"{failure['doing']}: {failure['reason']}",
        "dataset": str(settings["dataset"]["file"] or settings["dataset"]["name"]),
        "model": model_name(settings),
        "branch": settings["model"]["branch"],
        "twin": cell["twin"],
        "line": cell["line"],
        "defence": settings["training"]["defence"]["name"],
        "backend": settings["backend"]["name"],
        "seed": settings["seed"],
        "threads": settings["training"]["threads"],
        "verdict": record.get("verdict") if judged else None,
        "verdict_quick": record.get("quick") if judged else None,
        "failed_checks": record.get("failed_checks") if judged else None,
    }


def _attack(run: RunFolder, row: Mapping[str, Any]) -> Row:
    outcome = read_outcome(run, row)
    kept = ("attack", "norm", "epsilon", "weak", "n", "image_set", "attacked", "fooled", "asr_own")
    measured = ("median_l0", "median_l2", "median_linf", "queries", "gradients", "seconds")
    return {
        **{name: row[name] for name in (*kept, *measured)},
        "target": None if row.get("target") is None else str(row["target"]),
        "parameters_of_attack": json.dumps(row["parameters"]),
        "correct_by_image": outcome["correct"].tolist(),
        "fooled_by_image": (outcome["fooled"] & outcome["correct"]).tolist(),
    }


def _worst_case(attacks: Sequence[Row]) -> list[Row]:
    """Count what any attack of a group in its largest ball fooled; nothing if none is bounded."""
    members = largest_ball(attacks)
    if not members:
        return []
    correct, fooled = fooled_by_any((row["correct_by_image"], row["fooled_by_image"]) for row in members)
    same = {name: members[0][name] for name in ("norm", "epsilon", "target", "n", "image_set")}
    counts = {"attacked": int(correct.sum()), "fooled": int(fooled.sum())}
    share = counts["fooled"] / counts["attacked"] if counts["attacked"] else None
    summed = {name: sum(row[name] for row in members) for name in ("queries", "gradients", "seconds")}
    return [
        {
            **same,
            **counts,
            **summed,
            "attack": WORST_CASE,
            "asr_own": share,
            "parameters_of_attack": json.dumps({"attacks": [row["attack"] for row in members]}),
            "correct_by_image": correct.tolist(),
            "fooled_by_image": fooled.tolist(),
        }
    ]
