"""Measure a trained run, on another backend if asked for."""

from __future__ import annotations

from typing import Annotated

import typer

from qshield_qiskit import evaluation, runs
from qshield_qiskit.cli.console import (
    Fresh,
    Json,
    Yes,
    console,
    emit,
    split_arguments,
    stdout,
    stdout_kept_for_json,
    terms,
)
from qshield_qiskit.reporting.tables import results_table


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [KEY=VALUE ...]",
            help="A run's folder, or last; and settings of backend and evaluation.",
        ),
    ] = None,
    yes: Yes = False,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Measure a run on its test images; nothing is retrained.

    Examples: qshield evaluate; qshield evaluate last backend=fake_torino evaluation.images=100
    """
    which, dotted = split_arguments(arguments)
    run = runs.load_run(which or "last")
    with stdout_kept_for_json(json):
        figures = evaluation.evaluate(run, dotted, terms=terms(yes=yes, fresh=fresh))
    if json:
        emit({**figures, "run": str(run.folder.path)})
        return
    calibration = figures["calibration"]
    device = f", calibration {calibration['device']} of {calibration['taken_at'][:10]}" if calibration else ""
    shots = f", {figures['shots']:,} shots" if figures["shots"] else ""
    title = f"{run.folder.path} on {figures['backend']}{device}\n{figures['n']:,} test images{shots}"
    stdout.print(results_table(title, [(f"seed {figures['seed']}", figures)]))
    if "stopped" in figures:
        console.print(f"stopped: {figures['stopped']}", soft_wrap=True)
