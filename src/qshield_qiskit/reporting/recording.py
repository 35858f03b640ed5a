"""Recording what attacks did: rows of robustness.json, one file of arrays an outcome, and the worst case of all."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qshield_qiskit.errors import InputError
from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.robustness import ROBUSTNESS, WORST_CASE

Row = dict[str, Any]

BALL = ("norm", "epsilon", "bpda", "backend", "backend_options", "seed", "eot", "target", "source")
"""What the members of a worst case have in common."""


def read_rows(folder: RunFolder) -> list[Row]:
    """Read robustness.json.

    Raises:
        InputError: There is none yet, or it is damaged.
    """
    rows: list[Row] = folder.read_json(ROBUSTNESS, f"qshield attack {folder.path}")
    return rows


def read_outcome(folder: RunFolder, row: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Read what an attack did to each image: the arrays of outcomes/<key>.npz by name.

    Raises:
        InputError: The file is missing or damaged.
    """
    path = folder.path / row["outcomes"]
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path}: missing or damaged ({error}); make it anew with: qshield attack {folder.path}"
        ) from error


def write_arrays(folder: RunFolder, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write an .npz file, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    folder.write(name, buffer.getvalue())


def put_row(folder: RunFolder, row: Row) -> Row:
    """Add a row to robustness.json, or replace the one of the same key.

    A worst case replaces its former self on the same images only: what a few more attacks on fewer images come to is
    no worst case of all. An attack that two presets have in common is one row, which belongs to both.

    Returns:
        The row as it was written.
    """
    keys = [
        "attack",
        *BALL,
        *(["image_set"] if row["attack"] == WORST_CASE else ["parameters", "max_queries"]),
    ]
    rows = read_rows(folder) if (folder.path / ROBUSTNESS).is_file() else []
    replaced = [old for old in rows if all(old.get(key) == row.get(key) for key in keys)]
    for old in replaced:
        if old["image_set"] == row["image_set"] and "presets" in row:
            row = row | {"presets": sorted({*row["presets"], *old.get("presets", [])})}
    if replaced == [row]:
        return row
    folder.write_json(ROBUSTNESS, [*(old for old in rows if old not in replaced), row])
    return row


def find_row(folder: RunFolder, identity: Row, images: str) -> Row | None:
    """Find an attack's row of these settings on this set of images, with its outcomes; None if there is none."""
    rows = read_rows(folder) if (folder.path / ROBUSTNESS).is_file() else []
    wanted = json.loads(json.dumps(identity | {"image_set": images}))
    for row in rows:
        there = all(row.get(key) == value for key, value in wanted.items())
        if there and (folder.path / row["outcomes"]).is_file():
            return row
    return None


def shares(attacked: int, fooled: int, count: int, *, targeted: bool = False) -> Row:
    """Give ASR with its Wilson interval, and the accuracy that is left.

    Args:
        attacked: Images that the model classified correctly.
        fooled: Those of them that the attack turned.
        count: All images.
        targeted: Whether a class was aimed at, which leaves the accuracy open.
    """
    asr = fooled / attacked if attacked else 0.0
    low, high = wilson_interval(fooled, attacked)
    return {
        "n": count,
        "attacked": attacked,
        "fooled": fooled,
        "asr": asr,
        "asr_own": asr,
        "asr_low": low,
        "asr_high": high,
        "robust_accuracy": None if targeted else (attacked - fooled) / count,
    }


def image_set(indices: Sequence[int], among: int | None = None) -> str:
    """Name a set of images, so that two rows can be seen to be about the same one.

    Args:
        indices: Positions in the test set.
        among: How many of the test images were chosen before, if not all were taken.
    """
    return digest(tuple(indices) if among is None else (among, *indices))


def put_worst_cases(folder: RunFolder, new: Sequence[Row]) -> list[Row]:
    """For each epsilon just attacked, count the images that any bounded attack of it has fooled so far.

    An attack whose row has since been replaced, by one on other images, is remembered by the worst case it was part of:
    a weaker attack of the same name that comes later takes nothing away.

    Args:
        folder: The run's folder; receives the rows and their outcomes.
        new: The rows just added.

    Returns:
        The new rows of the worst cases.
    """
    asked = {tuple(row.get(key) for key in BALL): row for row in new if row["epsilon"] is not None}
    return [_put_worst_case(folder, ball, first) for ball, first in asked.items()]


def _put_worst_case(folder: RunFolder, ball: tuple[Any, ...], first: Row) -> Row:
    members = [
        row
        for row in read_rows(folder)
        if row["attack"] != WORST_CASE
        and tuple(row.get(key) for key in BALL) == ball
        and row["image_set"] == first["image_set"]
    ]
    names, counted = [row["attack"] for row in members], [*members]
    former = find_row(folder, {"attack": WORST_CASE, **{key: first[key] for key in BALL}}, first["image_set"])
    present, before = {row["outcomes"] for row in members}, set[str]()
    if former is not None:
        before = {*former.get("members", ())}  # those of earlier versions have names only
        attacks = former["parameters"]["attacks"]
        if not before <= present or not {*attacks} <= {*names}:
            counted.append(former)  # for what it fooled; its queries and seconds are partly those of members
            names = list(dict.fromkeys([*attacks, *names]))
    outcomes = [read_outcome(folder, row) for row in counted]
    correct, fooled = fooled_by_any((outcome["correct"], outcome["fooled"]) for outcome in outcomes)
    name = f"{WORST_CASE}-{first['norm']}-{first['epsilon']:.4g}-{digest((*ball, first['image_set']))}"
    row = {
        "attack": WORST_CASE,
        **{key: first[key] for key in BALL},
        "parameters": {"attacks": names},
        **shares(int(correct.sum()), int(fooled.sum()), len(correct), targeted=first["target"] is not None),
        "image_set": first["image_set"],
        **{f"median_{norm}": None for norm in ("l0", "l2", "linf")},
        **{
            key: sum(row[key] for row in members)
            for key in ("queries", "gradients", "seconds", "seconds_per_image")
        },
        "weak": None,
        "members": sorted(present | before),
        "outcomes": f"outcomes/{name}.npz",
    }
    kept = {name: outcomes[0][name] for name in ("index", "label", "clean")}
    write_arrays(folder, row["outcomes"], {**kept, "correct": correct, "fooled": fooled})
    put_row(folder, row)
    return row


def worst_case_share(folder: RunFolder, rows: Sequence[Row]) -> float | None:
    """Give the share of the images, of those that were attacked, that any attack in the largest ball fooled.

    Args:
        folder: The run's folder.
        rows: Of one set of images; see `largest_ball` for those that count.
    """
    outcomes = [read_outcome(folder, row) for row in largest_ball(rows)]
    if not outcomes:
        return None
    correct, fooled = fooled_by_any((outcome["correct"], outcome["fooled"]) for outcome in outcomes)
    return float(fooled[correct].mean()) if correct.any() else None


def largest_ball(rows: Sequence[Row]) -> list[Row]:
    """Choose the attacks in the largest ball of the sup norm, or else of another; none if no attack is bounded."""
    bounded = [row for row in rows if row["epsilon"] is not None and row["attack"] != WORST_CASE]
    ball = max(((row["norm"] == "linf", row["epsilon"], row["norm"]) for row in bounded), default=())
    return [row for row in bounded if (row["epsilon"], row["norm"]) == ball[1:]]


def fooled_by_any(
    outcomes: Iterable[tuple[ArrayLike, ArrayLike]],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Give (N,) which images count, being classified correctly every time, and (N,) which of them anything fooled.

    Args:
        outcomes: (N,) correct and (N,) fooled of each attack, at least one.
    """
    every_correct, every_fooled = zip(*outcomes, strict=True)
    correct = np.logical_and.reduce(every_correct)
    return correct, np.logical_or.reduce(every_fooled) & correct


def digest(content: tuple[Any, ...]) -> str:
    """Give eight characters that stand for plain values."""
    return hashlib.sha256(repr(content).encode()).hexdigest()[:8]
