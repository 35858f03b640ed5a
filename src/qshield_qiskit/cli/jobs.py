"""List, watch, fetch, cancel or show the jobs that were sent to devices."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import typer
from rich.live import Live

from qshield_qiskit.cli.console import Json, console, emit, stdout
from qshield_qiskit.cli.job_tables import job_table, jobs_table, states
from qshield_qiskit.devices.jobs.job import STATES, Job
from qshield_qiskit.devices.jobs.ledger import Ledger
from qshield_qiskit.errors import InputError, unknown

app = typer.Typer(
    add_completion=False,
    help="The ledger: runs/jobs.sqlite, or the file that QSHIELD_LEDGER names; without a command, list it.",
)

Which = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[JOB ...]", help="Tags, ids or numbers of jobs, or their beginnings; all if left out."
    ),
]


@app.callback(invoke_without_command=True)
def _jobs(context: typer.Context, json: Json = False) -> None:
    if context.invoked_subcommand is None:
        list_jobs(json=json)


@app.command("list")
def list_jobs(
    which: Which = None,
    state: Annotated[
        str | None, typer.Option(help="Only jobs in this state, such as submitted or done.")
    ] = None,
    json: Json = False,
) -> None:
    """List jobs, the oldest first. Nobody is asked; to hear from the service, fetch or watch."""
    if state not in {None, *STATES}:
        raise unknown("state", str(state), STATES)
    with Ledger.if_there() as ledger:
        jobs = [job for job in _chosen(ledger, which) if state in {None, job.state}]
        if json:
            emit({"ledger": ledger.path, "jobs": [asdict(job) for job in jobs]})
        elif jobs:
            stdout.print(jobs_table(jobs))
        else:
            console.print(f"no {state or ''} jobs in {ledger.path}".replace("  ", " "))


@app.command()
def show(
    which: Annotated[str, typer.Argument(metavar="JOB", help="Tag, id or number of a job, or a beginning.")],
    json: Json = False,
) -> None:
    """Show all that is known of a job: what was asked, where it ran, what it cost, what came back."""
    with Ledger.if_there() as ledger:
        job = ledger.find(which)
        results = ledger.results(job) if job.state == "done" else {}
        if json:
            figures = {name: array.tolist() for name, array in results.items()}
            emit({**asdict(job), "results": figures or None})
            return
        stdout.print(job_table(job, results, ledger.circuit(job)))


@app.command()
def fetch(which: Which = None, json: Json = False) -> None:
    """Bring in what is done, and say how the others stand; waits for nothing."""
    with Ledger.if_there() as ledger:
        jobs = _collector(ledger, at_once=True).bring_in(_concerned(ledger, which))
        _report(ledger, jobs, json)


@app.command()
def watch(
    which: Which = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="Pause between two looks.")] = 10.0,
    json: Json = False,
) -> None:
    """Wait until jobs are done, and bring their results in; exit status 1 if one gave no answer."""
    with Ledger.if_there() as ledger:
        collector = _collector(ledger)
        jobs = _concerned(ledger, which)
        with Live(jobs_table(jobs), console=console, transient=True, auto_refresh=False) as live:
            while True:
                jobs = collector.bring_in(jobs)
                live.update(jobs_table(jobs), refresh=True)
                if not any(job.state == "submitted" or job.is_held for job in jobs):
                    break
                time.sleep(seconds)
        _report(ledger, jobs, json)
        if any(job.state in {"failed", "cancelled"} for job in jobs):
            raise typer.Exit(1)


@app.command()
def cancel(
    which: Which = None,
    every: Annotated[bool, typer.Option("--all", help="Cancel every job that is not done.")] = False,
    json: Json = False,
) -> None:
    """Cancel jobs at the service; what has ended already is fetched instead."""
    if not which and not every:
        raise InputError("cancel which jobs? name them as qshield jobs list does, or say --all")
    with Ledger.if_there() as ledger:
        chosen = _chosen(ledger, which)
        alive = [job for job in chosen if job.state in {"planned", "submitting", "submitted"}]
        collector = _collector(ledger, at_once=True)
        cancelled = {job.number: collector.cancel(job) for job in alive}
        _report(ledger, [cancelled.get(job.number, job) for job in (chosen if which else alive)], json)


def _collector(ledger: Ledger, *, at_once: bool = False) -> Any:
    """Make what asks the service; at once: it does not wait out a service that is down."""
    # the client takes seconds to import
    from qshield_qiskit.devices.jobs.collecting import Collector  # noqa: PLC0415
    from qshield_qiskit.devices.jobs.reaching import Waiting  # noqa: PLC0415

    waiting = Waiting(sending=0.0, outage=0.0) if at_once else Waiting()
    return Collector(ledger, waiting=waiting, say=partial(console.print, markup=False))


def _chosen(ledger: Ledger, which: Sequence[str] | None) -> list[Job]:
    return [ledger.find(name) for name in which] if which else ledger.jobs()


def _concerned(ledger: Ledger, which: Sequence[str] | None) -> list[Job]:
    """Give the jobs to hear about: those named, else those that are, or may be, at the service."""
    if which:
        return _chosen(ledger, which)
    return [job for job in ledger.jobs() if job.state in {"submitting", "submitted"} or _uncharged(job)]


def _uncharged(job: Job) -> bool:
    return job.state in {"done", "failed"} and job.job_id is not None and job.usage_seconds is None


def _report(ledger: Ledger, jobs: Sequence[Job], json: bool) -> None:
    if json:
        emit({"ledger": ledger.path, "jobs": [asdict(job) for job in jobs]})
        return
    if jobs:
        stdout.print(jobs_table(jobs))
    console.print(states(jobs) or f"no jobs are on their way in {ledger.path}")
    if any(job.state == "submitting" and not job.is_held for job in jobs):
        console.print(
            "the service does not have those that are submitting; the command that wanted them sends them again"
        )
