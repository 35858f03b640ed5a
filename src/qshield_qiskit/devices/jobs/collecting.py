"""Finding jobs at the service, and bringing their results into the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

from qshield_qiskit.devices.jobs.job import Job, State
from qshield_qiskit.devices.jobs.ledger import Ledger
from qshield_qiskit.devices.jobs.reaching import Say, Waiting, log, reach
from qshield_qiskit.devices.primitives import answers
from qshield_qiskit.devices.service.connection import open_service
from qshield_qiskit.devices.service.errors import JobNotFoundError, ServiceError, without_secrets
from qshield_qiskit.devices.service.patience import status_of

_ENDS: dict[str, State] = {"ERROR": "failed", "CANCELLED": "cancelled"}


class Collector:
    """Ask the service about the ledger's jobs.

    Args:
        ledger: Where the jobs are written down.
        service: Opens the service when it is first needed.
        waiting: How long to wait for an answer.
        say: Takes a line on everything worth knowing.
    """

    def __init__(
        self,
        ledger: Ledger,
        service: Callable[[], Any] = open_service,
        waiting: Waiting | None = None,
        say: Say = log,
    ) -> None:
        self.ledger = ledger
        self.waiting = waiting or Waiting()
        self.say = say
        self._open = service
        self._service: Any = None
        self._remote: dict[str, Any] = {}

    @property
    def service(self) -> Any:
        """The service, opened once."""
        if self._service is None:
            self._service = self._open()
        return self._service

    def find(self, job: Job, settle: float, sent: Any = None) -> str | None:
        """Look for a job whose id never arrived, on every instance of the account.

        Args:
            job: The job.
            settle: Seconds to go on looking while the service lists none, or not what was sent just now.
            sent: The client's view of a copy that the service has taken just now. Once the list has that one, it has
                those that came before it, too.

        Returns:
            The id of the job with that tag; should there be several, of the first, and the others are cancelled.
        """
        service = self.service  # opened by now: a failure to open it is told at once
        until, pause = time.monotonic() + settle, 0.1
        while True:
            found = reach(lambda: service.tagged(job.tag), f"job {job.tag}", self.waiting.sending, self.say)
            missing = sent is not None and sent.job_id() not in {copy.job_id() for copy in found}
            if (found and not missing) or time.monotonic() >= until:
                break
            time.sleep(pause)
            pause = min(2 * pause, 2.0)
        copies = [*found, sent] if missing else found
        for twin in copies[1:]:
            self._cancel(twin)
            self.say(f"job {twin.job_id()} is a second copy of {copies[0].job_id()} and was cancelled")
        return str(copies[0].job_id()) if copies else None

    def locate(self, job: Job, settle: float = 0.0) -> Job:
        """Write down the id of a job that nobody is submitting any more, if the service has it.

        Args:
            job: The job.
            settle: Seconds to go on looking while the service lists none; where it would be given up otherwise.
        """
        adopted = self.ledger.adopt(job)
        if adopted is not None:
            try:
                job_id = self.find(adopted, settle)
                if job_id is not None:
                    self.ledger.submitted(adopted, job_id)
            finally:
                self.ledger.release(adopted)
        return self.ledger.read(job)

    def look(self, job: Job) -> tuple[Job, str]:
        """Look at a submitted job once, and store what it has come to.

        Returns:
            The job as it is now, and its status in the service's words.

        Raises:
            ServiceError: The service does not know the job, or does not answer.
        """
        remote = self._at_service(job)
        status = str(self._patiently(job, remote.status))
        if status == "DONE":
            self.ledger.finish(job, answers(self._patiently(job, remote.result), job.primitive))
        elif status in _ENDS:
            message = " ".join((self._patiently(job, remote.error_message) or "").split())
            why = without_secrets(message.removeprefix(f"Job {job.job_id} has failed: "))
            self.ledger.give_up(job, _ENDS[status], why or None)
        if status == "DONE" or status in _ENDS:
            self.remark(job)
        return self.ledger.read(job), status

    def cancel(self, job: Job) -> Job:
        """Cancel a job at the service and write that down; one that has ended is only looked at."""
        if job.state == "submitting":
            job = self.locate(job, self.waiting.settle)
        if job.state == "submitted":
            try:
                self._cancel(self._at_service(job))
                self._remote.pop(job.tag)  # the client takes its status for granted now
                self.look(job)
            except JobNotFoundError:
                self.ledger.give_up(job, "cancelled", "the service does not know it any more")
        unsent = job.state == "planned" or (job.state == "submitting" and job.owner is None)
        if unsent and not self.ledger.drop(job):  # another process is sending it, or has
            return self.cancel(self.ledger.read(job))
        return self.ledger.read(job)

    def remark(self, job: Job) -> None:
        """Ask what a job that has ended is charged for, and under which calibration it ran."""
        try:
            remote = self._at_service(job)
            usage = reach(remote.metrics, f"job {job.job_id}", 0.0, self.say).get("usage") or {}
        except ServiceError as error:  # it can be asked for later; the results are here
            self.say(str(error))
            return
        seconds = usage.get("qpu_charge_time_seconds")
        charged = None if seconds is None or usage.get("status", "pending") == "pending" else float(seconds)
        self.ledger.remark(job, usage=charged, calibration_at_run=_calibration_at_run(remote))

    def bring_in(self, jobs: Sequence[Job]) -> list[Job]:
        """Look once at every job that is on its way, and at the charge of those that have ended.

        Returns:
            The jobs as they are now.
        """
        for job in jobs:
            now = self.locate(job) if job.state == "submitting" else self.ledger.read(job)
            if now.state == "submitted":
                self.look(now)
            elif now.job_id is not None and now.usage_seconds is None:
                self.remark(now)
        return [self.ledger.read(job) for job in jobs]

    def remember(self, job: Job, remote: Any) -> None:
        """Keep the client's view of a job that was just submitted."""
        self._remote[job.tag] = remote

    def _at_service(self, job: Job) -> Any:
        if job.tag not in self._remote:
            service = self.service
            try:
                found = self._patiently(job, lambda: service.job(job.job_id))
            except JobNotFoundError as error:
                raise JobNotFoundError(
                    f"{error}; if it is gone for good: qshield jobs cancel {job.tag}"
                ) from error
            self._remote[job.tag] = found
        return self._remote[job.tag]

    def _cancel(self, remote: Any) -> None:
        try:
            reach(remote.cancel, f"job {remote.job_id()}", self.waiting.sending, self.say)
        except ServiceError as error:
            if status_of(error) != 409:  # it has ended
                raise

    def _patiently(self, job: Job, action: Callable[[], Any]) -> Any:
        """Ask about a job that is on its way; a while without answers is lived with."""
        return reach(action, f"job {job.job_id}", self.waiting.outage, self.say)


def _calibration_at_run(remote: Any) -> str | None:
    """Tell when the calibration was taken that was in force when a job ran, if the service still knows."""
    try:
        return str(remote.properties().last_update_date.astimezone(UTC).isoformat())
    except Exception:  # the device may be gone; a result is worth more than its date
        return None
