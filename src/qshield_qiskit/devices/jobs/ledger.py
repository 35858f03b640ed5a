"""The ledger: every job that was ever sent to a device, in one SQLite file that several processes share.

A job is written down before it is submitted, and each step is a transaction of its own:

    planned -> submitting -> submitted -> done | failed | cancelled

Whoever finds a job `submitting` with nobody at it asks the service for its tag before sending it again. So a
process may be killed at any moment, and no job is lost, or paid for twice, as long as the service lists a job
within `Waiting.settle` seconds of taking it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit

from qshield_qiskit.devices.jobs import rows
from qshield_qiskit.devices.jobs.database import Database
from qshield_qiskit.devices.jobs.job import (
    DEAD,
    Ask,
    Job,
    State,
    circuit_from_bytes,
    circuit_to_bytes,
    packed,
    unpacked,
)
from qshield_qiskit.devices.jobs.ownership import this_process
from qshield_qiskit.devices.jobs.schema import APPLICATION, SCHEMA, UPGRADES, VERSION
from qshield_qiskit.errors import InputError

DEFAULT_PATH = Path("runs", "jobs.sqlite")


class BudgetReached(Exception):  # noqa: N818
    """Sending a job would spend more than was allowed.

    Attributes:
        spent: QPU seconds that are spent or promised already.
        more: QPU seconds that the job would take.
    """

    def __init__(self, spent: float, more: float) -> None:
        super().__init__(f"{spent:.1f} QPU seconds are spent, and {more:.1f} more are wanted")
        self.spent, self.more = spent, more


def default_path() -> Path:
    """Where the ledger lies: QSHIELD_LEDGER, else runs/jobs.sqlite."""
    return Path(os.environ.get("QSHIELD_LEDGER") or DEFAULT_PATH).expanduser()


class Ledger:
    """An open ledger; it may be used from several threads.

    Args:
        path: The file, made if it is missing; None for `default_path()`.

    Raises:
        InputError: The file is no ledger, is damaged, or is a newer version's.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = default_path() if path is None else path
        self.file = Database(
            self.path,
            SCHEMA,
            upgrades=UPGRADES,
            application=APPLICATION,
            version=VERSION,
            remedy="restore it, or set QSHIELD_LEDGER to another file",
        )

    @classmethod
    def if_there(cls, path: Path | None = None) -> Ledger:
        """Open a ledger whose file is not made if it is missing: then it is empty, and what is written is forgotten."""
        path = default_path() if path is None else path
        ledger = cls(path if path.exists() else Path(":memory:"))
        ledger.path = path
        return ledger

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def plan(self, ask: Ask, parts: Sequence[tuple[int, int]]) -> list[Job]:
        """Write down which jobs answer a PUB, unless that is known already.

        Args:
            ask: The PUB.
            parts: Bounds of the sets of angles that each job takes. A PUB that was planned before keeps the
                parts it has, whatever the device's limits are now.

        Returns:
            The jobs in the order of their parts. One that failed or was cancelled is replaced by a new one.
        """
        with self.file.writing() as db:
            known = rows.known(db, ask)
            bounds = [(job.start, job.stop) for job in known] or list(parts)
            if not known:
                rows.note_question(db, ask)
            attempts = [job.attempt + 1 if job.state in DEAD else None for job in known] or [0] * len(parts)
            for (start, stop), attempt in zip(bounds, attempts, strict=True):
                if attempt is not None:
                    rows.insert(db, ask, start, stop, attempt)
            return rows.known(db, ask)

    def known(self, ask: Ask) -> list[Job]:
        """Give the jobs that a PUB was planned as, the latest attempt at each part; none if it never was."""
        with self.file.reading() as db:
            return rows.known(db, ask)

    def recognised(self, ask: Ask) -> Ask:
        """Tell whether a PUB was asked before, but for the last bits of its angles.

        Angles that a network computes differ in their last bits with the number of threads or the size of a batch. A
        PUB whose fingerprint is new counts as a further draw of the nearest one that is the same otherwise and whose
        angles differ by `SAME_ANGLE` at most; what is sent are its own angles.

        Returns:
            The question, under the fingerprint of the one that it repeats.
        """
        with self.file.reading() as db:
            return rows.recognised(db, ask)

    def begin(
        self,
        job: Job,
        circuit: QuantumCircuit,
        *,
        calibration: str | None,
        layout: Sequence[int],
        cost: dict[str, Any],
        purpose: str,
        limit: float | None = None,
    ) -> Job | None:
        """Write down that a job is about to be submitted by this process, if nobody else is at it.

        Args:
            job: The job.
            circuit: As it is sent.
            calibration: When the calibration was taken that it was laid out for.
            layout: Qubits of the device that the user's qubits start on.
            cost: What it is expected to cost, with a key "seconds".
            purpose: What this process wants the answer for, whoever planned it: who sends, pays.
            limit: QPU seconds that jobs of this purpose on this device may come to; None for no limit.

        Returns:
            The job as it is now; None if another process has it, or had it.

        Raises:
            BudgetReached: It would go beyond the limit; nothing is written.
        """
        with self.file.writing() as db:
            mine = job.state == "planned" or (job.state == "submitting" and job.owner == this_process())
            if not mine or self.read(job).claim != job.claim:
                return None
            if limit is not None:
                spent = rows.spent(db, purpose, job.backend, besides=job)
                if spent + cost["seconds"] > limit:
                    raise BudgetReached(spent, cost["seconds"])
            rows.change(
                db,
                job,
                state="submitting",
                purpose=purpose,
                owner=this_process(),
                claimed_at=rows.now(),
                circuit=circuit_to_bytes(circuit),
                calibration=calibration,
                layout=json.dumps(list(layout)),
                cost=json.dumps(cost),
                expected_seconds=cost["seconds"],
            )
        return self.read(job)

    def adopt(self, job: Job) -> Job | None:
        """Take over a job whose submission nobody is at any more; ask for its tag before sending it again.

        Returns:
            The job as it is now; None if there is nothing to take over.
        """
        with self.file.writing() as db:
            now = self.read(job)
            if now.state != "submitting" or now.is_held:
                return None
            rows.change(db, job, owner=this_process(), claimed_at=rows.now())
            return self.read(job)

    def release(self, job: Job, *, refused: bool = False) -> None:
        """Let go of a job that this process was submitting; if somebody else has it by now, nothing happens.

        Args:
            job: The job, as `begin` or `adopt` gave it.
            refused: The service certainly does not have it. Otherwise it might, and its tag will tell.
        """
        with self.file.writing() as db:
            if job.state == "submitting" and self.read(job).claim == job.claim:
                rows.change(db, job, owner=None, **{"state": "planned"} if refused else {})

    def submitted(self, job: Job, job_id: str) -> None:
        """Write down the id that the service gave a job."""
        with self.file.writing() as db:
            if self.read(job).state == "submitting":
                rows.change(db, job, state="submitted", owner=None, job_id=job_id, submitted_at=rows.now())

    def finish(self, job: Job, results: dict[str, NDArray[np.float64]]) -> bool:
        """Store results, once and for all.

        Args:
            job: The job.
            results: Arrays by name; "figures" is what the PUB asked for.

        Returns:
            Whether they were stored now; False if they had been before.
        """
        blob = packed(**results)
        with self.file.writing() as db:
            arrived = self.read(job).state != "done"
            if arrived:
                rows.change(
                    db, job, state="done", owner=None, results=blob, finished_at=rows.now(), error=None
                )
            return arrived

    def drop(self, job: Job) -> bool:
        """Write down that a job which was never sent is cancelled, unless somebody has begun it since it was read."""
        with self.file.writing() as db:
            unchanged = self.read(job).claim == job.claim
            if unchanged:
                rows.change(
                    db,
                    job,
                    state="cancelled",
                    owner=None,
                    error=None,
                    finished_at=rows.now(),
                    usage_seconds=0.0,
                )
            return unchanged

    def give_up(self, job: Job, state: State, error: str | None = None) -> None:
        """Write down that a job failed or was cancelled."""
        with self.file.writing() as db:
            if self.read(job).state != "done":
                rows.change(db, job, state=state, owner=None, error=error, finished_at=rows.now())

    def remark(self, job: Job, *, usage: float | None, calibration_at_run: str | None) -> None:
        """Write down what the service says of a job that has ended.

        Args:
            job: The job.
            usage: QPU seconds charged; None where that is not settled.
            calibration_at_run: When the calibration was taken that was in force when the job ran.
        """
        with self.file.writing() as db:
            rows.change(db, job, usage_seconds=usage, calibration_at_run=calibration_at_run)

    def results(self, job: Job) -> dict[str, NDArray[np.float64]]:
        """Read the results of a job that is done."""
        return unpacked(self._blob(job, "results"), f"{self.path}: the result of job {job.tag}")

    def values(self, job: Job) -> NDArray[np.float64]:
        """Read the angles of a job: (sets, T) radians."""
        return unpacked(self._blob(job, "parameter_values"), f"{self.path}: the angles of job {job.tag}")[
            "values"
        ]

    def circuit(self, job: Job) -> QuantumCircuit | None:
        """Read the circuit of a job as it was sent; None if it never was."""
        blob = self._blob(job, "circuit")
        if blob is None:
            return None
        return circuit_from_bytes(blob, f"{self.path}: the circuit of job {job.tag}")

    def read(self, job: Job) -> Job:
        """Read a job as it is now."""
        with self.file.reading() as db:
            return rows.read(db, job)

    def jobs(self, *states: State) -> list[Job]:
        """List the jobs in some states, or all, the oldest first."""
        with self.file.reading() as db:
            return [job for job in rows.every(db) if not states or job.state in states]

    def find(self, which: str) -> Job:
        """Find a job by its tag, its id, its number, or the beginning of tag or id.

        Raises:
            InputError: No job, or more than one, is called that.
        """
        jobs = self.jobs()
        found = [job for job in jobs if which in {job.tag, job.job_id, str(job.number)}]
        found = found or [
            job
            for job in jobs
            if any(name.startswith(which) for name in (job.tag, job.short_tag, job.job_id or ""))
        ]
        if len(found) != 1 or not which:
            several = f"{len(found)} jobs are" if found else "no job is"
            raise InputError(f"{several} called {which!r} in {self.path}; see: qshield jobs list")
        return found[0]

    def spent(self, purpose: str, backend: str) -> float:
        """Sum up the QPU seconds of a purpose on a device: charged where that is known, else expected."""
        with self.file.reading() as db:
            return rows.spent(db, purpose, backend)

    def _blob(self, job: Job, column: str) -> Any:
        with self.file.reading() as db:
            return rows.blob(db, job, column)
