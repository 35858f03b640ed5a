"""`run_sweep`: expand a grid, run its cells wherever there are workers, and keep what came of them."""

from __future__ import annotations

import contextlib
import shlex
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distributed import wait

from qshield_qiskit.config import validate
from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.reporting.sweep_folder import (
    DONE,
    FAILED,
    RESULTS,
    RUNNING,
    SWEEPS,
    WAITING,
    Record,
    SweepFolder,
)
from qshield_qiskit.reporting.sweep_results import gather, to_parquet
from qshield_qiskit.runs import METRICS
from qshield_qiskit.sweeps.cell import Cell
from qshield_qiskit.sweeps.grid import expand
from qshield_qiskit.sweeps.work import work_on
from qshield_qiskit.sweeps.workers import workers

SECONDS_BETWEEN_LOOKS = 0.5

Watch = Callable[["Sweep"], Any]
"""Called again and again with the sweep while its cells run."""


@dataclass(frozen=True)
class Sweep:
    """A grid and its folder.

    Attributes:
        folder: Its files.
        cells: The cells, in order.
    """

    folder: SweepFolder
    cells: Sequence[Cell]

    def records(self) -> list[Record]:
        """Give what is known of each cell."""
        return [self.folder.record(cell.digest) for cell in self.cells]

    def in_state(self, *states: str) -> list[Cell]:
        """List the cells that are in one of these states."""
        return [cell for cell in self.cells if self.folder.record(cell.digest)["state"] in states]


def plan_sweep(
    experiment: str | None,
    dotted: Sequence[str],
    *,
    name: str | None = None,
    threads: int = 1,
) -> Sweep:
    """Expand a grid and write it down; cells that were done before keep their results.

    Args:
        experiment: A name of experiments/ or a YAML file.
        dotted: Overrides; commas make axes.
        name: The sweep's name, and that of its folder; the experiment's unless given.
        threads: Threads that torch uses in every cell.

    Raises:
        InputError: A setting or value that does not exist, or a folder that cannot be written.
    """
    if name is not None:
        _check_name(name)
    settings, cells = expand(experiment, dotted, threads=threads)
    first = cells[0].settings
    folder = SweepFolder((first.runs / SWEEPS / (name or first.experiment)).resolve())
    words = ["qshield", "sweep", *([experiment] if experiment else []), *dotted]
    plan = {
        "name": name or first.experiment,
        "command": shlex.join([*words, *(["--name", name] if name else [])]),
        "axes": list(dict.fromkeys(axis for cell in cells for axis in cell.choices)),
        "groups": list(settings.attacks),
        "cells": [
            {
                "digest": cell.digest,
                "training": cell.training,
                "line": cell.line,
                "twin": cell.twin,
                "label": cell.label,
                "choices": dict(cell.choices),
                "settings": cell.settings.model_dump(mode="json"),
            }
            for cell in cells
        ],
    }
    try:
        folder.write_plan(plan)
    except OSError as error:
        raise InputError(f"{folder.path}: cannot be written ({error.strerror}); set runs=FOLDER") from error
    return Sweep(folder, cells)


def _check_name(name: str) -> None:
    """Refuse what an experiment, whose folder bears its name too, could not be called."""
    try:
        validate({"experiment": name})
    except InputError as error:
        raise InputError(
            f"--name {name or repr(name)}: expected a folder's name of letters, digits, . _ + - /"
        ) from error


def run_sweep(
    sweep: Sweep,
    *,
    scheduler: str | None = None,
    count: int | None = None,
    threads: int = 1,
    retry_failed: bool = False,
    watch: Watch | None = None,
) -> Path:
    """Run the cells that are not done, or whose run is gone, and write all results to one Parquet file.

    Killed at any moment, the same call goes on: finished parts of a cell are found in its run, and a training goes on
    from its last epoch.

    Args:
        sweep: The grid, from `plan_sweep`.
        scheduler: A dask scheduler's address; None for processes of this machine.
        count: How many local processes; None: as many as there are cores.
        threads: Threads in each.
        retry_failed: Whether cells that failed before are tried again.
        watch: Called about twice a second.

    Returns:
        The Parquet file.

    Raises:
        InputError: Nobody answers at the scheduler's address.
        KeyboardInterrupt: The user stopped it; what was finished is kept.
    """
    for cell in sweep.cells:
        if _has_lost_its_run(sweep.folder, sweep.folder.record(cell.digest)):
            sweep.folder.write_record(cell.digest, {"state": WAITING})
    again = (WAITING, RUNNING, FAILED) if retry_failed else (WAITING, RUNNING)
    left = sweep.in_state(*again)
    for cell in left:
        record = sweep.folder.record(cell.digest)
        record.pop("failure", None)
        sweep.folder.write_record(cell.digest, record | {"state": WAITING, "doing": None})
    try:
        if left:
            with workers(scheduler, count, threads) as client:
                _run(sweep, left, client, watch)
    finally:
        results = write_results(sweep.folder)
        if watch is not None:
            watch(sweep)
    return results


def _has_lost_its_run(folder: SweepFolder, record: Record) -> bool:
    """Say whether a training had ended whose run has been moved away or removed since."""
    return record.get("odr") is not None and not (folder.path / record["run"] / METRICS).is_file()


def write_results(folder: SweepFolder) -> Path:
    """Gather what the cells left behind, and write it as results.parquet."""
    path = folder.path / RESULTS
    write_atomically(path, to_parquet(gather(folder)))
    return path


def _run(sweep: Sweep, cells: Sequence[Cell], client: Any, watch: Watch | None) -> None:
    token = uuid.uuid4().hex[:8]  # a scheduler that lives on remembers keys
    futures = {
        client.submit(
            work_on,
            cell,
            sweep.folder.path,
            Path.cwd(),
            key=(f"qshield-{token}", cell.digest),
            pure=False,
        ): cell
        for cell in cells
    }
    waiting = set(futures)
    try:
        while waiting:
            with contextlib.suppress(TimeoutError):
                wait(  # type: ignore[no-untyped-call]
                    waiting, timeout=SECONDS_BETWEEN_LOOKS, return_when="FIRST_COMPLETED"
                )
            for future in [future for future in waiting if future.done()]:
                waiting.remove(future)
                _close(sweep, futures[future], future)
            if watch is not None:
                watch(sweep)
    finally:
        client.cancel(list(waiting), force=True)


def _close(sweep: Sweep, cell: Cell, future: Any) -> None:
    """Set a cell aside whose worker could not: it died with it again and again, or never saw the folder."""
    if future.status == "finished" and sweep.folder.record(cell.digest)["state"] in {DONE, FAILED}:
        return
    error = future.exception() if future.status == "error" else "its worker does not write to this folder"
    record = sweep.folder.record(cell.digest)
    reason = " ".join(f"{error}".split())
    failure = {"doing": record.get("doing") or "start", "reason": reason, "traceback": ""}
    sweep.folder.write_record(cell.digest, record | {"state": FAILED, "doing": None, "failure": failure})
