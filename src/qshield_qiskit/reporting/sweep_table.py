"""A sweep's results as tables: means and intervals over seeds, hybrids against their twins, and what failed."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qshield_qiskit.intervals import t_interval
from qshield_qiskit.reporting.paired import Comparison, compare_pairs, holm
from qshield_qiskit.reporting.robustness import WORST_CASE, attack_title, radius_title
from qshield_qiskit.reporting.sheet import Sheet
from qshield_qiskit.reporting.sweep_folder import DONE, FAILED

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

    def attacks(self, group: str, attack: str) -> list[Row]:
        """Give the rows of an attack, one a seed, of cells that were done."""
        return [
            row
            for row in self.rows
            if row["state"] == DONE and row["group"] == group and row["attack"] == attack
        ]

    def mean(self, name: str) -> float | None:
        """Give the mean over seeds of a figure of the cells."""
        values = [row[name] for row in self.cells if row[name] is not None]
        return statistics.fmean(values) if values else None

    @property
    def verdict(self) -> str:
        """The worst verdict of its seeds, and how many seeds were judged."""
        found = [row["verdict"] for row in self.cells if row["verdict"]]
        if not found:
            return "none yet"
        worst = min(found, key=VERDICTS.index)
        quick = " (quick)" if any(row["verdict_quick"] for row in self.cells) else ""
        count = len(self.cells)
        return f"{worst}{quick}" + ("" if len(found) == count else f", {len(found)} of {count} seeds")


def lines(rows: Sequence[Row]) -> list[Line]:
    """Sort rows by what cells have in common but for the seed, in the order of the grid."""
    by_line: dict[str, list[Row]] = {}
    for row in rows:
        by_line.setdefault(row["line"], []).append(row)
    return [Line(_label(members[0]), members) for members in by_line.values()]


def groups(rows: Sequence[Row]) -> list[str]:
    """List the groups of attacks, in order."""
    return list(dict.fromkeys(row["group"] for row in rows if row["group"]))


def attacks_of(rows: Sequence[Row], group: str) -> list[str]:
    """List the attacks of a group, the worst case last."""
    names = list(dict.fromkeys(row["attack"] for row in rows if row["group"] == group))
    return sorted(names, key=lambda name: name == WORST_CASE)


def sheets(rows: Sequence[Row]) -> list[Sheet]:
    """Lay out all tables of a sweep."""
    return [
        _overview(rows),
        *(_attacks(rows, group) for group in groups(rows)),
        *_paired(rows),
        *failures(rows),
    ]


def percent(values: Sequence[float]) -> str:
    """Word shares over seeds: their mean in percent, and half of its 95 % t interval where there are seeds enough.

    >>> percent([0.5]), percent([0.4, 0.5, 0.6]), percent([])
    ('50.0', '50.0 ± 24.8', '')
    """
    if not values:
        return ""
    mean, interval = statistics.fmean(values), t_interval(values)
    return f"{100 * mean:.1f}" + ("" if interval is None else f" ± {100 * (interval[1] - mean):.1f}")


def _overview(rows: Sequence[Row]) -> Sheet:
    named = groups(rows)
    body = []
    for line in lines(rows):
        worst = [percent(_shares(line.attacks(group, WORST_CASE))) for group in named]
        seconds, inference = line.mean("train_seconds"), line.mean("inference_seconds")
        cost = "" if seconds is None or inference is None else f"{seconds + inference:.1f}"
        body.append(
            [
                line.label,
                ", ".join(map(str, line.seeds())) or "none",
                percent([row["odr"] for row in line.cells]),
                *worst,
                line.verdict,
                cost,
            ]
        )
    notes = [
        f"ODR, ASR in percent: mean over seeds ± half its 95 % t interval. {_images(rows)}",
        "Worst case: fooled by any bounded attack of the group. Seconds: training and one pass over the test images.",
    ]
    headings = ["", "seeds", "ODR %", *(f"worst case %, {group}" for group in named), "verdict", "seconds"]
    return Sheet(f"{rows[0]['sweep']}: {_counts(rows)}", headings, body, notes)


def _attacks(rows: Sequence[Row], group: str) -> Sheet:
    names = attacks_of(rows, group)
    weak = {row["attack"] for row in rows if row["group"] == group and row["weak"]}
    epsilons = sorted({row["epsilon"] for row in rows if row["group"] == group and row["epsilon"]})
    radius = ", ".join(map(radius_title, epsilons))
    body = [
        [line.label, *(percent(_shares(line.attacks(group, name))) for name in names)] for line in lines(rows)
    ]
    notes = ["* Its steps cannot cross the ball: the figure is too low."] if weak else []
    headings = ["", *(attack_title(name) + (" *" if name in weak else "") for name in names)]
    return Sheet(f"ASR %, attacks {group}, L∞ ≤ {radius or 'unbounded'}", headings, body, notes)


def compare_with_twins(rows: Sequence[Row]) -> list[tuple[Line, str, Comparison]]:
    """Hold the worst case of every hybrid against its twin's, seed by seed, on the images that both get right.

    The twin is the model of the same settings without a second branch.
    """
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
                found.append((line, group, comparison))
    return found


def _pair(one: Row, other: Row) -> tuple[Any, Any, Any]:
    both = np.asarray(one["correct_by_image"]) & np.asarray(other["correct_by_image"])
    return both, np.asarray(one["fooled_by_image"]), np.asarray(other["fooled_by_image"])


def _paired(rows: Sequence[Row]) -> list[Sheet]:
    compared = compare_with_twins(rows)
    if not compared:
        return []
    corrected = holm([comparison.p for _, _, comparison in compared])
    body = []
    for (line, group, found), p in zip(compared, corrected, strict=True):
        interval = (
            ""
            if found.interval is None
            else f"{100 * found.interval[0]:+.1f} to {100 * found.interval[1]:+.1f}"
        )
        body.append(
            [
                line.label,
                group,
                str(found.seeds),
                str(found.images),
                f"{100 * found.difference:+.1f}",
                interval,
                str(found.first_only),
                str(found.second_only),
                f"{found.p:.3g}",
                f"{p:.3g}",
            ]
        )
    notes = [
        "Points of worst-case ASR, model less twin, on the images that both classify correctly: below 0 the model is "
        "harder to fool. Over seeds: 95 % t interval of the difference.",
        "p: exact sign-flip test over images (McNemar's for one seed), given these trained models; the last column is "
        "corrected by Holm for the number of rows.",
    ]
    headings = [
        *("", "attacks", "seeds", "pairs", "points", "over seeds", "only model", "only twin", "p", "p, Holm")
    ]
    return [Sheet("Hybrid against its twin", headings, body, notes)]


def failures(rows: Sequence[Row]) -> list[Sheet]:
    """List the cells that failed, with their reasons."""
    failed = {row["digest"]: row for row in rows if row["state"] == FAILED}
    if not failed:
        return []
    body = [[row["cell"], row["failure"] or ""] for row in failed.values()]
    return [
        Sheet(
            "Failed, and set aside",
            ["cell", "why"],
            body,
            ["Try them again: qshield sweep ... --retry-failed"],
        )
    ]


def _shares(rows: Sequence[Row]) -> list[float]:
    return [row["asr"] for row in rows if row["asr"] is not None]


def _label(row: Row) -> str:
    chosen = {axis: value for axis, value in json.loads(row["choices"]).items() if axis != SEED}
    return ", ".join(chosen.values()) or str(row["model"])


def _images(rows: Sequence[Row]) -> str:
    common = sorted({row["common_images"] for row in rows if row["common_images"] is not None})
    counts = sorted({row["n"] for row in rows if row["n"] is not None})
    if not common:
        return "Nothing was attacked."
    spread = f"{common[0]}" if common[0] == common[-1] else f"{common[0]} to {common[-1]}"
    return f"ASR on the {spread} of {counts[-1]} test images that every model of a seed classifies correctly."


def _counts(rows: Sequence[Row]) -> str:
    states = {row["digest"]: row["state"] for row in rows}
    done = sum(state == DONE for state in states.values())
    failed = sum(state == FAILED for state in states.values())
    return f"{done} of {len(states)} cells done" + (f", {failed} failed" if failed else "")
