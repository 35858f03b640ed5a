"""How figures look and how they become files: one palette, one paper, no state of pyplot."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
"""Okabe and Ito's colours, which colour-blind eyes tell apart; brown for the yellow that paper swallows."""

INK = "#1f2933"
MUTED = "#5b6672"
GRID = "#e3e7eb"
WIDTH = 7.0
"""Inches; so that text of nine points is still read on a telephone."""

WORST_COLOUR = "#000000"
"""Of the worst case, in every chart."""

DPI = 200
"""Of figures as PNG."""

LINES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LONGEST_LABEL = 46


def new_figure(height: float, rows: int = 1, columns: int = 1, note: str = "") -> tuple[Figure, list[Axes]]:
    """Make a figure of the report's width.

    Args:
        height: Inches.
        rows: Of axes.
        columns: Of axes.
        note: Small print below: what n and the intervals are, and the verdict.

    Returns:
        The figure and its axes, row by row.
    """
    lines = [line for part in note.split("\n") for line in textwrap.wrap(part, 112)]
    figure = Figure(figsize=(WIDTH, height + 0.17 * len(lines)), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    if lines:
        small = plain("\n".join(lines))
        figure.supxlabel(small, x=0.012, ha="left", fontsize=8, color=MUTED, linespacing=1.35)
    grid = figure.subplots(rows, columns, squeeze=False)
    return figure, [axes for row in grid for axes in row]


def tidy(axes: Axes, title: str, *, grid: str = "y") -> None:
    """Take away what carries no information, and title the axes at their left."""
    axes.set_title(plain(title), loc="left", fontsize=10.5, fontweight="bold", color=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#9aa5b1")
    axes.tick_params(colors=INK, labelsize=9, length=3, color="#9aa5b1")
    axes.xaxis.label.set(color=INK, fontsize=9.5)
    axes.yaxis.label.set(color=INK, fontsize=9.5)
    axes.set_axisbelow(True)
    axes.grid(axis="both" if grid == "both" else "y" if grid == "y" else "x", color=GRID, linewidth=0.8)


def legend_above(figure: Figure, entries: Mapping[str, Artist]) -> None:
    """Put one legend above all axes, in as many columns as its labels leave room for."""
    names = [plain(shorten(label)) for label in entries]
    columns = max(1, min(len(names), int(104 / (max(map(len, names)) + 9))))
    figure.legend(
        list(entries.values()),
        names,
        loc="outside upper left",
        ncols=columns,
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )


def plain(text: str) -> str:
    """Keep matplotlib from reading a dollar sign as mathematics."""
    return text.replace("$", r"\$")


def shorten(text: str, longest: int = LONGEST_LABEL) -> str:
    """Cut a label of more characters than would leave the figure its room."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def render(figure: Figure, name: str) -> tuple[bytes, bytes]:
    """Draw a figure as PNG and as SVG, the same bytes each time.

    Args:
        figure: The figure.
        name: Seeds the identifiers within the SVG.
    """
    pixels, vectors = io.BytesIO(), io.BytesIO()
    tight: dict[str, Any] = {"bbox_inches": "tight", "pad_inches": 0.08}
    figure.set_dpi(DPI)  # at which text has another width than at matplotlib's 100
    if figure.get_layout_engine() is not None:  # it fits already; laying it out once is enough
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        tight = {}
    with mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "path"}):
        figure.savefig(pixels, format="png", dpi=DPI, **tight)
        figure.savefig(vectors, format="svg", dpi=DPI, metadata={"Date": None}, **tight)
    return pixels.getvalue(), vectors.getvalue()
