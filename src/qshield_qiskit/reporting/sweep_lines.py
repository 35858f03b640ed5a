"""The models of a sweep, each over its seeds, and hybrids beside their twins: what tables and figures are made of."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from qshield_qiskit.reporting.paired import Comparison, compare_pairs
from qshield_qiskit.reporting.robustness import WORST_CASE, Key
from qshield_qiskit.reporting.sweep_folder import DONE

SEED = "seed"
VERDICTS = ("masking detected", "suspect", "no masking detected")
"""Worst first."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """One model over its seeds.

    Attributes:
        label: What tells it from the others.
        rows: Of all its cells.
    """

    label: str
    rows: Sequence[Row]

    @property
    def cells(self) -> list[Row]:
        """One row of each cell that was done."""
        return list({row["digest"]: row for row in self.rows if row["state"] == DONE}.values())

    def seeds(self) -> list[int]:
        """Give the seeds of its cells, in order."""
        return sorted({row["seed"] for row in self.cells})

    def attacks(self, group: str, attack: str, key: Key | None = None) -> list[Row]:
        """Give the rows of an attack, one a seed, of cells that were done; in its largest ball unless one is given."""
        found: dict[int, Row] = {}
        for row in self.rows:
            there = row["state"] == DONE and row["group"] == group and row["attack"] == attack
            if there and key in {None, key_of(row)}:
                found[row["seed"]] = max(
                    found.get(row["seed"], row), row, key=lambda each: each["epsilon"] or 0
                )
        return list(found.values())

    def mean(self, name: str) -> float | None:
        """Give the mean over seeds of a figure of the cells."""
        values = [row[name] for row in self.cells if row[name] is not None]
        return statistics.fmean(values) if values else None

    @property
    def judged(self) -> list[Row]:
        """One row of each cell that has a verdict."""
        return [row for row in self.cells if row["verdict"]]

    @property
    def worst_verdict(self) -> str:
        """The worst verdict of its seeds; empty if none was judged."""
        return min((row["verdict"] for row in self.judged), key=VERDICTS.index, default="")

    @property
    def verdict(self) -> str:
        """The worst verdict of its seeds in words, and how many seeds were judged."""
        judged, count = len(self.judged), len(self.cells)
        if not judged:
            return "none yet"
        quick = " (quick)" if any(row["verdict_quick"] for row in self.judged) else ""
        return f"{self.worst_verdict}{quick}" + ("" if judged == count else f", {judged} of {count} seeds")


class AgainstTwin(NamedTuple):
    """A hybrid beside its twin under one group of attacks.

    Attributes:
        line: The hybrid.
        twin: The model of the same settings without a second branch.
        group: Of attacks.
        found: Their worst cases, compared seed by seed.
    """

    line: Line
    twin: Line
    group: str
    found: Comparison


def lines(rows: Sequence[Row]) -> list[Line]:
    """Sort rows by what cells have in common but for the seed, in the order of the grid."""
    by_line: dict[str, list[Row]] = {}
    for row in rows:
        by_line.setdefault(row["line"], []).append(row)
    return [Line(_label(members[0]), members) for members in by_line.values()]


def groups(rows: Sequence[Row]) -> list[str]:
    """List the groups of attacks, in order."""
    return list(dict.fromkeys(row["group"] for row in rows if row["group"]))


def attacks_of(rows: Sequence[Row], group: str) -> list[Key]:
    """List the attacks of a group, each with its ball, the worst case last."""
    keys = dict.fromkeys(key_of(row) for row in rows if row["group"] == group)
    return sorted(keys, key=lambda key: key.attack == WORST_CASE)


def key_of(row: Row) -> Key:
    """Give what the row of an attack may be compared by."""
    return Key(row["attack"], row["norm"], row["epsilon"], None, transferred=False)


def compare_with_twins(rows: Sequence[Row]) -> list[AgainstTwin]:
    """Hold the worst case of every hybrid against its twin's, seed by seed, on the images that both get right."""
    twins = {line.rows[0]["twin"]: line for line in lines(rows) if line.rows[0]["branch"] == "none"}
    found = []
    for line in lines(rows):
        twin = twins.get(line.rows[0]["twin"])
        if twin is None or line.rows[0]["branch"] == "none":
            continue
        for group in groups(rows):
            ours = {row["seed"]: row for row in line.attacks(group, WORST_CASE)}
            theirs = {row["seed"]: row for row in twin.attacks(group, WORST_CASE)}
            pairs = [
                _pair(ours[seed], theirs[seed])
                for seed in sorted(ours.keys() & theirs.keys())
                if ours[seed]["image_set"] == theirs[seed]["image_set"]
            ]
            comparison = compare_pairs(pairs)
            if comparison is not None:
                found.append(AgainstTwin(line, twin, group, comparison))
    return found


def _pair(one: Row, other: Row) -> tuple[Any, Any, Any]:
    both = np.asarray(one["correct_by_image"]) & np.asarray(other["correct_by_image"])
    return both, np.asarray(one["fooled_by_image"]), np.asarray(other["fooled_by_image"])


def verdict_note(rows: Sequence[Row]) -> str:
    """Say what the verdicts of a sweep are worth."""
    judged = {row["digest"]: row for row in rows if row["verdict"]}
    if not judged:
        return "There is no verdict yet."
    quick = "quick " if any(row["verdict_quick"] for row in judged.values()) else ""
    seeds = len({row["seed"] for row in judged.values()})
    return (
        f"Verdict: the worst of the {quick}verdicts on {seeds} seed{'s' * (seeds != 1)}; it is about the model and "
        "the radius, whatever the attacks' parameters."
    )


def _label(row: Row) -> str:
    chosen = {axis: value for axis, value in json.loads(row["choices"]).items() if axis != SEED}
    return ", ".join(chosen.values()) or str(row["model"])
