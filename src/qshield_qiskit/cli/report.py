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
from qshield_qiskit.reporting.results import attack_commands, write_results
from qshield_qiskit.reporting.results import results as results_of
from qshield_qiskit.reporting.robustness import RobustRun, read_run


def command(
    which: Annotated[
        list[str] | None,
        typer.Argument(metavar="[RUN ...]", help="Folders of attacked runs, or last; several are compared."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The page's file; report.html in the first run's folder unless given.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Write the figures, on common images, to this name with .json and .md as well."),
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
        kept = _keep_results(results, loaded, attacked) if results is not None else []
    if json:
        emit({"report": written.report, "figures": written.figures, "results": kept})
        return
    stdout.print(f"report   {written.report}", highlight=False, soft_wrap=True)
    stdout.print(
        f"figures  {len(written.figures)} files in {written.figures[0].parent}",
        highlight=False,
        soft_wrap=True,
    )
    for path in kept:
        stdout.print(f"results  {path}", highlight=False, soft_wrap=True)


def _keep_results(path: Path, loaded: Sequence[runs.Run], attacked: Sequence[RobustRun]) -> list[Path]:
    commands = [
        "; ".join([runs.training_command(run), *attack_commands(read)])
        for run, read in zip(loaded, attacked, strict=True)
    ]
    return write_results(path, f"Robustness on {path.stem}", results_of(attacked, commands))


def _circuit(loaded: Sequence[runs.Run]) -> Figure | None:
    """Draw the first run's circuit, if a circuit takes part in it."""
    run = loaded[0]
    if run.config.model.branch != "circuit" or run.model.template is None:
        return None
    return drawing.draw_figure(run.model.template)
