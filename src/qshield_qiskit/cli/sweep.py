"""Train, attack and judge a whole grid of runs, here or on a cluster, and table what comes of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qshield_qiskit.cli.console import (
    Json,
    console,
    emit,
    say_next,
    split_arguments,
    stdout,
    stdout_kept_for_json,
)
from qshield_qiskit.reporting.sweep_folder import DONE, FAILED
from qshield_qiskit.reporting.sweep_results import from_parquet
from qshield_qiskit.reporting.sweep_table import sheets
from qshield_qiskit.sweeps.live import watching
from qshield_qiskit.sweeps.sweep import plan_sweep, run_sweep


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXPERIMENT] [KEY=VALUE,... ...]",
            help="An experiment's name or file, and settings; commas make an axis: circuit=none,full seed=0,1,2.",
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Local processes; by default as many as there are cores.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads that torch uses in each.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="A dask scheduler, tcp://HOST:PORT, whose workers share this folder."
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of its folder in runs/sweeps/; the experiment's unless given.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try cells that failed before again.")
    ] = False,
    json: Json = False,
) -> None:
    """Run every cell of a grid; killed and called again, it goes on where it was.

    Examples: qshield sweep paper/digits; qshield sweep mnist circuit=none,full seed=0,1,2 --workers 4
    """
    experiment, dotted = split_arguments(arguments)
    with stdout_kept_for_json(json):
        sweep = plan_sweep(experiment, dotted, name=name, threads=threads)
        try:
            with watching(console) as watch:
                results = run_sweep(
                    sweep,
                    scheduler=scheduler,
                    count=workers,
                    threads=threads,
                    retry_failed=retry_failed,
                    watch=watch,
                )
        except KeyboardInterrupt:
            console.print("stopped; the same command goes on")
            raise
    failed = sweep.in_state(FAILED)
    summary: dict[str, Any] = {
        "sweep": str(sweep.folder.path),
        "results": str(results),
        "cells": len(sweep.cells),
        "done": len(sweep.in_state(DONE)),
        "failed": [{"cell": cell.label, **sweep.folder.record(cell.digest)["failure"]} for cell in failed],
    }
    if json:
        emit(summary)
    else:
        for sheet in sheets(from_parquet(results)):
            stdout.print()
            stdout.print(sheet.to_rich())
        stdout.print()
        stdout.print(f"results {results}", highlight=False, soft_wrap=True)
        say_next("report", sweep.folder.path, width=8)
    if failed:
        raise typer.Exit(1)
