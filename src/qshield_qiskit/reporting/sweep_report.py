"""The report of a sweep: its tables as one HTML page and as Markdown, beside the paper's if it is its grid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from string import Template

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.reporting import page
from qshield_qiskit.reporting.paper.ours import AXIS, Ours
from qshield_qiskit.reporting.paper.published import content, is_the_papers, published
from qshield_qiskit.reporting.paper.tables import paper_sheets
from qshield_qiskit.reporting.report import REPORT, TEMPLATE
from qshield_qiskit.reporting.sheet import Sheet
from qshield_qiskit.reporting.sweep_folder import SweepFolder
from qshield_qiskit.reporting.sweep_lines import Row
from qshield_qiskit.reporting.sweep_results import gather
from qshield_qiskit.reporting.sweep_table import sheets


@dataclass(frozen=True)
class Report:
    """Tables, and what stands around them.

    Attributes:
        title: Its heading.
        lead: Sentences before the tables.
        sheets: The tables.
        command: What makes the figures.
    """

    title: str
    lead: Sequence[str]
    sheets: Sequence[Sheet]
    command: str


def sweep_report(folder: SweepFolder) -> Report:
    """Gather a sweep's tables; those of the paper follow where its models are the paper's."""
    plan = folder.plan
    rows = gather(folder)
    found = sheets(rows)
    lead = [f"{plan['name']}: {len(plan['cells'])} cells over {', '.join(plan['axes']) or 'one setting'}."]
    dataset = _dataset_of_the_paper(rows)
    if dataset is not None:
        found += paper_sheets(published(dataset), Ours(rows, plan["command"]))
        lead.append(f"The paper: {content()['source']}.")
    return Report(f"Sweep {plan['name']}", lead, found, plan["command"])


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
        paper_sheets(paper, Ours(rows, command)),
        command,
    )


def write_sweep_report(report: Report, path: Path) -> list[Path]:
    """Write a report as an HTML page that needs no other file, and as Markdown beside it.

    Args:
        report: The report.
        path: The page's file; the other one ends in .md.

    Raises:
        InputError: A file cannot be written.
    """
    anchors = [f"table-{number}" for number in range(len(report.sheets))]
    html = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=page.text(report.title),
        lead="\n".join(f"<p>{page.text(sentence)}</p>" for sentence in report.lead),
        navigation=" ".join(
            f'<a href="#{anchor}">{page.text(sheet.title)}</a>'
            for anchor, sheet in zip(anchors, report.sheets, strict=True)
        ),
        body="\n".join(
            page.section(anchor, sheet.title, sheet.to_html())
            for anchor, sheet in zip(anchors, report.sheets, strict=True)
        )
        + page.section("making", "How it was made", f"<pre><code>{page.text(report.command)}</code></pre>"),
        footer=page.text(f"Written by qshield report, {datetime.now():%d %B %Y, %H:%M}."),
    )
    markdown = "\n".join(
        [
            f"# {report.title}\n",
            *(f"{sentence}\n" for sentence in report.lead),
            *(sheet.to_markdown() for sheet in report.sheets),
            f"Made by:\n\n```sh\n{report.command}\n```\n",
        ]
    )
    written = [path, path.with_suffix(".md")]
    try:
        for target, text in zip(written, (html, markdown), strict=True):
            write_atomically(target, text)
    except OSError as error:
        raise InputError(
            f"--output {path}: {error.strerror or error}; give a file that can be written"
        ) from error
    return written


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
