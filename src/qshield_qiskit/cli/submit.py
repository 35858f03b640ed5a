"""Send a run's circuits to a device of IBM's and return at once; or say what they would cost."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from qshield_qiskit import assembly, hardware, runs
from qshield_qiskit.cli.console import (
    Fresh,
    Json,
    Yes,
    cost_lines,
    emit,
    split_arguments,
    stdout,
    stdout_kept_for_json,
    terms,
)


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN] backend=ibm_... [KEY=VALUE ...]",
            help="A run's folder, or last; and settings of backend and evaluation.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Send nothing; say what it would be and what it would cost.")
    ] = False,
    yes: Yes = False,
    fresh: Fresh = False,
    json: Json = False,
) -> None:
    """Submit the circuits of an evaluation; qshield evaluate, with the same settings, fetches and counts them.

    Examples: qshield submit last backend=ibm_runtime evaluation.images=100 --dry-run; qshield submit last
    backend=ibm_torino evaluation.images=100
    """
    which, dotted = split_arguments(arguments)
    run = runs.load_run(which or "last")
    with stdout_kept_for_json(json):
        plan, model = hardware.submit_run(run, dotted, terms=terms(yes=yes, fresh=fresh), dry=dry_run)
    assert model.backend is not None
    cost = plan.total
    if json:
        jobs = [{"tag": job.tag, "job_id": job.job_id, "state": job.state} for job in plan.jobs]
        emit(
            {
                "run": str(run.folder.path),
                "backend": model.backend.name,
                "calibration": assembly.calibration(model),
                "cost": None if cost is None else cost.as_dict(),
                "jobs": jobs,
            }
        )
        return
    stdout.print(f"{run.folder.path} on {model.backend.name}", highlight=False, soft_wrap=True)
    if cost is not None:
        stdout.print(cost_lines(cost), highlight=False)
    elif dry_run:
        stdout.print("nothing would be sent: the job ledger has it all", highlight=False)
    for job in plan.jobs:
        stdout.print(f"job   {job.job_id or job.tag}  {job.state}", highlight=False, soft_wrap=True)
    words = shlex.join(
        ["qshield", "submit" if dry_run else "evaluate", str(run.folder.path), *dotted, *["--fresh"] * fresh]
    )
    watch = "" if dry_run else "qshield jobs watch, then "
    stdout.print(f"next  {watch}{words}", highlight=False, soft_wrap=True)
