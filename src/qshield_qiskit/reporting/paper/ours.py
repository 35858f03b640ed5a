"""Our figures of the paper's models, from the rows of a sweep."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from qshield_qiskit.reporting.robustness import WORST_CASE
from qshield_qiskit.reporting.sweep_lines import SEED, Line, Row, attacks_of, groups
from qshield_qiskit.reporting.titles import ball_title

PAPER = "paper"
"""Name of the group of attacks with the paper's parameters."""
FULL = "full strength"
"""Name of the group of attacks at full strength."""

AXIS = "model"
"""The axis whose values are named like the paper's models."""

SHORT = {"no masking detected": "no masking", "masking detected": "MASKING", "suspect": "suspect"}


class Ours:
    """The models of a sweep by the paper's names.

    Args:
        rows: Of results.parquet; empty where there is no sweep.
        command: What would make them.
        part: Which part of the sweep they are, where its grid has more than models and seeds.
    """

    def __init__(self, rows: Sequence[Row], command: str, part: str = "") -> None:
        self.rows, self.command, self.part = rows, command, part
        members: dict[str, list[Row]] = {}
        for row in rows:
            members.setdefault(str(json.loads(row["choices"]).get(AXIS)), []).append(row)
        self.lines = {name: Line(name, of) for name, of in members.items()}

    @classmethod
    def parts(cls, rows: Sequence[Row], command: str) -> list[Ours]:
        """Take a sweep apart until there is one model of each name in every part; without rows, one empty part."""
        members: dict[str, list[Row]] = {}
        for row in rows:
            chosen = json.loads(row["choices"])
            part = ", ".join(value for axis, value in chosen.items() if axis not in {AXIS, SEED})
            members.setdefault(part, []).append(row)
        return [cls(of, command, part) for part, of in members.items()] or [cls([], command)]

    def title(self, words: str) -> str:
        """Add to a table's title what part of the sweep it is about."""
        return f"{words}; here: {self.part}" if self.part else words

    def cells(self, name: str) -> Callable[[str], list[float]]:
        """Give a figure of a model's cells, one a seed."""

        def figures(model: str) -> list[float]:
            line = self.lines.get(model)
            return [] if line is None else [row[name] for row in line.cells if row[name] is not None]

        return figures

    def attacks(self, group: str, attack: str, name: str = "asr_own") -> Callable[[str], list[float]]:
        """Give a figure of an attack on a model, one a seed."""

        def figures(model: str) -> list[float]:
            line = self.lines.get(model)
            found = [] if line is None else line.attacks(group, attack)
            return [row[name] for row in found if row[name] is not None]

        return figures

    def cost(self, model: str) -> float | None:
        """Give the mean over seeds of the seconds of training and test."""
        pairs = zip(self.cells("train_seconds")(model), self.cells("inference_seconds")(model), strict=True)
        return _mean([train + test for train, test in pairs])

    def seconds(self, group: str, attack: str) -> Callable[[str], float | None]:
        """Give the mean over seeds of an attack's seconds."""
        return lambda model: _mean(self.attacks(group, attack, "seconds")(model))

    def verdict(self, model: str) -> str:
        """Give the worst verdict over seeds, shortly."""
        line = self.lines.get(model)
        return SHORT[line.worst_verdict] if line and line.worst_verdict else ""

    def weak(self) -> dict[str, str]:
        """Say of the attacks that are too weak with the paper's parameters why they are."""
        return {row["attack"]: row["weak"] for row in self.rows if row["group"] == PAPER and row["weak"]}

    def other_attacks(self, group: str) -> list[str]:
        """List the attacks of a group."""
        names = dict.fromkeys(key.attack for key in attacks_of(self.rows, group))
        return [name for name in names if name != WORST_CASE]

    def notes(self) -> list[str]:
        """Say what ours are of."""
        if not self.rows:
            return [f"Ours are not there yet; make them with: {self.command}"]
        counts = sorted({row["n"] for row in self.rows if row["n"]})
        seeds = sorted({row["seed"] for row in self.rows})
        threads = sorted({row["threads"] for row in self.rows if row["threads"]})
        bounded = [row for row in self.rows if row["epsilon"] is not None]
        balls = sorted({ball_title(row["norm"], row["epsilon"]) for row in bounded})
        datasets: list[Any] = sorted({row["dataset"] for row in self.rows})
        of_seeds = f"seed {seeds[0]}"
        if len(seeds) > 1:
            of_seeds = f"seeds {', '.join(map(str, seeds))}, ± half the 95 % t interval"
        return [
            f"Ours: {', '.join(datasets)}, {of_seeds}; "
            f"attacked: {counts[-1] if counts else 0} images within {', '.join(balls) or 'nothing'}, "
            f"groups {', '.join(groups(self.rows)) or 'none'}; "
            f"{', '.join(map(str, threads)) or '?'} thread a cell. {_defences(self.rows)}",
            "Our seconds are of cells that may have run side by side and slowed each other down: "
            "`make bench` compares hybrid and CNN without that.",
        ]


def _defences(rows: Sequence[Row]) -> str:
    """Say what defences our models were trained with."""
    names = sorted({row["defence"] or "none" for row in rows})
    if names == ["none"]:
        return "None was trained with a defence."
    return f"Ours were trained with defence {' or '.join(names)}, the paper's with none: do not compare them."


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
