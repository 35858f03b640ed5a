"""Running PUBs on IBM's service so that no job is lost or paid for twice, whatever happens meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.jobs.collecting import Collector
from qshield_qiskit.devices.jobs.cost import REP_DELAY, Cost, Limits, total
from qshield_qiskit.devices.jobs.draws import Draws
from qshield_qiskit.devices.jobs.job import DEAD, Ask, Job
from qshield_qiskit.devices.jobs.ledger import BudgetReached, Ledger, default_path
from qshield_qiskit.devices.jobs.outcomes import BudgetSpent, JobsLost, Plan
from qshield_qiskit.devices.jobs.reaching import Say, Waiting, log
from qshield_qiskit.devices.jobs.request import Request
from qshield_qiskit.devices.jobs.sending import Sender
from qshield_qiskit.devices.primitives import DEFAULT_SHOTS, PrimitiveOptions
from qshield_qiskit.devices.service.connection import open_service
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.pub import Pub


class ServiceExecutor:
    """Answer PUBs from the ledger, and from a device what the ledger does not know.

    Every PUB becomes as few jobs as the device's limits allow, all in one batch. While `planning()` or
    `submitting()` nothing is waited for, and answers that are not there yet are NaN. Use it as a context manager: it
    closes the batch.

    Args:
        backend: The device's qubits in use; its name is the device's, and its calibration the latest.
        service: Opens IBM's service once it is needed; what the ledger knows needs none.
        options: Of the primitives.
        ledger: Its file; None for `ledger.default_path()`.
        purpose: What the answers are for, such as a run's folder. The budget counts the jobs of this purpose on this
            device, earlier processes' too.
        max_qpu_seconds: QPU seconds that they may come to; None for no limit.
        fresh: Make new draws of PUBs that are in the ledger.
        confirm: Told what all jobs of a PUB cost before the first one is sent, it says whether to; asked again each
            time that what was sent has doubled, for nobody knows how many PUBs follow. None: yes.
        batch: Whether to send jobs in a `Batch`; where the account's plan has none, they go one by one.
        limits: Of one job.
        waiting: How long to wait for what.
        rep_delay: Seconds that the device waits between two shots.
        say: Takes a line on everything worth knowing.
        kept: Whether the backend's calibration is an earlier one, which is said before the first job is sent.

    Raises:
        InputError: The backend has no calibration.
    """

    def __init__(
        self,
        backend: Backend,
        service: Callable[[], Any] = open_service,
        *,
        options: PrimitiveOptions | None = None,
        ledger: Path | None = None,
        purpose: str = "",
        max_qpu_seconds: float | None = None,
        fresh: bool = False,
        confirm: Callable[[Cost], bool] | None = None,
        batch: bool = True,
        limits: Limits | None = None,
        waiting: Waiting | None = None,
        rep_delay: float = REP_DELAY,
        say: Say = log,
        kept: bool = False,
    ) -> None:
        if backend.calibration is None:
            raise InputError(f"{backend.name} has no calibration; a device's is needed to lay circuits out")
        self.backend = backend
        self.calibration: Calibration = backend.calibration
        self.options = options or PrimitiveOptions()
        self.purpose = purpose
        self.max_qpu_seconds = max_qpu_seconds
        self.fresh = fresh
        self.confirm = confirm
        self._priced = self._agreed = 0.0  # QPU seconds
        self.limits = limits or Limits()
        self.rep_delay = rep_delay
        self.waiting = waiting or Waiting()
        self.say = say
        self._kept = kept
        self._service = service
        self._path = default_path() if ledger is None else ledger
        self._batch = batch
        self._mode: Literal["wait", "submit", "plan"] = "wait"
        self._plan = Plan()
        self._draws: Draws | None = None
        self._unanswered: set[tuple[str, int]] = set()

    def run(self, pub: Pub, seed: int = 0) -> NDArray[np.float64]:
        """Run a PUB.

        Args:
            pub: The PUB; without shots it gets `DEFAULT_SHOTS`.
            seed: Of no use to a device.

        Returns:
            (P, 2**n) relative frequencies of outcomes, or (P, m) expectation values; NaN for what is not there yet,
            while planning or submitting.

        Raises:
            BudgetSpent: The budget does not allow the next job; carries what there is.
            JobsLost: A job failed or was cancelled; the others are kept.
            InputError: Nobody said yes, or the service refused or did not answer. Nothing is lost.
        """
        request = Request(
            replace(pub, shots=pub.shots or DEFAULT_SHOTS),
            self.backend,
            self.calibration,
            self.options,
            self.limits,
            self.rep_delay,
        )
        if self._mode == "plan":
            return self._only_plan(request)
        ask = self._drawn(request, self._own_draws)
        jobs = self.ledger.known(ask)
        self._ask_before_paying(request, jobs)
        if not jobs or any(job.state in DEAD for job in jobs):
            jobs = self.ledger.plan(ask, [] if jobs else request.parts)
        self._unanswered.add((ask.key[0], ask.draw))
        for job in jobs:
            self._send(request, job)
        if self._mode == "submit":
            jobs = [self.ledger.read(job) for job in jobs]
            self._plan.jobs.extend(jobs)
        else:
            jobs = [self._wait(request, job) for job in jobs]
        figures, answered = self._figures(request.pub, jobs)
        if request.stop is not None and self.max_qpu_seconds is not None:
            raise BudgetSpent(figures, answered, request.stop.spent, request.stop.more, self.max_qpu_seconds)
        lost = [job for job in jobs if job.state in DEAD]
        if lost:
            raise JobsLost(lost)
        if answered.all():
            self._unanswered.discard((ask.key[0], ask.draw))
        return figures

    @contextmanager
    def planning(self) -> Iterator[Plan]:
        """Meanwhile only say what would be sent: nothing is written, and the service is not asked.

        Yields:
            The plan, which grows with every PUB.
        """
        mode, plan = self._mode, self._plan
        self._mode, self._plan = "plan", Plan()
        try:
            yield self._plan
        finally:
            self._mode, self._plan = mode, plan
            self.__dict__.pop("_planned_draws", None)
            self.__dict__.pop("_planning_ledger", None)

    @contextmanager
    def submitting(self) -> Iterator[Plan]:
        """Meanwhile submit everything, and wait for nothing.

        Yields:
            The jobs. The same PUBs, asked for again afterwards, are answered by them.
        """
        mode, plan = self._mode, self._plan
        self._mode, self._plan = "submit", Plan()
        try:
            with self._own_draws.not_counted():
                yield self._plan
        finally:
            self._mode, self._plan = mode, plan

    def close(self) -> None:
        """Send no more jobs; those that were sent run to their end."""
        if "_sender" in self.__dict__:
            self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if kind is None and self._draws is not None and not self._unanswered:
            self._draws.finish()

    @cached_property
    def ledger(self) -> Ledger:
        """Where jobs are written down; made if it is missing."""
        return Ledger(self._path)

    @cached_property
    def collector(self) -> Collector:
        """Asks the service about jobs."""
        return Collector(self.ledger, self._service, self.waiting, self.say)

    @cached_property
    def _sender(self) -> Sender:
        return Sender(self.collector, self.backend.name, self.options, batch=self._batch, say=self.say)

    @property
    def _own_draws(self) -> Draws:
        if self._draws is None:
            self._draws = Draws(self.ledger, self.purpose, self.backend.name, fresh=self.fresh)
        return self._draws

    @cached_property
    def _planning_ledger(self) -> Ledger:
        """The ledger, but one that is missing is not made."""
        return self.ledger if self._path.exists() else Ledger.if_there(self._path)

    @cached_property
    def _planned_draws(self) -> Draws:
        if self._draws is not None:
            return self._draws.copy()
        return Draws(self._planning_ledger, self.purpose, self.backend.name, fresh=self.fresh, pretend=True)

    def _drawn(self, request: Request, draws: Draws) -> Ask:
        return draws.next(Ask(request.pub, self.backend.name, self.options, 0, self.purpose))

    def _only_plan(self, request: Request) -> NDArray[np.float64]:
        jobs = self._planning_ledger.known(self._drawn(request, self._planned_draws))
        self._plan.costs.extend(request.unpaid(jobs))
        self._plan.jobs.extend(job for job in jobs if job.state not in {"planned", *DEAD})
        if self._plan.costs:
            self._plan.layout = request.layout
        return self._figures(request.pub, jobs, self._planning_ledger)[0]

    def _ask_before_paying(self, request: Request, jobs: Sequence[Job]) -> None:
        """Ask before the first job is sent, and again whenever all that was sent has doubled."""
        cost = total(request.unpaid(jobs))
        if self.confirm is None or cost is None:
            return
        before, self._priced = self._priced, self._priced + cost.seconds
        if self._priced <= self._agreed:
            return
        if before:
            self.say(f"about {before:,.0f} s of the device's time were sent so far, and there is more:")
        if not self.confirm(cost):
            raise InputError(f"nothing{' more' * bool(before)} was sent: nobody said yes; say so with --yes")
        self._agreed = 2 * self._priced

    def _send(self, request: Request, job: Job) -> None:
        """Send a job if nobody has; once the budget stops one, only look for what may have been sent already."""
        if job.state in {"submitted", "done", *DEAD} or (job.state == "planned" and request.stop is not None):
            return
        cost = request.cost(job)
        if self._kept:
            self.say(
                f"{self.backend.name} did not give its calibration when it was asked: what is sent now is laid out for "
                f"that of {self.calibration.taken_at:%Y-%m-%d %H:%M %Z}"
            )
            self._kept = False
        try:
            self._sender.send(
                job,
                lambda device: request.on(device, job),
                calibration=self.calibration.taken_at.isoformat(),
                layout=request.layout,
                cost=cost,
                purpose=self.purpose,
                limit=self.max_qpu_seconds,
            )
        except BudgetReached as stop:
            request.stop = stop

    def _wait(self, request: Request, job: Job) -> Job:
        """Wait for a job's end, whoever sent it; send it if whoever was about to is gone."""
        pause, last = self.waiting.poll, ""
        while True:
            job = self.ledger.read(job)
            if job.state == "submitted":
                job, status = self.collector.look(job)
                if status != last:
                    self.say(f"job {job.job_id} on {job.backend}: {status.lower()}")
                last = status
            elif not job.is_held:
                self._send(request, job)
                if request.stop is None and self.ledger.read(job) != job:
                    continue
            if job.state in {"done", *DEAD} or (job.state == "planned" and request.stop is not None):
                return job
            time.sleep(pause)
            pause = min(1.5 * pause, self.waiting.longest_poll)

    def _figures(
        self, pub: Pub, jobs: Sequence[Job], ledger: Ledger | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Put the answers of jobs together: (P, outputs), NaN where there are none, and (P,) where there are."""
        figures = np.full((len(pub), pub.num_outputs), np.nan)
        answered = np.zeros(len(pub), dtype=bool)
        for job in jobs:
            if job.state == "done":
                figures[job.start : job.stop] = (ledger or self.ledger).results(job)["figures"]
                answered[job.start : job.stop] = True
        return figures, answered
