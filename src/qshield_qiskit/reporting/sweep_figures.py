"""The charts of a sweep: the worst case of each model, and hybrids less their twins; data to Figure.

What the verdict does not vouch for stands on a hatched row, with the verdict's words below the model's name: in grey,
and from afar, it is told apart from what may be believed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from qshield_qiskit.reporting.style import (
    INK,
    MUTED,
    PALETTE,
    legend_above,
    new_figure,
    plain,
    shorten,
    tidy,
)

COLUMNS = 2
"""Panels side by side."""

LONGEST_NAME = 24
"""Characters of a model's name; a longer one would leave the panels too little room."""

LONGEST_TITLE = 28
"""Characters of a line of a panel's title; a longer one would run into the next panel."""

SCALES = (0.1, 0.25, 0.5, 1.0)
"""Where the axis of success may end: differences between models that resist are small."""

HATCH = "#c3cad1"


class Mark(NamedTuple):
    """How figures of one verdict look."""

    words: str
    marker: str
    colour: str
    filled: bool
    hatch: str  # of the row; empty for none
    dash: Literal["-", "--", ":"]


MARKS = {
    "no masking detected": Mark("no masking detected", "o", PALETTE[0], True, "", "-"),
    "": Mark("not judged", "o", MUTED, False, "", "-"),
    "suspect": Mark("suspect", "D", PALETTE[6], False, "///", "--"),
    "masking detected": Mark("masking detected", "X", PALETTE[1], True, "xxxx", ":"),
}
"""By verdict, the best first; empty where there is none yet."""


@dataclass(frozen=True)
class Estimate:
    """A figure of one model.

    Attributes:
        label: The model.
        verdict: On the figure; empty where there is none yet.
        value: Mean over seeds, of a share or of a difference of shares; None where there is no figure.
        interval: Its 95 % interval, if there is one.
        over_images: Whether the interval is over the images of a single seed, and not over seeds.
        seeds: (S,), the figures of the single seeds; nan where a seed has none. Empty: they are not drawn.
    """

    label: str
    verdict: str
    value: float | None
    interval: tuple[float, float] | None = None
    over_images: bool = False
    seeds: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """Models under one group of attacks.

    Attributes:
        title: What tells the panel from the others, line by line.
        about: Stands below the axis: the ball, and of how many images the figures are.
        estimates: Of the models, from above.
    """

    title: Sequence[str]
    about: str
    estimates: Sequence[Estimate]


def worst_cases(panels: Sequence[Sequence[Panel]], note: str = "") -> Figure:
    """Draw the worst-case ASR of each model: a dot a seed, and the mean with its interval.

    Args:
        panels: Those of a row list the same models. All have one scale from 0, the smallest of `SCALES` that holds
            them.
        note: Small print.
    """
    figure, drawn = _draw(panels, note)
    estimates = [estimate for _, panel in drawn for estimate in panel.estimates if estimate.value is not None]
    shares = [share for e in estimates for share in (e.value or 0.0, *(e.interval or ()), *e.seeds)]
    farthest = max((min(share, 1.0) for share in shares if math.isfinite(share)), default=1.0)
    end = next(scale for scale in SCALES if farthest <= scale)
    ticks = [end * quarter / 4 for quarter in range(5)]
    for axes, _ in drawn:
        axes.set_xlim(-0.03 * end, 1.03 * end)
        axes.set_xticks(ticks, ["" if k % 2 else f"{100 * tick:g} %" for k, tick in enumerate(ticks)])
    return figure


def differences(panels: Sequence[Sequence[Panel]], note: str = "") -> Figure:
    """Draw the worst-case ASR of hybrids less that of their twins, with intervals and a line at 0.

    Args:
        panels: Those of a row list the same hybrids.
        note: Small print.
    """
    figure, drawn = _draw(panels, note)
    reach = _reach([estimate for _, panel in drawn for estimate in panel.estimates])
    for axes, _ in drawn:
        axes.axvline(0, color=INK, linewidth=1.1, zorder=1.5)
        axes.set_xlim(-reach, reach)
        axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:+.3g}" if share else "0")
        axes.locator_params(axis="x", nbins=6)
    return figure


def _draw(panels: Sequence[Sequence[Panel]], note: str) -> tuple[Figure, list[tuple[Axes, Panel]]]:
    """Lay panels out, at most `COLUMNS` side by side, with the models' names at the left of each row."""
    columns = min(COLUMNS, max(map(len, panels)))
    rows = [each[start : start + columns] for each in panels for start in range(0, len(each), columns)]
    heights = [0.6 + 0.16 * len(row[0].title) + sum(map(_height, row[0].estimates)) for row in rows]
    figure, axes = new_figure(0.4 + sum(heights), len(rows), columns, note)
    axes[0].get_gridspec().set_height_ratios(heights)  # type: ignore[union-attr]
    figure.set_layout_engine("constrained", wspace=0.06)  # the axes' last labels do not touch
    drawn = []
    for number, row in enumerate(rows):
        for column in range(columns):
            panel_axes = axes[number * columns + column]
            if column >= len(row):
                panel_axes.set_axis_off()
                continue
            _panel(panel_axes, row[column], named=column == 0)
            drawn.append((panel_axes, row[column]))
    legend_above(figure, _legend([estimate for _, panel in drawn for estimate in panel.estimates]))
    return figure, drawn


