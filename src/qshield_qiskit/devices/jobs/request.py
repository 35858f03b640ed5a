"""A PUB on its way to a device: how it is laid out, which jobs it takes, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.jobs.cost import Cost, Limits, Rate, rate
from qshield_qiskit.devices.jobs.job import DEAD, Job
from qshield_qiskit.devices.jobs.ledger import BudgetReached
from qshield_qiskit.devices.laying_out import laid_out, on_device, start_layout
from qshield_qiskit.devices.primitives import IsaPub, PrimitiveOptions
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.pub import Pub


@dataclass
class Request:
    """A PUB on its way to a device; it is laid out only if something of it has to be sent.

    Attributes:
        pub: The PUB, on the user's qubits; its shots are set.
        backend: The device's qubits in use.
        calibration: The one that it is laid out for.
        options: Of the primitives.
        limits: Of one job.
        rep_delay: Seconds that the device waits between two shots.
        stop: The budget's refusal of a job; from then on none is sent.
    """

    pub: Pub
    backend: Backend
    calibration: Calibration
    options: PrimitiveOptions
    limits: Limits
    rep_delay: float
    stop: BudgetReached | None = None
    _wide: IsaPub | None = field(default=None, init=False, repr=False)

    @cached_property
    def isa(self) -> IsaPub:
        """The PUB in the device's gates, on the qubits in use."""
        return laid_out(self.pub, self.backend)

    @cached_property
    def layout(self) -> tuple[int, ...]:
        """Qubits of the device that the user's qubits start on."""
        return start_layout(self.isa.circuit, self.calibration.physical_qubits)

    @cached_property
    def rate(self) -> Rate:
        """What a set of angles costs."""
        return rate(self.isa, self.calibration, self.options, rep_delay=self.rep_delay)

    @cached_property
    def parts(self) -> list[tuple[int, int]]:
        """Bounds of the sets of angles that each job takes."""
        return self.rate.parts(len(self.pub), self.limits)

    def cost(self, job: Job) -> Cost:
        """Give what a job is expected to cost."""
        return self.rate.of(job.sets)

    def unpaid(self, jobs: Sequence[Job]) -> list[Cost]:
        """Give the cost of each job that is yet to be sent; of all parts, where there are no jobs."""
        if not jobs:
            return [self.rate.of(stop - start) for start, stop in self.parts]
        return [self.cost(job) for job in jobs if job.state in {"planned", *DEAD}]

    def on(self, device: Any, job: Job) -> IsaPub:
        """Give the part of a job on all qubits of the device."""
        if self._wide is None:
            self._wide = on_device(self.isa, self.calibration.physical_qubits, device.num_qubits)
        return replace(self._wide, values=self._wide.values[job.start : job.stop])
