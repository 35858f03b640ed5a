"""The paper's tables, ours beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from qshield_qiskit.reporting.paper.claims import claims_sheet
from qshield_qiskit.reporting.paper.ours import FULL, PAPER, Ours
from qshield_qiskit.reporting.paper.published import Published
from qshield_qiskit.reporting.robustness import WORST_CASE
from qshield_qiskit.reporting.sheet import Sheet
from qshield_qiskit.reporting.sweep_lines import verdict_note
from qshield_qiskit.reporting.sweep_table import percent
from qshield_qiskit.reporting.titles import attack_title, weak_notes

CNN = "CNN"
Figure = Callable[[str], float | None]
"""A model's figure by the model's name."""


def paper_sheets(paper: Published, ours: Ours) -> list[Sheet]:
    """Lay out the paper's tables with our columns beside them.

    Args:
        paper: Its figures.
        ours: Of a sweep over its six models; may be empty.
    """
    return [_accuracy(paper, ours), _attacks(paper, ours), _seconds(paper, ours), claims_sheet(paper, ours)]


def _accuracy(paper: Published, ours: Ours) -> Sheet:
    def cost(model: str) -> float | None:
        return float(paper.models[model]["total_seconds"])

    rows = _Rows(paper.models)
    rows.part("Clean accuracy (ODR) %")
    rows.shares("published", lambda model: [paper.models[model]["odr"]])
    rows.shares("ours", ours.cells("odr"))
    rows.part("Accuracy on training images %")
    rows.shares("published", lambda model: [paper.models[model]["train_accuracy"]])
    rows.shares("ours", ours.cells("train_accuracy"))
    rows.part("Cost of training and test, seconds")
    rows.numbers("published", cost)
    rows.numbers("ours", ours.cost)
    rows.part(f"The same, relative to the {CNN} of the same run")
    rows.ratios("published", cost)
    rows.ratios("ours", ours.cost)
    return Sheet(
        ours.title(f"{_title(paper)}: accuracy and cost"),
        rows.headings,
        rows.cells,
        [_beside(paper), *ours.notes()],
        parts=rows.parts,
    )


def _attacks(paper: Published, ours: Ours) -> Sheet:
    rows, weak = _Rows(paper.models), ours.weak()
    for attack in paper.attacks:
        rows.part(attack_title(attack) + (" *" if attack in weak else ""))
        rows.shares("published", _published_asr(paper, attack))
        rows.shares("ours, its parameters", ours.attacks(PAPER, attack))
        rows.shares("ours, full strength", ours.attacks(FULL, attack))
    rows.part("Worst case: fooled by any bounded attack")
    for words, group in (("ours, its parameters", PAPER), ("ours, full strength", FULL)):
        worst = ours.attacks(group, WORST_CASE)
        rows.shares(words, worst)
        if any(map(worst, paper.models)):
            rows.words("verdict on it", ours.verdict)
    notes = [
        "Each model on the images that it classifies correctly itself, the paper's way. "
        + verdict_note(ours.rows)
    ]
    notes += weak_notes({name: why for name, why in weak.items() if name in paper.attacks})
    bounded = {row["attack"] for row in ours.rows if row["group"] == FULL and row["epsilon"] is not None}
    others = [name for name in ours.other_attacks(FULL) if name in bounded and name not in paper.attacks]
    if others:
        notes.append(
            f"Full strength also runs {', '.join(map(attack_title, others))}: part of the worst case."
        )
    title = f"{_title(paper)}: attack success rate %, published within L∞ ≤ {paper.epsilon}"
    return Sheet(ours.title(title), rows.headings, rows.cells, notes, parts=rows.parts)


def _seconds(paper: Published, ours: Ours) -> Sheet:
    rows = _Rows(paper.models)
    theirs = {name: _published_seconds(paper, name) for name in paper.attacks}
    mine = {name: ours.seconds(PAPER, name) for name in paper.attacks}
    for words, each in (("published", theirs), ("ours, its parameters", mine)):
        rows.part(f"Seconds for the attack, {words}")
        for name, seconds in each.items():
            rows.numbers(attack_title(name), seconds)
        rows.numbers("all eight", _sum(each.values()))
    for words, each in (("published", theirs), ("ours", mine)):
        rows.part(f"Relative to the {CNN} of the same run, {words}")
        for name, seconds in each.items():
            rows.ratios(attack_title(name), seconds)
        rows.ratios("all eight", _sum(each.values()))
    notes = ["Seconds are of other machines and other numbers of images; the ratios can be compared."]
    return Sheet(
        ours.title(f"{_title(paper)}: cost of the attacks"),
        rows.headings,
        rows.cells,
        notes,
        parts=rows.parts,
    )


def _published_asr(paper: Published, attack: str) -> Callable[[str], list[float]]:
    return lambda model: [float(paper.models[model]["asr"][attack])]


def _published_seconds(paper: Published, attack: str) -> Figure:
    return lambda model: float(paper.models[model]["attack_seconds"][attack])


def _sum(figures: Iterable[Figure]) -> Figure:
    each = list(figures)

    def summed(model: str) -> float | None:
        values = [figure(model) for figure in each]
        known = [value for value in values if value is not None]
        return sum(known) if len(known) == len(values) else None

    return summed


def _title(paper: Published) -> str:
    return f"{paper.title} in the paper, {paper.dataset} here" if paper.is_another else paper.title


def _beside(paper: Published) -> str:
    if paper.is_another:
        return (
            f"The paper has no {paper.dataset}: its {paper.title} stands beside ours, the nearest there is."
        )
    return "Published: arXiv 2604.10933, single runs on about 5 % of the test images."


class _Rows:
    """Builds a table with a column for each model of the paper."""

    def __init__(self, models: Mapping[str, Any]) -> None:
        self.models = list(models)
        self.headings = ["", *self.models]
        self.cells: list[list[str]] = []
        self.parts: dict[int, str] = {}

    def part(self, heading: str) -> None:
        """Begin a part."""
        self.parts[len(self.cells)] = heading  # of a part without rows, the next one takes the place

    def words(self, label: str, of: Callable[[str], str]) -> None:
        """Add a row of words, unless there is none."""
        cells = list(map(of, self.models))
        if any(cells):
            self.cells.append([label, *cells])

    def shares(self, label: str, of: Callable[[str], Sequence[float]]) -> None:
        """Add a row of means over seeds in percent."""
        self.words(label, lambda model: percent(of(model)))

    def numbers(self, label: str, of: Figure) -> None:
        """Add a row of numbers."""
        self.words(label, lambda model: number(of(model)))

    def ratios(self, label: str, of: Figure) -> None:
        """Add a row of ratios to the CNN."""

        def ratio(model: str) -> str:
            mine, base = of(model), of(CNN)
            return "" if mine is None or not base else f"{mine / base:.2f}"

        self.words(label, ratio)


def number(value: float | None) -> str:
    """Word a number of seconds.

    >>> number(0.1234), number(12.34), number(85337.9), number(None)
    ('0.12', '12.3', '85,338', '')
    """
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
