"""What press accounts claim for the paper, beside what its own figures say and what ours say."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qshield_qiskit.reporting.paper.ours import FULL, PAPER, Ours
from qshield_qiskit.reporting.paper.published import Published, content, published
from qshield_qiskit.reporting.sheet import Sheet

BASE, HYBRID, PLAIN = "CNN", "HQCNN-Full", "HQCNN-None"


@dataclass(frozen=True)
class Figures:
    """ASR, seconds and ODR by model and attack, whoever measured them; what is missing is left out."""

    asr: Mapping[str, Mapping[str, float]]
    seconds: Mapping[str, Mapping[str, float]]
    odr: Mapping[str, float]


def claims_sheet(paper: Published, ours: Ours) -> Sheet:
    """Lay out each claim with the published figures, and with ours computed in the same way."""
    rows = []
    for claim in content()["claims"]:
        theirs = published(claim["dataset"]) if claim["dataset"] else paper
        read = READINGS[claim["reading"]]
        mine = [read(_ours(ours, paper, group)) for group in (PAPER, FULL)]
        if (
            theirs.title != paper.title
        ):  # then a ratio can still be set beside it, an accuracy or a duration cannot
            is_ratio = claim["reading"] in RATIOS
            mine = [f"{paper.title}: {figure}" if figure and is_ratio else "" for figure in mine]
        rows.append([claim["says"], f"{theirs.title}: {read(_theirs(theirs))}", *mine])
    notes = [
        f"Hybrid: {HYBRID} against {BASE} unless said otherwise. The accounts do not say which figures they mean; the "
        f"second column is what the paper's own tables give. Ours are of {paper.dataset}."
    ]
    headings = ["press account", "the paper's own figures", "ours, its parameters", "ours, full strength"]
    return Sheet(ours.title("What press accounts claim"), headings, rows, notes)


def _theirs(paper: Published) -> Figures:
    models = paper.models.items()
    return Figures(
        {name: model["asr"] for name, model in models},
        {name: model["attack_seconds"] for name, model in models},
        {name: model["odr"] for name, model in models},
    )


def _ours(ours: Ours, paper: Published, group: str) -> Figures:
    attacks = [name for name in ours.other_attacks(group) if name in paper.attacks]

    def each(name: str) -> dict[str, dict[str, float]]:
        return {
            model: {
                attack: statistics.fmean(values)
                for attack in attacks
                if (values := ours.attacks(group, attack, name)(model))
            }
            for model in paper.models
        }

    models = paper.models if attacks else ()
    odr = {model: statistics.fmean(v) for model in models if (v := ours.cells("odr")(model))}
    return Figures(each("asr_own"), each("seconds"), odr)


def _cost(figures: Figures) -> str:
    """Compare the seconds of all attacks."""
    total = {name: sum(of.values()) for name, of in figures.seconds.items()}
    if not total.get(HYBRID) or not total.get(BASE) or not total.get(PLAIN):
        return ""
    against_cnn, against_plain = total[HYBRID] / total[BASE], total[HYBRID] / total[PLAIN]
    return f"{100 * (against_cnn - 1):+,.0f} %; against {PLAIN} {100 * (against_plain - 1):+,.0f} %"


def _mean_change(figures: Figures) -> str:
    """Average the change of ASR over the attacks."""
    hybrid, base = figures.asr.get(HYBRID) or {}, figures.asr.get(BASE) or {}
    both = [name for name in base if name in hybrid]
    if not both:
        return ""
    points = statistics.fmean(hybrid[name] - base[name] for name in both)
    mean = statistics.fmean(base[name] for name in both)
    relative = f", {100 * points / mean:+.0f} %" if mean else ""
    return f"{100 * points:+.1f} points{relative}, mean of {len(both)} attacks"


def _largest_drop(figures: Figures) -> str:
    """Look for the attack and the hybrid with the largest relative drop of ASR."""
    base = figures.asr.get(BASE) or {}
    drops = [
        (of[attack] / base[attack] - 1, attack, name)
        for name, of in figures.asr.items()
        if name.startswith("HQCNN")
        for attack in of
        if base.get(attack)
    ]
    if not drops:
        return ""
    drop, attack, name = min(drops)
    return f"{100 * drop:+.2f} %: {attack}, {name}"


def _odr(figures: Figures) -> str:
    """Give the hybrid's accuracy beside the CNN's."""
    if HYBRID not in figures.odr or BASE not in figures.odr:
        return ""
    return f"{100 * figures.odr[HYBRID]:.2f} % ({BASE} {100 * figures.odr[BASE]:.2f} %)"


def _slowest(figures: Figures) -> str:
    """Look for the attack that took longest."""
    all_seconds = [
        (seconds, attack, name) for name, of in figures.seconds.items() for attack, seconds in of.items()
    ]
    if not all_seconds:
        return ""
    seconds, attack, name = max(all_seconds)
    return f"{seconds:,.0f} s: {attack}, {name}"


RATIOS = {"cost", "mean_change", "largest_drop"}
"""Readings that compare models."""

READINGS: dict[str, Callable[[Figures], str]] = {
    "cost": _cost,
    "mean_change": _mean_change,
    "largest_drop": _largest_drop,
    "odr": _odr,
    "slowest": _slowest,
}
"""How a claim is read, by name."""
