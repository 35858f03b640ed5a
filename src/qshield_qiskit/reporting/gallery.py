"""Attacked images as one sees them: clean, what was added, and the result, each with its prediction."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qshield_qiskit.reporting.robustness import Examples
from qshield_qiskit.reporting.style import INK, MUTED, PALETTE, new_figure, plain

MOST_COLUMNS = 6
_ROWS = ("clean", "added", "attacked")


def gallery(title: str, examples: Examples, note: str = "") -> Figure:
    """Draw a column for each image: clean above, the perturbation, the attacked image below.

    Args:
        title: The attack.
        examples: The images; the first six are shown, in their order.
        note: Small print.

    Returns:
        The figure. The perturbation's colours diverge from white (unchanged) and share one scale, which is stated;
        of several channels each pixel shows the one that changed most.
    """
    shown = min(len(examples.index), MOST_COLUMNS)
    added = [_most_changed(examples.adversarial[k] - examples.clean[k]) for k in range(shown)]
    scale = max(float(np.abs(image).max()) for image in added) or 1.0
    height, width = added[0].shape
    cell = 6.3 / MOST_COLUMNS
    ratio = height / width
    aspect: Literal["equal", "auto"] = (
        "equal" if 0.5 <= ratio <= 2 else "auto"
    )  # a row of features is a strip
    tall = 3 * cell * min(max(ratio, 0.3), 2)
    figure, axes = new_figure(tall + 1.6, 3, MOST_COLUMNS, note)
    figure.suptitle(plain(title), x=0.012, ha="left", fontsize=10.5, fontweight="bold", color=INK)
    for panel in axes:
        panel.set_axis_off()
    for column in range(shown):
        clean, middle, attacked = (axes[row * MOST_COLUMNS + column] for row in range(3))
        label, before = int(examples.label[column]), int(examples.clean_prediction[column])
        after = int(examples.adversarial_prediction[column])
        _show(clean, examples.clean[column], aspect)
        clean.set_title(
            f"says {before}" + ("" if before == label else f", is {label}"), fontsize=9, color=INK
        )
        map_ = middle.imshow(
            added[column], cmap="PuOr_r", vmin=-scale, vmax=scale, interpolation="nearest", aspect=aspect
        )
        middle.set_title(f"image {int(examples.index[column])}", fontsize=8, color=MUTED)
        _show(attacked, examples.adversarial[column], aspect)
        fooled = bool(examples.fooled[column])
        attacked.set_title(
            f"says {after} ✗" if fooled else f"says {after} ✓",
            fontsize=9,
            color=PALETTE[1] if fooled else INK,
            fontweight="bold" if fooled else "normal",
        )
    bar = figure.colorbar(map_, ax=axes, location="bottom", fraction=0.035, aspect=60, pad=0.02)
    bar.set_ticks(
        [-scale, 0, scale],
        labels=[f"-{scale:.3g} darker", "unchanged (pixels: 0 to 1)", f"+{scale:.3g} brighter"],
    )
    bar.ax.tick_params(labelsize=8.5, length=0, colors=INK)
    first_tick, _, last_tick = bar.ax.get_xticklabels()
    first_tick.set_horizontalalignment("left")
    last_tick.set_horizontalalignment("right")
    bar.outline.set_visible(False)
    for row, name in enumerate(_ROWS):
        first = axes[row * MOST_COLUMNS]
        first.text(
            -0.09, 0.5, name, transform=first.transAxes, rotation=90, ha="right", va="center", fontsize=9
        )
    return figure


def _most_changed(added: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each pixel take the channel that changed most, with its sign: (C, H, W) to (H, W)."""
    channel = np.abs(added).argmax(0)
    chosen: NDArray[np.float32] = np.take_along_axis(added, channel[None], 0)[0]
    return chosen


def _show(axes: Axes, image: NDArray[np.float32], aspect: Literal["equal", "auto"]) -> None:
    pixels = np.clip(image, 0, 1)
    if len(pixels) == 3:
        axes.imshow(pixels.transpose(1, 2, 0), interpolation="nearest", aspect=aspect)
    else:  # of other numbers of channels there is no colour; their mean shows the shape
        axes.imshow(pixels.mean(0), cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect=aspect)
