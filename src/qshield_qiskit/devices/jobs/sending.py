"""Sending one job: written down before, found again by its tag after whatever went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from qiskit_ibm_runtime import Batch

from qshield_qiskit.devices.jobs.collecting import Collector
from qshield_qiskit.devices.jobs.cost import Cost
from qshield_qiskit.devices.jobs.job import Job
from qshield_qiskit.devices.jobs.reaching import LOST_NOTHING, Say, log, reach
from qshield_qiskit.devices.primitives import IsaPub, PrimitiveOptions, submit
from qshield_qiskit.devices.service.connection import find_device, is_paused
from qshield_qiskit.devices.service.errors import ServiceError, UnansweredError, speaking
from qshield_qiskit.devices.service.patience import RATE_LIMIT, status_of
from qshield_qiskit.errors import InputError


class Sender:
    """Send jobs to one device, all in one batch.

    Args:
        collector: Asks the service, and knows the ledger.
        device: Name of the device.
        options: Of the primitives.
        batch: Whether to send jobs in a `Batch`; where the account's plan has none, they go one by one.
        say: Takes a line on everything worth knowing.
    """

    def __init__(
        self,
        collector: Collector,
        device: str,
        options: PrimitiveOptions,
        *,
        batch: bool = True,
        say: Say = log,
    ) -> None:
        self.collector = collector
        self.ledger = collector.ledger
        self.waiting = collector.waiting
        self.options = options
        self.say = say
        self._name = device
        self._device: Any = None
        self._wants_batch = batch
        self._batch: Batch | None = None

    @property
    def device(self) -> Any:
        """The device, asked for once.

        Raises:
            ServiceError: It is gone, or the service does not answer.
        """
        if self._device is None:
            self._device, paused = reach(self._find, self._name, self.waiting.sending, self.say)
            if paused:
                self.say(f"the queue of {self._name} is paused: its jobs wait until IBM resumes it")
        return self._device

    def _find(self) -> tuple[Any, bool]:
        device = find_device(self.collector.service, self._name)
        return device, is_paused(device)

    def send(
        self,
        job: Job,
        pub: Callable[[Any], IsaPub],
        *,
        calibration: str | None,
        layout: Sequence[int],
        cost: Cost,
        purpose: str,
        limit: float | None,
    ) -> None:
        """Send a job, unless it was sent, or another process is at it.

        Args:
            job: The job.
            pub: Lays the job's PUB out on the device that it is given.
            calibration: When the calibration was taken that it is laid out for.
            layout: Qubits of the device that the user's qubits start on.
            cost: What it is expected to cost.
            purpose: What the answer is for.
            limit: QPU seconds that jobs of this purpose on the device may come to; None for no limit.

        Raises:
            BudgetReached: It would go beyond the limit.
            InputError: The service refused, or does not answer. Nothing is lost.
        """
        now: Job | None = self.ledger.read(job)
        if now is not None and now.state == "submitting":
            now = self._take_over(now)
        if now is None or now.state not in {"planned", "submitting"}:
            return
        try:
            isa = pub(self.device)
            begun = self.ledger.begin(
                now,
                isa.circuit,
                calibration=calibration,
                layout=layout,
                cost=cost.as_dict(),
                purpose=purpose,
                limit=limit,
            )
        except BaseException:
            self.ledger.release(now, refused=True)  # its tag was asked for: the service does not have it
            raise
        if begun is None:
            return
        try:
            self.ledger.submitted(begun, self._post(begun, isa))
        finally:
            self.ledger.release(begun)  # changes nothing once the id is there

    def close(self) -> None:
        """Send no more jobs; those that were sent run to their end."""
        if self._batch is None:
            return
        batch, self._batch = self._batch, None
        try:
            reach(batch.close, self._name, 0.0, self.say)
        except ServiceError as error:  # IBM closes it by itself before long
            self.say(str(error))

    def _take_over(self, job: Job) -> Job | None:
        """Ask for a job that another process may have sent before it ended; None if there is nothing to send."""
        adopted = self.ledger.adopt(job)
        if adopted is None:
            return None
        try:
            # Its last attempt may have come long after the claim, just before this.
            job_id = self.collector.find(adopted, self.waiting.settle)
        except BaseException:
            self.ledger.release(adopted)
            raise
        if job_id is None:
            return adopted
        self.say(f"job {job_id} had been sent before its id could be written down")
        self.ledger.submitted(adopted, job_id)
        return None

    def _post(self, job: Job, isa: IsaPub) -> str:
        """Hand a job to the service once, and give its id."""
        deadline, pause = time.monotonic() + self.waiting.sending, 0.25
        unsure = reopened = False
        while True:
            mode = self._mode()
            try:
                with speaking(self._name):
                    remote = submit(isa, mode, self.device.target, self.options, tags=[job.tag, "qshield"])
                break
            except UnansweredError as error:
                if status_of(error) != RATE_LIMIT:
                    unsure = True
                    found = self.collector.find(job, self.waiting.settle)
                    if found is not None:
                        return found
                if time.monotonic() + pause > deadline:
                    raise UnansweredError(f"{error}{LOST_NOTHING}") from error
                self.say(f"{error}; trying again")
            except InputError:
                if self._batch is not None and not reopened and not self._accepts_jobs(self._batch):
                    self._batch, reopened = None, True
                    continue
                self.ledger.release(job, refused=not unsure)
                raise
            time.sleep(pause)
            pause = 2 * pause
        job_id = str(remote.job_id())
        if unsure:  # an earlier attempt may have been taken after all, and be listed only now
            job_id = self.collector.find(job, self.waiting.settle, remote) or job_id
        if job_id == remote.job_id():
            self.collector.remember(job, remote)
        return job_id

    def _mode(self) -> Any:
        """Give the batch to send jobs in, or the device if there is none."""
        if self._wants_batch and self._batch is None:
            device = self.device
            try:
                self._batch = reach(lambda: Batch(backend=device), self._name, self.waiting.sending, self.say)
            except UnansweredError:
                raise
            except ServiceError as error:
                self.say(f"{error}; jobs are sent one by one")
                self._wants_batch = False
        return self._batch or self.device

    def _accepts_jobs(self, batch: Batch) -> bool:
        details = reach(batch.details, self._name, self.waiting.sending, self.say)
        return bool(details and details.get("accepting_jobs"))
