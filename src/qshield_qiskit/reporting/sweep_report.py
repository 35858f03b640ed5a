"""The report of a sweep: figures and tables as one HTML page and as Markdown, beside the paper's if it is its grid."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.reporting import page
from qshield_qiskit.reporting.paper.ours import AXIS, Ours
from qshield_qiskit.reporting.paper.published import Published, content, is_the_papers, published
from qshield_qiskit.reporting.paper.tables import paper_sheets
from qshield_qiskit.reporting.plates import Plate
from qshield_qiskit.reporting.report import FIGURES, REPORT, TEMPLATE, Written, embed
from qshield_qiskit.reporting.results import keep_results, without_ending
from qshield_qiskit.reporting.sheet import Sheet
from qshield_qiskit.reporting.sweep_folder import SweepFolder
from qshield_qiskit.reporting.sweep_lines import Row
from qshield_qiskit.reporting.sweep_plates import sweep_plates
from qshield_qiskit.reporting.sweep_results import gather
from qshield_qiskit.reporting.sweep_table import sheets


@dataclass(frozen=True)
class Report:
    """Figures and tables, and what stands around them.

    Attributes:
        title: Its heading.
        lead: Sentences before the rest.
        sheets: The tables.
        command: What makes the results.
        plates: The figures, by heading.
        folder: The sweep's, to whose figures/ they go; None without a sweep, which has none.
    """

    title: str
    lead: Sequence[str]
    sheets: Sequence[Sheet]
    command: str
    plates: Mapping[str, Plate] = field(default_factory=dict)
    folder: Path | None = None


def sweep_report(folder: SweepFolder) -> Report:
    """Gather a sweep's figures and tables; the paper's tables follow where its models are the paper's."""
    plan = folder.plan
    rows = gather(folder)
    found = sheets(rows)
    lead = [f"{plan['name']}: {len(plan['cells'])} cells over {', '.join(plan['axes']) or 'one setting'}."]
    dataset = _dataset_of_the_paper(rows)
    if dataset is not None:
        found += _beside_the_papers(published(dataset), rows, plan["command"])
        lead.append(f"The paper: {content()['source']}.")
    return Report(f"Sweep {plan['name']}", lead, found, plan["command"], sweep_plates(rows), folder.path)


def paper_report(dataset: str, folder: SweepFolder | None) -> Report:
    """Lay out the paper's tables for a data set, with the columns of a sweep beside them if there is one.

    Raises:
        InputError: The paper has no such data set, or the sweep is of another one.
    """
    paper = published(dataset)
    command = f"qshield sweep paper/{dataset}"
    rows: list[Row] = []
    if folder is not None:
        rows, command = list(gather(folder)), folder.plan["command"]
        others = sorted({row["dataset"] for row in rows} - {dataset})
        if others:
            raise InputError(f"{folder.path}: a sweep of {', '.join(others)}; try --paper {others[0]}")
    return Report(
        f"The paper's {paper.title}, and {dataset} here",
        [f"The paper: {content()['source']}."],
        _beside_the_papers(paper, rows, command),
        command,
    )


def _beside_the_papers(paper: Published, rows: Sequence[Row], command: str) -> list[Sheet]:
    return [sheet for ours in Ours.parts(rows, command) for sheet in paper_sheets(paper, ours)]


def write_sweep_report(report: Report, path: Path) -> Written:
    """Write a report as an HTML page that needs no other file, and as Markdown beside it with links to the figures.

    Args:
        report: The report.
        path: The page's file; the other one ends in .md.

    Raises:
        InputError: A file cannot be written.
    """
    markdown = path.with_name(f"{path.name.removesuffix('.html')}.md")
    parts = _parts(report, (report.folder or path.parent) / FIGURES, path.parent)
    try:
        write_atomically(path, _html(report, parts.sections))
        write_atomically(markdown, _markdown(report, parts.paragraphs))
    except OSError as error:
        raise InputError(
            f"--output {path}: {error.strerror or error}; give a file that can be written"
        ) from error
    return Written(path, parts.figures, markdown)


def keep_sweep_results(report: Report, items: Sequence[Mapping[str, Any]], path: Path) -> list[Path]:
    """Write what shall be kept of a sweep: `path`.json for scripts, `path`.md for people, and figures in `path`/.

    Args:
        report: The report.
        items: Its figures as `results` gathers them.
        path: A file's name without its ending.

    Raises:
        InputError: A file cannot be written.
    """
    parts = _parts(report, without_ending(path), path.parent)
    return [*keep_results(path, items, _markdown(report, parts.paragraphs)), *parts.figures]


class _Parts(NamedTuple):
    """What a report consists of, laid out twice."""

    sections: list[tuple[str, str, str]]  # of the page: anchor, heading, HTML
    paragraphs: list[str]  # in Markdown
    figures: list[Path]


def _parts(report: Report, figures: Path, folder: Path) -> _Parts:
    """Write a report's figures to a folder, and lay out figures and tables for a page and for Markdown in another."""
    parts = _Parts([], [], [])
    for heading, plate in report.plates.items():
        embedded, files = embed(plate, figures)
        parts.figures.extend(files)
        parts.sections.append((plate.name, heading, embedded))
        link = Path(os.path.relpath(files[-1], folder)).as_posix()
        parts.paragraphs.append(f"## {heading}\n\n![{plate.alt}](<{link}>)\n\n{plate.caption}\n")
    for number, sheet in enumerate(report.sheets):
        parts.sections.append((f"table-{number}", sheet.title, sheet.to_html()))
        parts.paragraphs.append(sheet.to_markdown())
    return parts


def _html(report: Report, sections: Sequence[tuple[str, str, str]]) -> str:
    """Lay out the page: sections by anchor, heading and content."""
    making = page.section("making", "How it was made", f"<pre><code>{page.text(report.command)}</code></pre>")
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=page.text(report.title),
        lead="\n".join(f"<p>{page.text(sentence)}</p>" for sentence in report.lead),
        navigation=" ".join(
            f'<a href="#{anchor}">{page.text(heading)}</a>' for anchor, heading, _ in sections
        ),
        body="\n".join(page.section(*section) for section in sections) + making,
        footer=page.text(f"Written by qshield report, {datetime.now():%d %B %Y, %H:%M}."),
    )


def _markdown(report: Report, parts: Sequence[str]) -> str:
    lead = [f"{sentence}\n" for sentence in report.lead]
    return "\n".join([f"# {report.title}\n", *lead, *parts, f"Made by:\n\n```sh\n{report.command}\n```\n"])


def default_path(folder: SweepFolder) -> Path:
    """Give the place of a sweep's page."""
    return folder.path / REPORT


def _dataset_of_the_paper(rows: Sequence[Row]) -> str | None:
    """Give the data set of a sweep over the paper's models, if the paper has figures for it."""
    datasets = {str(row["dataset"]) for row in rows}
    if len(datasets) != 1 or not is_the_papers(dataset := datasets.pop()):
        return None
    names = {json.loads(row["choices"]).get(AXIS) for row in rows}
    return dataset if names & set(published(dataset).models) else None
