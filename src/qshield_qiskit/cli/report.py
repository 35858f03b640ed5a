"""Write what attacks found as one HTML page, with figures and the verdict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure

from qshield_qiskit import runs
from qshield_qiskit.cli.console import Json, emit, stdout, stdout_kept_for_json
from qshield_qiskit.quantum import drawing
from qshield_qiskit.reporting.report import write_report
from qshield_qiskit.reporting.robustness import read_run


def command(
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN ...]", help="Folders of attacked runs, or last; several are compared."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The page's file; report.html in the first run's folder unless given.")
    ] = None,
    json: Json = False,
) -> None:
    """Write one HTML page about attacked runs, and each figure as PNG and SVG in the first run's figures/.

    Examples: qshield report; qshield report runs/digits/A runs/digits/B --output compared.html
    """
    with stdout_kept_for_json(json):
        loaded = [runs.load_run(name) for name in dict.fromkeys(which or ["last"])]
        attacked = [read_run(run.folder, runs.describe(run.config)) for run in loaded]
        written = write_report(attacked, _circuit(loaded), output)
    if json:
        emit({"report": written.report, "figures": written.figures})
        return
    stdout.print(f"report   {written.report}", highlight=False, soft_wrap=True)
    stdout.print(
        f"figures  {len(written.figures)} files in {written.figures[0].parent}",
        highlight=False,
        soft_wrap=True,
    )


def _circuit(loaded: Sequence[runs.Run]) -> Figure | None:
    """Draw the first run's circuit, if a circuit takes part in it."""
    run = loaded[0]
    if run.config.model.branch != "circuit" or run.model.template is None:
        return None
    return drawing.draw_figure(run.model.template)
