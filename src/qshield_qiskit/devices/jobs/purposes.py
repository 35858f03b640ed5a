"""What the ledger has of one purpose, for those who need no service to ask."""

from __future__ import annotations

from qshield_qiskit.devices.jobs.job import Job
from qshield_qiskit.devices.jobs.ledger import Ledger


def device_in_use(purpose: str) -> str | None:
    """Name the device that a purpose's last jobs went to, so that "the least busy one" stays the same one."""
    names = [job.backend for job in _jobs(purpose)]
    return names[-1] if names else None


def was_sent(purpose: str) -> bool:
    """Tell whether any job was sent for a purpose, or may have been."""
    return any(job.job_id is not None or job.state == "submitting" for job in _jobs(purpose))


def _jobs(purpose: str) -> list[Job]:
    with Ledger.if_there() as ledger:
        return [job for job in ledger.jobs() if job.purpose == purpose]
