"""The report of one or several attacked runs: one HTML file that needs nothing else, and its figures."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Any, Literal

from matplotlib.figure import Figure

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.reporting import page, plates
from qshield_qiskit.reporting.certified import certificate_plates, certificate_words
from qshield_qiskit.reporting.commands import robustness_commands
from qshield_qiskit.reporting.comparison import Subject, compare, subjects
from qshield_qiskit.reporting.plates import Plate
from qshield_qiskit.reporting.robustness import WORST_CASE, RobustRun
from qshield_qiskit.reporting.style import render

REPORT = "report.html"
FIGURES = "figures"
TEMPLATE = Path(__file__).with_name("report.html")


@dataclass(frozen=True)
class Written:
    """Where a report went.

    Attributes:
        report: The page.
        figures: Each figure as PNG and as SVG.
        markdown: The page as Markdown; None where there is none.
    """

    report: Path
    figures: list[Path]
    markdown: Path | None = None


def write_report(
    runs: Sequence[RobustRun], circuit: Figure | None = None, output: Path | None = None
) -> Written:
    """Write the page, and each figure as PNG and SVG into the first run's figures/.

    Args:
        runs: The runs, read by `read_run`; several are compared on their common images.
        circuit: Picture of the first run's circuit.
        output: The page's file; report.html in the first run's folder unless given.

    Raises:
        InputError: The page or a figure cannot be written.
    """
    folder = runs[0].folder.path
    written: list[Path] = []

    def draw(plate: Plate) -> str:
        embedded, files = embed(plate, folder / FIGURES)
        written.extend(files)
        return embedded

    sections = [part for part in _sections(runs, circuit, draw) if part is not None]
    content = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=page.text(_title(runs)),
        lead=_lead(subjects(runs)),
        navigation=" ".join(f'<a href="#{name}">{page.text(heading)}</a>' for name, heading, _ in sections),
        body="\n".join(page.section(name, heading, *parts) for name, heading, parts in sections),
        footer=page.text(f"Written by qshield report, {datetime.now():%d %B %Y, %H:%M}."),
    )
    target = output or folder / REPORT
    try:
        write_atomically(target, content)
    except OSError as error:
        raise InputError(
            f"--output {target}: {error.strerror or error}; give a file that can be written"
        ) from error
    return Written(target, written)


def embed(plate: Plate, folder: Path) -> tuple[str, list[Path]]:
    """Write a figure as PNG and SVG, and lay it out for a page that needs neither file.

    Args:
        plate: The figure with its words.
        folder: Where its files go, made if it is missing.

    Returns:
        HTML, and the files, PNG first.

    Raises:
        InputError: The folder cannot be written.
    """
    pixels, vectors = render(plate.figure, plate.name)
    files = {folder / f"{plate.name}.png": pixels, folder / f"{plate.name}.svg": vectors}
    try:
        for path, content in files.items():
            write_atomically(path, content)
    except OSError as error:
        raise InputError(
            f"{folder}: {error.strerror or error}; figures need a folder that can be written"
        ) from error
    kind, shown = ("image/png", pixels) if plate.photograph else ("image/svg+xml", vectors)
    width, height = plate.figure.get_size_inches()
    shape: Literal["", "wide", "tall"] = (
        "wide" if plate.name == "circuit" else "tall" if height > width else ""
    )
    return page.figure(kind, shown, plate.alt, plate.caption, shape), list(files)


Section = tuple[str, str, list[str]]


def _sections(
    runs: Sequence[RobustRun], circuit: Figure | None, draw: Callable[[Plate], str]
) -> Iterable[Section | None]:
    """The page's sections in order; None where a run has nothing to show."""
    models = subjects(runs)
    yield "verdict", "Verdict", _verdict(models)
    yield "attacks", "Attacks", [_attacks_intro(models), *(page.robustness_table(model) for model in models)]
    success = [draw(plate) for plate in plates.asr_plates(models)]
    if len(models) > 1:
        success.append(page.comparison_table(models, compare(models)))
    yield "success", "Attack success", success
    rest: list[tuple[str, str, list[Plate]]] = [
        ("epsilon", "Over epsilon", plates.curve_plates(models)),
        ("norms", "Smallest perturbations", plates.norm_plates(models)),
        ("gallery", "Attacked images", plates.gallery_plates(models[0])),
        ("weight", "The quantum branch's share", plates.weight_plates(models)),
        ("circuit", "Circuit", [] if circuit is None else [_circuit_plate(circuit, models[0])]),
    ]
    words = certificate_words(models)
    certified = [*map(draw, certificate_plates(models)), *words] if words else []
    yield ("certificates", "Certificates", certified) if certified else None
    for name, heading, found in rest:
        whose = (
            [f"<p>Of {page.text(models[0].name)}.</p>"]
            if len(models) > 1 and name in {"gallery", "circuit"}
            else []
        )
        yield (name, heading, [*whose, *map(draw, found)]) if found else None
    yield "making", "How it was made", [_making(run) for run in runs]


