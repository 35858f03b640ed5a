"""Judge whether a run's robustness figures may be believed."""

from __future__ import annotations

from typing import Annotated

import typer

from qshield_qiskit import config, judgement, runs
from qshield_qiskit.cli.console import (
    Fresh,
    Json,
    Yes,
    checks_in_progress,
    emit,
    split_arguments,
    stdout,
    stdout_kept_for_json,
    terms,
)
from qshield_qiskit.reporting.tables import verdict_line, verdict_table
from qshield_qiskit.subjects import KEYS


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] [KEY=VALUE ...]",
            help="A run's folder, or last; and settings of verdict, attack (epsilon, eot) and backend.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Weaker attacks: an answer in a minute.")] = False,
    yes: Yes = False,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Run the fourteen checks; a hard one that fails means that gradients are masked.

    It never says that a model is robust. Examples: qshield verdict; qshield verdict last --quick attack.epsilon=0.1
    """
    which, dotted = split_arguments(arguments)
    run = runs.load_run(which or "last")
    with stdout_kept_for_json(json), checks_in_progress() as progress:
        verdict = judgement.judge_run(
            run, dotted, quick=quick, terms=terms(yes=yes, fresh=fresh), progress=progress
        )
    if json:
        emit(verdict)
        return
    settings = config.override(run.config, dotted, KEYS)
    title = (
        f"{runs.describe(settings)}\n{verdict['n']} test images, epsilon {verdict['epsilon']:.4g}, "
        f"eot {verdict['eot']}, seed {verdict['seed']}, {verdict['seconds']:.0f} s"
    )
    stdout.print(verdict_table(title, verdict))
    stdout.print()
    stdout.print(verdict_line(verdict), soft_wrap=True)
    stdout.print(f"run   {run.folder.path}", soft_wrap=True)
