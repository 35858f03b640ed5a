"""Which figures a sweep's report has: panels of models, a row a part of the grid and a panel a group of attacks."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from qshield_qiskit.intervals import t_interval, wilson_interval
from qshield_qiskit.reporting.plates import Plate
from qshield_qiskit.reporting.robustness import WORST_CASE
from qshield_qiskit.reporting.sweep_figures import MARKS, Estimate, Panel, differences, worst_cases
from qshield_qiskit.reporting.sweep_lines import (
    SEED,
    AgainstTwin,
    Line,
    Row,
    compare_with_twins,
    groups,
    lines,
    verdict_note,
)
from qshield_qiskit.reporting.titles import ball_title, span

HATCHED = (
    "Hatched rows are not to be quoted as robustness: attacks failed there, or may have failed, for reasons that have "
    "nothing to do with it."
)


class Entry(NamedTuple):
    """A model's figure under one group of attacks: where it stands, and what it is of."""

    part: tuple[str, ...]
    group: str
    estimate: Estimate
    norm: str
    epsilon: float
    images: Sequence[int]  # by seed, or all pairs


class Layout:
    """Which axis of a grid names the models of a panel; the others make panels.

    It is the first axis of several values that is more than a choice of data sets.

    Args:
        rows: Of a sweep.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        datasets: dict[str, dict[str, set[str]]] = {}  # by axis and its value
        for row in rows:
            for axis, value in _choices(row).items():
                datasets.setdefault(axis, {}).setdefault(value, set()).add(row["dataset"])
        varied = [axis for axis, values in datasets.items() if len(values) > 1]
        models = [axis for axis in varied if not _are_disjoint(datasets[axis].values())]
        self.axis = next(iter([*models, *varied]), None)
        self.others = [axis for axis in varied if axis != self.axis]

    def model(self, line: Line) -> str:
        """Name a model within its panel."""
        return line.label if self.axis is None else _choices(line.rows[0])[self.axis]

    def part(self, line: Line) -> tuple[str, ...]:
        """Name the part of the grid that a model is in, by the other axes; empty if there are none."""
        chosen = _choices(line.rows[0])
        return tuple(f"{_axis_title(axis)} {chosen[axis]}" for axis in self.others)


def sweep_plates(rows: Sequence[Row]) -> dict[str, Plate]:
    """Draw what a reader of a sweep looks for first: worst cases, and hybrids less their twins.

    Args:
        rows: Of results.parquet.

    Returns:
        By heading; without the figure of what was not done, or has no twin.
    """
    layout = Layout(rows)
    worst = [entry for line in lines(rows) for group in groups(rows) for entry in _worst(layout, line, group)]
    less_twins = [_difference(layout, pair) for pair in compare_with_twins(rows)]
    plates = {}
    if worst:
        plates["Worst-case attack success"] = _worst_plate(worst, rows)
    if less_twins:
        plates["Models less their twins"] = _difference_plate(less_twins, rows)
    return plates


def _worst(layout: Layout, line: Line, group: str) -> list[Entry]:
    """Give a model's worst case on the common images of each seed; nothing where there are none."""
    rows = {row["seed"]: row for row in line.attacks(group, WORST_CASE) if row["asr"] is not None}
    if not rows:
        return []
    one, *others = rows.values()
    shares = [row["asr"] for row in rows.values()]
    estimate = Estimate(
        layout.model(line),
        line.worst_verdict,
        statistics.fmean(shares),
        t_interval(shares) or wilson_interval(round(one["asr"] * one["common_images"]), one["common_images"]),
        over_images=not others,
        seeds=[rows[seed]["asr"] if seed in rows else math.nan for seed in line.seeds()],
    )
    images = [row["common_images"] for row in rows.values()]
    return [Entry(layout.part(line), group, estimate, one["norm"], one["epsilon"], images)]


