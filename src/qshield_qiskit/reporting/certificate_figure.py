"""The chart of certificates: certified accuracy over radius, and beneath what attack it lies; data to Figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.reporting.style import (
    LINES,
    PALETTE,
    WORST_COLOUR,
    legend_above,
    new_figure,
    shorten,
    tidy,
)
from qshield_qiskit.reporting.titles import norm_title, span

POINTS = 400
"""Radii at which a curve is drawn."""

DECADES = 3
"""The radii that are drawn span at most so many powers of ten, down from the largest."""


@dataclass(frozen=True)
class RadiusCurve:
    """A share of images over radius.

    Attributes:
        label: The certificate, or the attacks; the model if there are several.
        norm: Norm of the radii.
        radii: (N,), the radius up to which an image counts; -1 where it never does, infinite where it always does.
        attacked: Whether it is what attacks left, and not what is certified.
    """

    label: str
    norm: str
    radii: NDArray[np.float64]
    attacked: bool = False

    def share(self, radius: float) -> float:
        """Give the share of images that count at a radius."""
        return (
            float((self.radii >= radius).mean()) if not self.attacked else float((self.radii > radius).mean())
        )


def certificate_curves(curves: Sequence[RadiusCurve], note: str = "") -> Figure:
    """Draw certified accuracy over radius, one panel a norm, with what the attacks left in black.

    Args:
        curves: Certificates and attacks, of one or several models and norms.
        note: Small print.
    """
    norms = list(dict.fromkeys(curve.norm for curve in curves))
    figure, panels = new_figure(3.7 + 0.15 * len(curves), 1, len(norms), note)
    labels = list(dict.fromkeys(curve.label for curve in curves if not curve.attacked))
    blacks = list(dict.fromkeys(curve.label for curve in curves if curve.attacked))
    for panel, norm in zip(panels, norms, strict=True):
        mine = [curve for curve in curves if curve.norm == norm]
        low, high = _range(mine)
        radii = np.geomspace(low, high, POINTS)
        for curve in mine:
            position = (blacks if curve.attacked else labels).index(curve.label)
            shares = [curve.share(radius) for radius in radii]
            bands = np.array([wilson_interval(round(s * len(curve.radii)), len(curve.radii)) for s in shares])
            colour = WORST_COLOUR if curve.attacked else PALETTE[position % len(PALETTE)]
            panel.fill_between(radii, bands[:, 0], bands[:, 1], color=colour, alpha=0.1, linewidth=0)
            panel.plot(
                radii,
                shares,
                color=colour,
                linestyle=LINES[position % len(LINES)],
                linewidth=2.0 if curve.attacked else 1.7,
                label=shorten(curve.label),
            )
        panel.set_xscale("log")
        panel.set_xlim(low, high)
        panel.set_ylim(-0.02, 1.02)
        panel.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        panel.set_xlabel(f"radius of the {norm_title(norm)} ball (logarithmic)")
        counts = span(sorted({len(curve.radii) for curve in mine}))
        tidy(panel, f"{norm_title(norm)} (n = {counts})", grid="both")
    panels[0].set_ylabel("images right within the radius")
    entries: dict[str, Artist] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(str(label), handle)
    order = [shorten(label) for label in (*labels, *blacks)]
    legend_above(figure, {label: entries[label] for label in dict.fromkeys(order)})
    return figure


def _range(curves: Sequence[RadiusCurve]) -> tuple[float, float]:
    """Choose the radii to draw: all that anything happens at, within some decades."""
    steps = np.concatenate([curve.radii[np.isfinite(curve.radii) & (curve.radii > 0)] for curve in curves])
    if not len(steps):
        return 1e-3, 1.0
    high = 1.15 * float(steps.max())
    return max(0.6 * float(np.quantile(steps, 0.01)), high * 10.0**-DECADES), high
