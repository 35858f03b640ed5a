"""Write what attacks found, or a sweep, as one HTML page; the paper's tables beside ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.figure import Figure

from qshield_qiskit import runs
from qshield_qiskit.cli.console import Json, emit, stdout, stdout_kept_for_json
from qshield_qiskit.config import AttackSettings
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum import drawing
from qshield_qiskit.reporting.commands import robustness_commands
from qshield_qiskit.reporting.recording import largest_ball
from qshield_qiskit.reporting.report import write_report
from qshield_qiskit.reporting.results import results as results_of
from qshield_qiskit.reporting.results import without_ending, write_results
from qshield_qiskit.reporting.robustness import RobustRun, read_run
from qshield_qiskit.reporting.sweep_folder import DONE, SWEEPS, SweepFolder, is_sweep
from qshield_qiskit.reporting.sweep_report import (
    Report,
    default_path,
    keep_sweep_results,
    paper_report,
    sweep_report,
    write_sweep_report,
)


def command(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN ... | SWEEP]",
            help="Folders of attacked runs, or last; several are compared. Or a sweep's folder.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="The page's file; report.html in the first run's folder unless given.")
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(help="Write the figures, on common images, to this name with .json and .md as well."),
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET",
            help="Show the paper's tables for mnist, organamnist, cifar10 or digits, with a sweep's beside them.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write one HTML page about attacked runs or a sweep, and each figure as PNG and SVG in the folder's figures/.

    Examples: qshield report; qshield report runs/digits/A runs/digits/B --output compared.html; qshield report
    runs/sweeps/paper/digits; qshield report --paper mnist
    """
    sweeps = [SweepFolder(Path(name)) for name in which or [] if is_sweep(name)]
    if paper is not None or sweeps:
        _report_sweep(sweeps, which or [], paper, output, results, json=json)
        return
    with stdout_kept_for_json(json):
        loaded = [runs.load_run(name) for name in dict.fromkeys(which or ["last"])]
        attacked = [read_run(run.folder, runs.describe(run.config)) for run in loaded]
        _check_same_images(loaded, attacked)
        written = write_report(attacked, _circuit(loaded), output)
        kept = _keep_results(results, loaded, attacked) if results is not None else []
    if json:
        emit({"report": written.report, "figures": written.figures, "results": kept})
        return
    stdout.print(f"report   {written.report}", highlight=False, soft_wrap=True)
    _say_figures(written.figures)
    _say_results(kept)


def _check_same_images(loaded: Sequence[runs.Run], attacked: Sequence[RobustRun]) -> None:
    """Refuse runs of several data sets or test splits: an image's position in one says nothing in another."""
    datasets = sorted({run.dataset for run in attacked})
    splits = dict.fromkeys(f"data.test_images={run.config.data.test_images or 'null'}" for run in loaded)
    for preposition, found in (("of", datasets), ("with", splits)):
        if len(found) > 1:
            raise InputError(
                f"runs {preposition} {' and '.join(found)}: models are compared on the same images; "
                "report each by itself"
            )


def _report_sweep(
    sweeps: Sequence[SweepFolder],
    which: Sequence[str],
    paper: str | None,
    output: Path | None,
    results: Path | None,
    *,
    json: bool,
) -> None:
    """Show a sweep's tables, the paper's, or both, and write them, with figures, where there is a place for them."""
    if len(which) > 1 or len(sweeps) < len(which):
        raise InputError(
            f"{' '.join(which)}: expected one sweep's folder, such as runs/{SWEEPS}/paper/digits"
        )
    if results is not None and (paper is not None or not sweeps):
        raise InputError("--results is about runs or a sweep of one's own; leave --paper out")
    folder = sweeps[0] if sweeps else None
    if folder is None and is_sweep(made := Path("runs") / SWEEPS / "paper" / str(paper)):
        folder = SweepFolder(made)
    report: Report = paper_report(paper, folder) if paper is not None else sweep_report(sweeps[0])
    target = output or (None if folder is None else default_path(folder))
    if target is not None and paper is not None and output is None:
        target = target.with_name("paper.html")
    written = None if target is None else write_sweep_report(report, target)
    pages = [] if written is None else [written.report, written.markdown]
    figures = [] if written is None else written.figures
    kept = [] if results is None else keep_sweep_results(report, _items(sweeps[0]), results)
    if json:
        tables = [
            {"title": sheet.title, "headings": sheet.headings, "rows": sheet.rows} for sheet in report.sheets
        ]
        emit({"report": target, "files": pages, "figures": figures, "tables": tables, "results": kept})
        return
    for sheet in report.sheets:
        stdout.print(sheet.to_rich())
        stdout.print()
    for path in pages:
        stdout.print(f"report   {path}", highlight=False, soft_wrap=True)
    _say_figures(figures)
    _say_results(kept)


def _items(sweep: SweepFolder) -> list[dict[str, Any]]:
    """Gather the figures of a sweep's finished cells, each on the images that every model of its seed gets right.

    Verdicts and rows are those that the cells recorded, whatever has become of their runs since.
    """
    by_table: dict[tuple[int, str], list[RobustRun]] = {}
    for cell in sweep.plan["cells"]:
        record = sweep.record(cell["digest"])
        if record["state"] != DONE:
            continue
        run = runs.load_run(sweep.path / record["run"])
        attacked = read_run(run.folder, runs.describe(run.config))
        for group, rows in record["rows"].items():
            if largest_ball(rows):
                mine = attacked.of_rows(rows, _recorded_verdict(record, cell["settings"]))
                by_table.setdefault((run.config.seed, group), []).append(mine)
    command = sweep.plan["command"]
    return [
        {**item, "group": group}
        for (_, group), each in by_table.items()
        for item in results_of(each, [command] * len(each))
    ]


def _recorded_verdict(record: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Give the verdict that a cell recorded, in the form of verdict.json as far as results need it."""
    if not record.get("verdict"):
        return None
    attack = AttackSettings(**settings["attack"])
    return {
        "verdict": record["verdict"],
        "quick": record["quick"],
        "epsilon": max(attack.radii()),
        "eot": attack.eot,
        "checks": [{"name": name, "passed": False} for name in record["failed_checks"]],
    }


def _say_results(files: Sequence[Path]) -> None:
    """Say where results are kept, if they are."""
    for path in files:
        if path.suffix in {".json", ".md"}:
            stdout.print(f"results  {path}", highlight=False, soft_wrap=True)


def _say_figures(files: Sequence[Path]) -> None:
    """Say where figures are, if there are any."""
    if files:
        stdout.print(f"figures  {len(files)} files in {files[0].parent}", highlight=False, soft_wrap=True)


def _keep_results(path: Path, loaded: Sequence[runs.Run], attacked: Sequence[RobustRun]) -> list[Path]:
    commands = [
        "; ".join([runs.training_command(run), *robustness_commands(read)])
        for run, read in zip(loaded, attacked, strict=True)
    ]
    return write_results(path, f"Robustness on {without_ending(path).name}", results_of(attacked, commands))


def _circuit(loaded: Sequence[runs.Run]) -> Figure | None:
    """Draw the first run's circuit, if a circuit takes part in it."""
    run = loaded[0]
    if run.config.model.branch != "circuit" or run.model.template is None:
        return None
    return drawing.draw_figure(run.model.template)
