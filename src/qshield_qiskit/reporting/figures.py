"""The report's charts: attack success, robust accuracy over epsilon, norms, the fusion's weight; data to Figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from qshield_qiskit.reporting.comparison import Compared, Curve, Share
from qshield_qiskit.reporting.robustness import WORST_CASE
from qshield_qiskit.reporting.style import (
    INK,
    LINES,
    MARKERS,
    MUTED,
    PALETTE,
    WORST_COLOUR,
    legend_above,
    new_figure,
    plain,
    shorten,
    tidy,
)
from qshield_qiskit.reporting.titles import attack_title, norm_title

MOST_BANDS = 5
"""More bands than this in a panel are drawn paler, since they overlap."""


@dataclass(frozen=True)
class Norms:
    """How large the perturbations of one attack on one model are.

    Attributes:
        label: The attack, and the model if there are several.
        norm: Name of the norm.
        fooled: (F,) of the images that were fooled.
        withstood: How many attacked images were not.
    """

    label: str
    norm: str
    fooled: NDArray[np.float32]
    withstood: int


@dataclass(frozen=True)
class Weights:
    """The quantum branch's share of the fusion under one attack on one model.

    Attributes:
        label: The attack, and the model if there are several.
        clean: (A,), [0, 1], of the attacked images before.
        attacked: (A,), [0, 1], of the same images under attack.
    """

    label: str
    clean: NDArray[np.float32]
    attacked: NDArray[np.float32]


def asr_bars(names: Sequence[str], compared: Sequence[Compared], note: str = "") -> Figure:
    """Draw attack success as bars with 95 % Wilson intervals, the models of one attack side by side.

    Args:
        names: Of the models.
        compared: Their success, attack by attack.
        note: Small print.
    """
    bars = len(compared) * len(names)
    figure, (axes,) = new_figure(
        0.95 + 0.27 * bars + 0.16 * len(compared) + 0.2 * (len(names) > 1), note=note
    )
    place, ticks = 0.0, []
    for attack in compared:
        start = place
        for model, share in enumerate(attack.shares):
            colour = PALETTE[model % len(PALETTE)]
            letter = f"{names[model].split()[0]}  " if len(names) > 1 else ""
            _bar(figure, place, share, colour, letter, attack.key.attack == WORST_CASE)
            place += 1.0
        ticks.append((start + place - 1) / 2)
        place += 0.6
    axes.set_yticks(ticks, [plain(shorten(attack.title)) for attack in compared])
    axes.set_ylim(place - 1.0, -0.7)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    axes.set_xlabel("attack success rate: fooled / attacked")
    tidy(axes, "Attack success (lower is more robust)", grid="x")
    axes.tick_params(axis="y", length=0)
    if len(names) > 1:
        for model, name in enumerate(names):
            axes.barh([np.nan], [np.nan], color=PALETTE[model % len(PALETTE)], alpha=0.55, label=name)
        legend_above(figure, _entries([axes]))
    return figure


def _bar(figure: Figure, place: float, share: Share | None, colour: str, letter: str, strong: bool) -> None:
    axes = figure.axes[0]
    if share is None or share.n == 0:
        reason = "not run" if share is None else "no common image"
        axes.text(0.008, place, f"{letter}{reason}", va="center", fontsize=8.5, color=MUTED)
        return
    axes.barh(place, share.value, height=0.8, color=colour, alpha=0.75 if strong else 0.5)
    axes.plot([share.low, share.high], [place, place], "|-", color=INK, linewidth=1.1, markersize=5)
    axes.annotate(
        f"{letter}{100 * share.value:.1f} %  ({share.count}/{share.n})",
        (share.high, place),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=8.5,
        color=INK,
        fontweight="bold" if strong else "normal",
        annotation_clip=False,
    )


def epsilon_curves(names: Sequence[str], curves: Sequence[Curve], note: str = "") -> Figure:
    """Draw robust accuracy over epsilon, one panel a norm: colour and marker tell the attack, the dash the model.

    Args:
        names: Of the models.
        curves: Of one or several attacks, norms and models.
        note: Small print.
    """
    norms = list(dict.fromkeys(curve.key.norm for curve in curves))
    figure, panels = new_figure(3.7, 1, len(norms), note)
    attacks = list(dict.fromkeys(curve.key._replace(norm="") for curve in curves))
    for panel, norm in zip(panels, norms, strict=True):
        mine = [curve for curve in curves if curve.key.norm == norm]
        for curve in mine:
            kind = attacks.index(curve.key._replace(norm=""))
            strong = curve.key.attack == WORST_CASE
            colour = WORST_COLOUR if strong else PALETTE[kind % len(PALETTE)]
            shares = curve.shares
            panel.fill_between(
                curve.epsilons,
                [share.low for share in shares],
                [share.high for share in shares],
                color=colour,
                alpha=0.13 if len(mine) <= MOST_BANDS else 0.06,
                linewidth=0,
            )
            panel.plot(
                curve.epsilons,
                [share.value for share in shares],
                color=colour,
                linestyle=LINES[curve.subject % len(LINES)],
                marker=MARKERS[(kind + 3 * curve.subject) % len(MARKERS)],
                markersize=4.5,
                clip_on=False,
                linewidth=1.6,
                zorder=2.5 if strong else 2,
                label=_curve_label(curve, names),
            )
        panel.set_ylim(-0.02, 1.02)
        panel.set_xlim(left=0)
        panel.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        panel.set_xlabel(f"radius ε of the {norm_title(norm)} ball")
        tidy(panel, f"Robust accuracy, {norm_title(norm)} (n = {mine[0].shares[0].n})", grid="both")
    panels[0].set_ylabel("images still right")
    legend_above(figure, _entries(panels))
    return figure


def _curve_label(curve: Curve, names: Sequence[str]) -> str:
    target = "" if curve.key.target is None else f", target {curve.key.target}"
    label = f"{attack_title(curve.key.attack)}{target}{', transferred' if curve.key.transferred else ''}"
    return shorten(f"{names[curve.subject].split()[0]}  {label}" if len(names) > 1 else label)


def norm_distributions(samples: Sequence[Norms], note: str = "") -> Figure:
    """Draw how large minimum-norm perturbations are: the share of images fooled by no more than so much.

    Args:
        samples: A curve each; it levels off below 100 % where images withstood.
        note: Small print.
    """
    norms = list(dict.fromkeys(sample.norm for sample in samples))
    figure, panels = new_figure(3.3 + 0.2 * len(samples), 1, len(norms), note)
    for panel, norm in zip(panels, norms, strict=True):
        mine = [(k, sample) for k, sample in enumerate(samples) if sample.norm == norm]
        largest = max((float(s.fooled.max()) for _, s in mine if len(s.fooled)), default=1.0) or 1.0
        for k, sample in mine:
            _distribution(panel, sample, 1.05 * largest, k)
        panel.set_ylim(0, 1.02)
        panel.set_xlim(0, 1.05 * largest)
        panel.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        panel.set_xlabel(f"{norm_title(norm)} norm (right is more robust)")
        tidy(panel, f"Smallest {norm_title(norm)} that fools", grid="both")
    panels[0].set_ylabel("attacked images fooled")
    legend_above(figure, _entries(panels))
    return figure


def _distribution(panel: Axes, sample: Norms, end: float, position: int) -> None:
    values = np.sort(sample.fooled)
    total = len(values) + sample.withstood
    shares = np.arange(1, len(values) + 1) / max(total, 1)
    style = {"color": PALETTE[position % len(PALETTE)], "linestyle": LINES[position % len(LINES)]}
    words = f"median {np.median(values):.3g}" if len(values) else "none fooled"
    panel.step(
        np.concatenate([[0], values, [end]]),
        np.concatenate([[0], shares, shares[-1:] if len(values) else [0]]),
        where="post",
        linewidth=1.7,
        marker=MARKERS[position % len(MARKERS)],
        markevery=[],
        label=f"{sample.label}: {words} ({len(values)} of {total})",
        **style,  # type: ignore[arg-type]
    )
    if len(values):
        middle, height = float(np.median(values)), len(values) / total / 2
        panel.plot([middle], [height], MARKERS[position % len(MARKERS)], color=style["color"], markersize=7)
        panel.vlines(middle, 0, height, color=style["color"], linewidth=1, linestyle=":")


def quantum_weights(samples: Sequence[Weights], note: str = "", columns: int = 3) -> Figure:
    """Draw the share that the fusion gives the quantum branch, on clean images and on the same under attack.

    Args:
        samples: A panel each.
        note: Small print.
        columns: Panels side by side, at most.
    """
    columns = min(len(samples), columns)
    rows = -(-len(samples) // columns)
    figure, panels = new_figure(0.75 + 2.25 * rows, rows, columns, note)
    for panel in panels[len(samples) :]:
        panel.set_axis_off()
    for k, (panel, sample) in enumerate(zip(panels, samples, strict=False)):
        edges = np.linspace(0, 1, 26).tolist()
        panel.hist(sample.clean, edges, color=PALETTE[5], alpha=0.5, histtype="stepfilled", label="clean")
        panel.hist(
            sample.attacked,
            edges,
            color=PALETTE[1],
            linewidth=1.6,
            histtype="step",
            label="attacked",
        )
        before, after = float(np.median(sample.clean)), float(np.median(sample.attacked))
        panel.axvline(before, color=PALETTE[0], linewidth=1.2, label="median clean")
        panel.axvline(after, color=PALETTE[1], linewidth=1.2, linestyle="--", label="median attacked")
        panel.set_xlim(0, 1)
        panel.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        panel.yaxis.set_major_locator(MaxNLocator(4, integer=True, steps=[1, 2, 5, 10]))
        tidy(panel, shorten(sample.label))
        panel.title.set_fontsize(9)
        panel.set_xlabel(
            f"share of the quantum branch\nmedian {100 * before:.0f} % to {100 * after:.0f} %, n = {len(sample.clean)}",
            fontsize=8.5,
        )
        if k % columns == 0:
            panel.set_ylabel("images", fontsize=9)
    legend_above(figure, _entries(panels))
    return figure


def _entries(panels: Sequence[Axes]) -> dict[str, Artist]:
    """What a legend of all panels has to tell, each label once."""
    entries: dict[str, Artist] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(str(label), handle)
    return entries
