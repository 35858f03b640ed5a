"""Run a trained model on several backends, on clean and on attacked images, and report the gaps."""

from __future__ import annotations

from typing import Annotated

import typer

from qshield_qiskit import gap, runs
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
from qshield_qiskit.reporting.tables import comparison_table


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] backend=A,B[,...] [KEY=VALUE ...]",
            help="A run's folder, or last; the backends, the first of which makes the examples; and settings of attack "
            "and backend.",
        ),
    ] = None,
    yes: Yes = False,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Make adversarial examples on the first backend, cheaply, and try them on the others.

    Examples: qshield compare last backend=aer_noisy,fake_torino; qshield compare last backend=aer_noisy,fake_torino
    attack=pgd attack.epsilon=0.1 attack.images=200 backend.shots=10000
    """
    which, dotted = split_arguments(arguments)
    run = runs.load_run(which or "last")
    with stdout_kept_for_json(json), console.status("comparing") as status:
        comparison = gap.compare_run(run, dotted, terms=terms(yes=yes, fresh=fresh), announce=status.update)
    if json:
        emit({**comparison, "run": str(run.folder.path)})
        return
    stdout.print(comparison_table(runs.describe(run.config), comparison))
    stdout.print(f"run   {run.folder.path}", soft_wrap=True)
