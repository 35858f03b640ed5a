"""Attack a trained run, by gradients or by queries, and keep every outcome."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from qshield_qiskit import config, judgement, runs
from qshield_qiskit.cli.console import (
    Fresh,
    Json,
    Yes,
    checks_in_progress,
    console,
    emit,
    say_next,
    split_arguments,
    stdout,
    stdout_kept_for_json,
    terms,
)
from qshield_qiskit.reporting.tables import robustness_table, verdict_line
from qshield_qiskit.subjects import KEYS


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [KEY=VALUE ...]",
            help="A run's folder, or last; and settings of attack, verdict and backend.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="RUN", help="Make the examples on another run's model (transfer)."),
    ] = None,
    yes: Yes = False,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Attack the images that a run classifies correctly, and say what the figures are worth.

    Examples: qshield attack; qshield attack last attack=pgd,apgd attack.epsilon=0.1; qshield attack last
    attack=paper; qshield attack last attack=pgd attack.epsilon=0:0.3:7
    """
    which, dotted = split_arguments(arguments)
    run = runs.load_run(which or "last")
    maker = None if source is None else runs.load_run(source)
    with stdout_kept_for_json(json):
        with _bars() as announce:
            rows = judgement.attack_run(
                run, dotted, source=maker, terms=terms(yes=yes, fresh=fresh), announce=announce
            )
        with checks_in_progress() as progress:
            verdict = judgement.standing_verdict(run, dotted, progress=progress)
    if json:
        emit({"run": str(run.folder.path), "rows": rows, "verdict": verdict and verdict["verdict"]})
        return
    attacked = config.override(run.config, dotted, KEYS)
    title = f"{runs.describe(attacked)}\n{rows[0]['n']:,} test images, seed {rows[0]['seed']}"
    stdout.print(robustness_table(title, rows))
    stdout.print()
    if verdict is None:
        stdout.print("verdict  none of this device: it would take hundreds of jobs", soft_wrap=True)
    else:
        stdout.print(verdict_line(verdict), soft_wrap=True)
    stdout.print(f"run   {run.folder.path}", soft_wrap=True)
    to_judge = verdict is None or verdict["quick"]
    say_next("verdict" if to_judge else "report", run.folder.path)


@contextlib.contextmanager
def _bars() -> Iterator[judgement.Announce]:
    """Show a bar for the running attack, on stderr."""
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TextColumn("fooled {task.fields[fooled]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def announce(name: str, epsilon: float | None) -> Any:
            for finished in progress.task_ids:
                progress.remove_task(finished)
            radius = "" if epsilon is None else f", epsilon {epsilon:.3g}"
            bar = progress.add_task(f"{name}{radius}", total=None, fooled=0)

            def show(done: int, total: int, fooled: int) -> None:
                progress.update(bar, completed=done, total=total, fooled=fooled)

            return show

        yield announce
