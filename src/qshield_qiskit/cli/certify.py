"""Certify a trained run: radii within which predictions cannot change, whatever the attack."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from qshield_qiskit import certification, config, runs
from qshield_qiskit.cli.console import (
    Fresh,
    Json,
    Yes,
    console,
    emit,
    say_next,
    split_arguments,
    stdout,
    stdout_kept_for_json,
    terms,
)
from qshield_qiskit.reporting.tables import certificate_table
from qshield_qiskit.subjects import KEYS


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [KEY=VALUE ...]",
            help="A run's folder, or last; and settings of certificate and backend.",
        ),
    ] = None,
    yes: Yes = False,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Find for every image the radius within which its class is certain, and say how many images that is.

    Examples: qshield certify; qshield certify last certificate=smoothing certificate.sigma=0.5 certificate.n=10000;
    qshield certify last certificate=lipschitz certificate.norm=linf certificate.images=50
    """
    which, dotted = split_arguments(arguments)
    run = runs.load_run(which or "last")
    with stdout_kept_for_json(json), _bars() as announce:
        rows = certification.certify_run(run, dotted, terms=terms(yes=yes, fresh=fresh), announce=announce)
    if json:
        emit({"run": str(run.folder.path), "rows": rows})
        return
    described = runs.describe(config.override(run.config, dotted, KEYS))
    applying = [row for row in rows if row["applies"]]
    if applying:
        about = f"certified accuracy, n = {rows[0]['n']}, seed {rows[0]['seed']}, radii in pixel values"
        title = f"{described}\n{about}"
        stdout.print(certificate_table(title, applying))
        stdout.print()
    said = dict.fromkeys((row["certificate"], row["bound"], row["says"]) for row in rows)
    for certificate, bound, says in said:
        name = f"[bold]{certificate}{f' ({bound})' if bound else ''}[/]"
        stdout.print(f"{name}: {says}", highlight=False, soft_wrap=True)
    stdout.print(f"run   {run.folder.path}", highlight=False, soft_wrap=True)
    say_next("report", run.folder.path)


@contextlib.contextmanager
def _bars() -> Iterator[certification.Announce]:
    """Show a bar for the running certificate, on stderr."""
    columns = (
        TextColumn("{task.description:<24}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def announce(name: str) -> Any:
            for finished in progress.task_ids:
                progress.remove_task(finished)
            bar = progress.add_task(name, total=None)

            def show(done: int, total: int) -> None:
                progress.update(bar, completed=done, total=total)

            return show

        yield announce