def _height(estimate: Estimate) -> float:
    """Give the inches of a model's row, which holds a second line where the verdict is to be read."""
    return 0.37 if MARKS[estimate.verdict].hatch else 0.29


def _panel(axes: Axes, panel: Panel, *, named: bool) -> None:
    heights = [_height(estimate) for estimate in panel.estimates]
    edges = np.concatenate([[0.0], np.cumsum(heights)])  # (M + 1,), inches
    for top, bottom, estimate in zip(edges[:-1], edges[1:], panel.estimates, strict=True):
        _row(axes, float(top), float(bottom), estimate)
    names = [_name(estimate) if named else "" for estimate in panel.estimates]
    axes.set_yticks((edges[:-1] + edges[1:]) / 2, names)
    axes.set_ylim(float(edges[-1]), 0)
    axes.set_xlabel(plain(panel.about))
    tidy(axes, "\n".join(shorten(line, LONGEST_TITLE) for line in panel.title), grid="x")
    axes.title.set_fontsize(9.5)
    axes.xaxis.label.set_fontsize(8.5)
    axes.tick_params(axis="y", length=0, labelsize=8.5)


def _row(axes: Axes, top: float, bottom: float, estimate: Estimate) -> None:
    """Draw one model between two heights, in inches: its mean and interval above, its seeds below."""
    if estimate.value is None:
        place = (top + bottom) / 2
        axes.text(
            0.02,
            place,
            "no figure",
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8.5,
            color=MUTED,
        )
        return
    mark = MARKS[estimate.verdict]
    if mark.hatch:
        gap = 0.04 * (bottom - top)
        span = axes.axhspan(top + gap, bottom - gap, hatch=mark.hatch, linewidth=0, zorder=0)
        span.set(facecolor="none", edgecolor=HATCH)
    several = len(estimate.seeds) > 1
    middle = top + (0.33 if several else 0.5) * (bottom - top)
    if estimate.interval is not None:
        axes.add_line(_whisker(estimate.interval, middle, mark, over_images=estimate.over_images))
    axes.add_line(_point(mark, estimate.value, middle))
    if several:
        heights = top + np.linspace(0.6, 0.84, len(estimate.seeds)) * (bottom - top)
        axes.plot(estimate.seeds, heights, ".", color=INK, markersize=3.5)


def _point(mark: Mark, value: float = math.nan, place: float = math.nan) -> Line2D:
    return Line2D(
        [value],
        [place],
        linestyle="none",
        marker=mark.marker,
        markersize=6.5,
        color=mark.colour,
        markerfacecolor=mark.colour if mark.filled else "white",
        markeredgewidth=1.4,
        zorder=3,
    )


def _whisker(interval: tuple[float, float], place: float, mark: Mark, *, over_images: bool) -> Line2D:
    return Line2D(
        list(interval),
        [place, place],
        color=mark.colour,
        linestyle=mark.dash,
        linewidth=0.9 if over_images else 1.8,
        marker="" if over_images else "|",
        markersize=6,
        zorder=2,
    )


def _name(estimate: Estimate) -> str:
    mark = MARKS[estimate.verdict]
    name = plain(shorten(estimate.label, LONGEST_NAME))
    return f"{name}\n{mark.words.upper()}" if mark.hatch else name


def _legend(estimates: Sequence[Estimate]) -> dict[str, Artist]:
    """Explain what occurs."""
    shown = [estimate for estimate in estimates if estimate.value is not None]
    verdicts = {estimate.verdict for estimate in shown}
    entries: dict[str, Artist] = {
        mark.words: _point(mark) for verdict, mark in MARKS.items() if verdict in verdicts
    }
    if any(len(estimate.seeds) > 1 for estimate in shown):
        entries["one seed"] = Line2D([], [], linestyle="none", marker=".", markersize=3.5, color=INK)
    for over_images, words in ((False, "95 % over seeds"), (True, "95 % over images, one seed")):
        if any(estimate.interval and estimate.over_images == over_images for estimate in shown):
            entries[words] = Line2D([], [], color=INK, linewidth=0.9 if over_images else 1.8)
    return entries


def _reach(estimates: Sequence[Estimate]) -> float:
    """Choose how far from 0 to draw: all means, and their intervals up to a difference of 100 points."""
    ends = [end for estimate in estimates for end in (estimate.interval or ())]
    values = [estimate.value for estimate in estimates if estimate.value is not None]
    farthest = max([0.05, *map(abs, values), *map(abs, ends)])
    return min(1.08 * farthest, 1.05)
