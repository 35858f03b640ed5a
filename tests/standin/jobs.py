"""The stand-in's jobs and the queue that works them off, one after the other."""

from __future__ import annotations

import threading
import time
import traceback
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from standin.device import StandInDevice

PENDING, FINAL = ("Queued", "Running"), ("Completed", "Failed", "Cancelled")


@dataclass
class Job:
    """A job that was accepted."""

    device: StandInDevice
    program_id: str
    params: dict[str, Any]
    tags: list[str]
    instance: str
    session_id: str | None = None
    cost: int | None = None
    end: str | None = None  # "fails" or "too long" where the plan says so
    says: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:20])
    state: str = "Queued"
    reason: str | None = None
    reason_code: int | None = None
    result: str = ""
    executions: int = 0
    timestamps: dict[str, str] = field(default_factory=dict)
    accepted_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.stamp("created")

    def stamp(self, event: str) -> None:
        self.timestamps[event] = datetime.now(UTC).isoformat().replace("+00:00", "Z")

    @property
    def seconds(self) -> float:
        """What it is charged for: two seconds, and a quarter of a millisecond for each execution."""
        return round(2 + 250e-6 * self.executions, 3) if self.executions else 0.0

    def view(self, *, with_params: bool) -> dict[str, Any]:
        state = {"status": self.state, "reason": self.reason, "reason_code": self.reason_code}
        too_long = self.reason_code == 1305
        return {
            "id": self.id,
            "backend": self.device.name,
            "state": {key: value for key, value in state.items() if value is not None},
            "status": "Cancelled - Ran too long" if too_long else self.state,
            "program": {"id": self.program_id},
            "created": self.timestamps["created"],
            "ended": self.timestamps.get("finished"),
            "tags": self.tags,
            "session_id": self.session_id,
            "cost": self.cost,
            "usage": {"seconds": self.seconds},
            "estimated_running_time_seconds": 2.5,
            **({"params": self.params} if with_params else {}),
        }


class Queue:
    """Jobs in the order in which they came, executed by one thread.

    Args:
        seconds: How long every job waits at least.
        held: Wait until `release` before anything runs.
        seed: Seed of Aer, for results that are the same every time.
    """

    def __init__(self, seconds: float = 0.0, *, held: bool = False, seed: int | None = None) -> None:
        self.jobs: dict[str, Job] = {}
        self.seconds = seconds
        self.seed = seed
        self._held = held
        self._closed = False
        self._changed = threading.Condition()
        self._worker = threading.Thread(target=self._work, name="stand-in queue", daemon=True)
        self._worker.start()

    def add(self, job: Job) -> None:
        with self._changed:
            self.jobs[job.id] = job
            self._changed.notify_all()

    def hold(self) -> None:
        """Start nothing more until `release`."""
        with self._changed:
            self._held = True

    def release(self) -> None:
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def cancel(self, job: Job) -> bool:
        """Cancel a job; False if it has ended."""
        with self._changed:
            if job.state in FINAL:
                return False
            self._end(job, "Cancelled", "Cancelled by user")
            return True

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._worker.join(timeout=30)

    def _work(self) -> None:
        while True:
            with self._changed:
                job = self._next()
                while job is None and not self._closed:
                    self._changed.wait(0.05)
                    job = self._next()
                if self._closed or job is None:
                    return
                job.state = "Running"
                job.stamp("running")
            self._run(job)

    def _next(self) -> Job | None:
        if self._held:
            return None
        due = time.monotonic() - self.seconds
        ready = (j for j in self.jobs.values() if j.state == "Queued" and j.accepted_at <= due)
        return next((job for job in ready if not job.device.paused), None)

    def _run(self, job: Job) -> None:
        try:
            result, executions = job.device.run(job.params, self.seed)
        except Exception as error:
            with self._changed:
                job.result = traceback.format_exc()
                self._end(job, "Failed", f"{type(error).__name__}: {error}")
            return
        with self._changed:
            if job.state != "Running":
                return  # cancelled meanwhile
            job.executions = executions
            if job.end == "fails":
                self._end(job, "Failed", job.says, 1517)
            elif job.end == "too long" or (job.cost and job.seconds > job.cost):
                self._end(job, "Cancelled", "Ran too long", 1305)
            else:
                job.result = result
                self._end(job, "Completed")

    def _end(self, job: Job, state: str, reason: str | None = None, code: int | None = None) -> None:
        job.state, job.reason, job.reason_code = state, reason, code
        job.stamp("finished")