def _lead(models: Sequence[Subject]) -> str:
    parts = []
    if any(model.verdict and model.verdict["verdict"] == "masking detected" for model in models):
        parts.append(
            '<p class="warning"><strong>Masking detected.</strong> Where the verdict says so, attacks failed for '
            "reasons that have nothing to do with robustness. Do not quote those figures as robustness.</p>"
        )
    cards = "\n".join(page.card(model) for model in models)
    parts.append(f'<div class="cards">\n{cards}\n</div>')
    return "\n".join(parts)


def _title(runs: Sequence[RobustRun]) -> str:
    return f"Robustness of {runs[0].name}" if len(runs) == 1 else f"Robustness of {len(runs)} runs"


def _verdict(models: Sequence[Subject]) -> list[str]:
    parts = [
        "<p>Whether the figures below may be believed. A failed <em>hard</em> check means that gradients are "
        "masked; a failed <em>soft</em> one is a reason to suspect it. A check that does not apply does not count.</p>"
    ]
    for model in models:
        name = f"<h3>{page.text(model.name)}</h3>" if len(models) > 1 else ""
        parts.append(f"{name}<p>{page.verdict_badge(model)} {page.verdict_scope(model)}</p>")
        if model.verdict is not None:
            parts.append(page.checklist(model.verdict))
    return parts


def _attacks_intro(models: Sequence[Subject]) -> str:
    worst = any(row.key.attack == WORST_CASE for model in models for row in model.rows)
    words = (
        "An image counts as attacked if the model classified it correctly before. Intervals are 95 % Wilson "
        "intervals over images; each model was trained once, so they say nothing of other seeds. Norms are medians "
        "over fooled images; queries and gradients are means per attacked image."
    )
    if worst:
        words += " The worst case counts an image as fooled if any bounded attack of that radius fooled it."
    return f"<p>{words}</p>"


def _circuit_plate(circuit: Figure, model: Subject) -> Plate:
    caption = f"The circuit of {model.run.name} as it is written, before it is transpiled to a device."
    return Plate("circuit", circuit, "Diagram of the quantum circuit.", caption)


def _making(run: RobustRun) -> str:
    path = str(run.folder.path)
    commands = [
        f"qshield train {shlex.quote(str(run.folder.path / 'config.yaml'))}",
        *robustness_commands(run, path),
        f"qshield report {shlex.quote(path)}",
    ]
    settings = [
        (row.key.title, f"{row.backend}; {_pairs(row.figures.get('parameters') or {})}") for row in run.rows
    ]
    environment = [
        (name, _pairs(value) if isinstance(value, Mapping) else value)
        for name, value in run.environment.items()
    ]
    return "\n".join(
        [
            f"<h3>{page.text(run.name)}</h3>",
            "<p>These commands repeat it, apart from attacks whose settings were changed; those stand below.</p>",
            f"<pre><code>{page.text(chr(10).join(commands))}</code></pre>",
            f"<details><summary>Parameters of the attacks</summary>{page.facts(settings)}</details>",
            f"<details><summary>Environment</summary>{page.facts(environment)}</details>",
            "<details><summary>Settings (config.yaml)</summary>"
            f"<pre><code>{page.text(run.config)}</code></pre></details>",
        ]
    )


def _pairs(values: Mapping[str, Any]) -> str:
    words = {name: ", ".join(map(str, v)) if isinstance(v, list) else v for name, v in values.items()}
    return (
        "; ".join(f"{name} {value}" for name, value in words.items() if value not in (None, "")) or "defaults"
    )
