"""Work on one cell: train, attack, judge; whatever is there already is not done again."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from qshield_qiskit import judgement, runs
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.recording import worst_case_share
from qshield_qiskit.reporting.robustness import WORST_CASE
from qshield_qiskit.reporting.sweep_folder import DONE, FAILED, RUNNING, RUNS, Record, SweepFolder
from qshield_qiskit.runs import METRICS, Run
from qshield_qiskit.sweeps.cell import Cell

_ONE_AT_A_TIME = threading.Lock()  # the generators that a seed sets belong to the whole process

SECONDS_BETWEEN_NOTES = 0.5


def work_on(cell: Cell, folder: Path, working_directory: Path) -> Record:
    """Do what is left to do of a cell, in whichever process; a failure is written down, not raised.

    Args:
        cell: The cell.
        folder: The sweep's.
        working_directory: Where names such as ./circuits/mine.py are looked for.

    Returns:
        Its record, as it is kept in cells/.
    """
    sweep = SweepFolder(folder)
    with _ONE_AT_A_TIME, contextlib.chdir(working_directory):
        sweep.lock(cell.training).parent.mkdir(parents=True, exist_ok=True)
        with FileLock(sweep.lock(cell.training)):  # another process may share the run, or still be dying
            keeper = _Keeper(sweep, cell)
            try:
                _work(cell, sweep, keeper)
            except Exception as error:
                keeper.fail(error)
            return keeper.record


def _work(cell: Cell, sweep: SweepFolder, keeper: _Keeper) -> None:
    run = _run(cell, sweep)
    keeper.note(force=True, run=str(run.folder.path.relative_to(sweep.path)), doing="train")
    if not (run.folder.path / METRICS).is_file():
        run = runs.train(cell.settings, resume=run)
    seconds = float(run.metrics["train_seconds"]) + float(run.metrics["inference_seconds"])
    keeper.note(force=True, odr=run.metrics["odr"], train_seconds=seconds, seconds=seconds)
    rows: dict[str, list[dict[str, Any]]] = {}
    for group, dotted in cell.attacks.items():
        with keeper.attacking(group) as announce:
            rows[group] = judgement.attack_run(run, dotted, announce=announce, anew=False)
        rows[group] = [row for row in rows[group] if row["attack"] != WORST_CASE]
        seconds += sum(row["seconds"] for row in rows[group])
        keeper.note(force=True, seconds=seconds, rows=rows, worst_case=_worst(run.folder, rows))
    if cell.verdict != "none":
        keeper.note(force=True, doing="verdict")
        found = judgement.verdict_once(run, quick=cell.verdict == "quick", progress=keeper.checking)
        failed = [check["name"] for check in found["checks"] if check["passed"] is False]
        seconds += found["seconds"]
        keeper.note(
            force=True, verdict=found["verdict"], failed_checks=failed, quick=found["quick"], seconds=seconds
        )
    keeper.note(force=True, state=DONE, doing=None)


def _run(cell: Cell, sweep: SweepFolder) -> Run:
    """Find the cell's run by the hash of its settings, or make its folder."""
    folder = sweep.run(cell.training)
    if folder is None:
        folder = RunFolder.create(
            sweep.path, RUNS, cell.settings.seed, cell.settings.to_yaml(), suffix=f"-{cell.training}"
        )
    return Run(folder, cell.settings)


def _worst(folder: RunFolder, rows: dict[str, list[dict[str, Any]]]) -> dict[str, float]:
    """Give each group's worst case, of its bounded attacks in the largest ball; nothing without one."""
    shares = {group: worst_case_share(folder, of) for group, of in rows.items()}
    return {group: share for group, share in shares.items() if share is not None}


class _Keeper:
    """Keeps a cell's record up to date while it is worked on."""

    def __init__(self, sweep: SweepFolder, cell: Cell) -> None:
        self.sweep, self.digest = sweep, cell.digest
        before = sweep.record(cell.digest)
        self.record: Record = {
            **{name: value for name, value in before.items() if name != "failure"},
            "state": RUNNING,
            "doing": None,
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "attempts": before.get("attempts", 0) + 1,
        }
        self._written = 0.0
        self.note(force=True)

    def note(self, *, force: bool = False, **changes: Any) -> None:
        """Write changes down, at most twice a second unless it matters."""
        self.record |= changes
        now = time.monotonic()
        if force or now - self._written > SECONDS_BETWEEN_NOTES:
            self._written = now
            self.sweep.write_record(self.digest, self.record)

    def fail(self, error: Exception) -> None:
        """Set the cell aside with its reason."""
        doing = self.record["doing"] or "start"
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        failure = {"doing": doing, "reason": reason, "traceback": traceback.format_exc()}
        self.note(force=True, state=FAILED, doing=None, failure=failure)

    @contextlib.contextmanager
    def attacking(self, group: str) -> Iterator[judgement.Announce]:
        """Note which attack of a group is being run."""

        def announce(name: str, epsilon: float | None) -> None:
            self.note(doing=f"{group}: {name}")

        self.note(force=True, doing=group)
        yield announce

    def checking(self, name: str, number: int, total: int) -> None:
        """Note which check of the verdict is being run."""
        self.note(doing=f"verdict {number + 1}/{total}")
