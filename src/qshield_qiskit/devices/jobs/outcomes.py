"""What may come of asking a device, besides an answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qshield_qiskit import errors
from qshield_qiskit.devices.jobs.cost import Cost, total
from qshield_qiskit.devices.jobs.job import Job


@dataclass
class Plan:
    """What would be sent, or was.

    Attributes:
        costs: Of each job that is not in the ledger yet.
        jobs: Those that are: at the service, or done.
        layout: Qubits of the device that the user's qubits start on, of the last PUB that would be sent.
    """

    costs: list[Cost] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    layout: tuple[int, ...] | None = None

    @property
    def total(self) -> Cost | None:
        """What is still to be paid for; None if nothing is."""
        return total(self.costs)


class BudgetSpent(errors.BudgetSpent):
    """The budget does not allow the next job; what there is can be used, and the rest can be had later.

    Attributes:
        figures: (P, outputs) as the executor would have given them, NaN where they are missing.
        answered: (P,) whether a set of angles was answered.
        spent: QPU seconds of this purpose on this device, expected where the charge is not known.
        limit: QPU seconds that were allowed.
    """

    def __init__(
        self,
        figures: NDArray[np.float64],
        answered: NDArray[np.bool_],
        spent: float,
        more: float,
        limit: float,
    ) -> None:
        super().__init__(
            f"backend.max_qpu_seconds={limit:g} is reached: {spent:.1f} s are spent and the next job takes about "
            f"{more:.1f} s; {answered.sum()} of {len(answered)} sets of angles are answered and kept; type the same "
            "command with a higher limit to go on"
        )
        self.figures, self.answered, self.spent, self.limit = figures, answered, spent, limit


class JobsLost(errors.UnavailableError):
    """Jobs failed or were cancelled; the others are kept, and the same command submits these anew.

    Attributes:
        jobs: Those that gave no answer.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        first = jobs[0]
        more = f" (and {len(jobs) - 1} more)" if len(jobs) > 1 else ""
        why = f": {first.error}" if first.error else ""
        super().__init__(
            f"job {first.job_id or first.tag} on {first.backend} {_WORDS[first.state]}{more}{why}; all other results "
            "are kept, and the same command submits it anew"
        )
        self.jobs = list(jobs)


_WORDS = {"failed": "failed", "cancelled": "was cancelled"}