def _difference(layout: Layout, pair: AgainstTwin) -> Entry:
    """Give a hybrid less its twin; the worse of both verdicts says what that is worth."""
    line, twin, group, found = pair
    verdict = max(line.worst_verdict, twin.worst_verdict, key=list(MARKS).index)
    estimate = Estimate(layout.model(line), verdict, found.difference, found.interval)
    worst = line.attacks(group, WORST_CASE)[0]
    return Entry(layout.part(line), group, estimate, worst["norm"], worst["epsilon"], [found.images])


def _worst_plate(entries: Sequence[Entry], rows: Sequence[Row]) -> Plate:
    panels = _panels(entries, groups(rows), "ASR, {ball} (n = {images})")
    caption = (
        "Fooled by any bounded attack of the group, of the n images that every model of a seed classifies correctly: "
        "lower is more robust. Dots are single seeds, the same seed at the same height. The large mark is their mean, "
        "with Student's 95 % interval over seeds; of one seed alone, with Wilson's over images. " + HATCHED
    )
    alt = f"Dot chart of worst-case attack success. {_in_words(panels, '{:.1f} %')}"
    return Plate("worst_case", worst_cases(panels, _small_print(rows)), alt, caption)


def _difference_plate(entries: Sequence[Entry], rows: Sequence[Row]) -> Plate:
    panels = _panels(
        entries, groups(rows), "← harder to fool    easier to fool →\npoints, {ball} ({images} pairs)"
    )
    caption = (
        "Worst-case ASR of each model with a second branch less that of its twin without, on the images that both "
        "classify correctly: left of the line the model is harder to fool, right of it easier. Mean over seeds, with "
        "Student's 95 % interval where there are several, as in the table. The verdict is the worse of the two. "
        + HATCHED
    )
    alt = f"Dot chart of models less their twins. {_in_words(panels, '{:+.1f} points')}"
    return Plate("hybrid_less_twin", differences(panels, _small_print(rows)), alt, caption)


def _panels(entries: Sequence[Entry], named: Sequence[str], about: str) -> list[list[Panel]]:
    """Sort figures into panels: a row a part of the grid, with the same models in each of its panels."""
    panels = []
    for part in dict.fromkeys(entry.part for entry in entries):
        here = [entry for entry in entries if entry.part == part]
        blank = {e.estimate.label: Estimate(e.estimate.label, e.estimate.verdict, None) for e in here}
        row = []
        for group in named:
            mine = [entry for entry in here if entry.group == group]
            if not mine:
                continue
            shown = blank | {entry.estimate.label: entry.estimate for entry in mine}
            ball = ", ".join(
                ball_title(*ball) for ball in sorted({(entry.norm, entry.epsilon) for entry in mine})
            )
            images = span(sorted({count for entry in mine for count in entry.images}))
            row.append(Panel((*part, group), about.format(ball=ball, images=images), list(shown.values())))
        panels.append(row)
    return panels


def _in_words(panels: Sequence[Sequence[Panel]], share: str) -> str:
    """Say what is drawn to those who cannot see it; `share` formats percents."""
    return " ".join(
        f"{', '.join(panel.title)}: "
        + "; ".join(
            f"{estimate.label} {share.format(100 * estimate.value)}, {MARKS[estimate.verdict].words}"
            for estimate in panel.estimates
            if estimate.value is not None
        )
        + "."
        for row in panels
        for panel in row
    )


def _small_print(rows: Sequence[Row]) -> str:
    seeds = sorted({row["seed"] for row in rows})
    return f"Seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}. {verdict_note(rows)}"


def _choices(row: Row) -> dict[str, str]:
    """Give the values of a cell's axes but for the seed."""
    choices: dict[str, str] = json.loads(row["choices"])
    return {axis: value for axis, value in choices.items() if axis != SEED}


def _are_disjoint(sets: Iterable[set[str]]) -> bool:
    """Say whether no two sets share a member."""
    each = list(sets)
    return sum(map(len, each)) == len(set().union(*each))


def _axis_title(axis: str) -> str:
    """Name an axis by the last word of its setting.

    >>> _axis_title("training.defence.name"), _axis_title("dataset"), _axis_title("training.epochs")
    ('defence', 'dataset', 'epochs')
    """
    return axis.removesuffix(".name").rpartition(".")[2]
