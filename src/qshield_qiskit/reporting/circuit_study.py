"""The study of circuits as tables for the terminal and for files, and its figures; all from plain values."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Table

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.reporting.circuit_figures import cost_figure, expressibility_figure
from qshield_qiskit.reporting.style import render

Facts = Mapping[str, Any]


def study_tables(facts: Facts) -> list[RenderableType]:
    """Lay the study out: what circuits can do, and what they cost over all devices."""
    haar = facts["haar"]
    about = f"{facts['num_qubits']} qubits, {facts['samples']:,} pairs of random states, seed {facts['seed']}"
    able = _table(f"{about}; 95 % intervals", "circuit", "reps", "expressibility", "", "entangling", "")
    for row in facts["rows"]:
        able.add_row(
            row["circuit"],
            str(row["reps"]),
            f"{row['expressibility']:.4f}",
            f"{row['expressibility_low']:.4f}-{row['expressibility_high']:.4f}",
            f"{row['entangling_capability']:.3f}",
            f"{row['entangling_capability_low']:.3f}-{row['entangling_capability_high']:.3f}",
        )
    uniform = (f"{haar['expressibility']:.4f}", "", f"{haar['entangling_capability']:.3f}", "")
    able.add_row("uniform states", "", *uniform, style="dim")
    costs = _table(
        f"transpiled to {len(facts['calibrations'])} calibrations, fewest to most; estimated success in %",
        "circuit",
        "reps",
        "two-qubit gates",
        "depth",
        "best",
        "on",
        "worst",
        "on",
    )
    for row in facts["rows"] if facts["calibrations"] else []:
        ranked = sorted(row["devices"], key=lambda device: -device["success"])
        ends = [
            text
            for device in (ranked[0], ranked[-1])
            for text in (f"{100 * device['success']:.1f}", device["calibration"].removeprefix("fake_"))
        ]
        spans = [_span([device[key] for device in ranked]) for key in ("two_qubit_gates", "depth")]
        costs.add_row(row["circuit"], str(row["reps"]), *spans, *ends)
    return [able, "", costs] if facts["calibrations"] else [able]


def write_study(folder: Path, facts: Facts) -> list[Path]:
    """Write circuits.json, circuits.csv, circuits.md, and the figures as PNG and SVG.

    Raises:
        InputError: The folder cannot be written to.
    """
    contents: dict[str, str | bytes] = {
        "circuits.json": json.dumps(facts, indent=1) + "\n",
        "circuits.csv": as_csv(facts),
        "circuits.md": as_markdown(facts),
    }
    figures = {"expressibility": expressibility_figure(facts)}
    if facts["calibrations"]:
        figures["cost"] = cost_figure(facts)
    for name, figure in figures.items():
        contents[f"{name}.png"], contents[f"{name}.svg"] = render(figure, name)
    written = []
    for name, content in contents.items():
        try:
            write_atomically(folder / name, content)
        except OSError as error:
            raise InputError(
                f"output={folder}: {error.strerror or error}; give a folder that can be written"
            ) from error
        written.append(folder / name)
    return written


def as_csv(facts: Facts) -> str:
    """Write a line for each circuit, number of layers and device."""
    lines = [
        {**{key: value for key, value in row.items() if key != "devices"}, **device}
        for row in facts["rows"]
        for device in row["devices"] or [{}]
    ]
    buffer = io.StringIO()
    names = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.DictWriter(buffer, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return buffer.getvalue()


def as_markdown(facts: Facts) -> str:
    """Write both tables, how to read them, and the command that made them."""
    haar = facts["haar"]
    lines = [
        f"# Circuits of {facts['num_qubits']} qubits",
        "",
        f"Of {facts['samples']:,} pairs of states, all angles uniform in [-π, π], seed {facts['seed']}, no noise; with "
        "95 % intervals. Expressibility is the Kullback-Leibler divergence of the states' fidelities from those of "
        "uniformly drawn states, in nats (Sim et al. 2019): less is more expressive, and as many uniformly drawn "
        f"states show {haar['expressibility']:.4f}. Entangling capability is the mean Meyer-Wallach measure, 0 to 1; "
        f"uniformly drawn states have {haar['entangling_capability']:.3f}.",
        "",
        *_markdown_table(
            ["circuit", "reps", "inputs", "weights", "expressibility", "entangling capability"],
            [
                [
                    *(row[key] for key in ("circuit", "reps", "inputs", "weights")),
                    _with_interval(row, "expressibility", 4),
                    _with_interval(row, "entangling_capability", 3),
                ]
                for row in facts["rows"]
            ],
        ),
    ]
    if facts["calibrations"]:
        lines += [
            "",
            "Transpiled to each calibration's best qubits: two-qubit gates / depth (idle times not counted) / "
            "estimated success in percent, of gates, idle times and readout together.",
            "",
            *_markdown_table(
                ["circuit", "reps", *(f"{name} ({date})" for name, date in facts["calibrations"].items())],
                [
                    [row["circuit"], row["reps"], *(_cost_words(each) for each in row["devices"])]
                    for row in facts["rows"]
                ],
            ),
        ]
    return "\n".join([*lines, "", "Made by:", "", "```sh", facts["command"], "```"]) + "\n"


def _markdown_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    return [
        f"| {' | '.join(heads)} |",
        f"| --- |{' ---: |' * (len(heads) - 1)}",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]


def _with_interval(row: Mapping[str, Any], key: str, digits: int) -> str:
    low, high = row[f"{key}_low"], row[f"{key}_high"]
    return f"{row[key]:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def _cost_words(device: Mapping[str, Any]) -> str:
    return f"{device['two_qubit_gates']} / {device['depth']} / {100 * device['success']:.1f}"


def _span(values: Sequence[int]) -> str:
    return str(min(values)) if min(values) == max(values) else f"{min(values)}-{max(values)}"


def _table(title: str, *headings: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="left" if heading in {"circuit", "on"} else "right", no_wrap=True)
    return table
