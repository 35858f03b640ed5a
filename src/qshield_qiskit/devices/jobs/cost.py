"""What a PUB costs on a device, before it is paid for. These are estimates; a device's bill is its own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from qiskit_ibm_runtime.executor.calculate_twirling_shots import calculate_twirling_shots

from qshield_qiskit.devices.compiling.success import log_success, seconds_of
from qshield_qiskit.devices.measuring import bases_of
from qshield_qiskit.devices.primitives import IsaPub, PrimitiveOptions
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration

REP_DELAY = 250e-6
"""Seconds that IBM's devices wait between two shots unless told otherwise."""

JOB_OVERHEAD = 2.0
"""QPU seconds that a job takes besides its shots: IBM's own figure for preparing a device."""

NOISE_FACTORS = (1, 3, 5)
"""How often zero-noise extrapolation folds each gate."""


@dataclass(frozen=True)
class Limits:
    """What a device takes in one job, as IBM documents it.

    Args:
        executions: Circuits times shots.
        seconds: QPU time.
    """

    executions: int = 10_000_000
    seconds: float = 3 * 3600.0


@dataclass(frozen=True)
class Cost:
    """An estimate for one job, or for several together.

    Attributes:
        jobs: Number of jobs.
        circuits: Circuits for each set of angles: one for each basis that the observables need, times the noise
            factors of zero-noise extrapolation.
        sets: Sets of angles.
        shots: Shots of each circuit.
        executions: Circuits that are run, one for each shot, those that learn the readout's noise included.
        depth: Of the transpiled circuit, delays and barriers left out.
        two_qubit_gates: Of the transpiled circuit.
        seconds: QPU seconds:  jobs · 2 s + Σ executions · (delay between shots + duration of the circuit).
        fidelity: Chance that one run of the circuit meets no error, by the calibration.
    """

    jobs: int
    circuits: int
    sets: int
    shots: int
    executions: int
    depth: int
    two_qubit_gates: int
    seconds: float
    fidelity: float

    def as_dict(self) -> dict[str, Any]:
        """Give the figures as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Rate:
    """What determines the cost of a PUB but for the number of its sets.

    Attributes:
        once: The cost of a job of no sets.
        executions: That each set adds.
        seconds: That each set adds.
    """

    once: Cost
    executions: int
    seconds: float

    def of(self, sets: int) -> Cost:
        """Estimate the cost of one job."""
        return replace(
            self.once,
            jobs=1,
            sets=sets,
            executions=self.once.executions + sets * self.executions,
            seconds=self.once.seconds + sets * self.seconds,
        )

    def parts(self, sets: int, limits: Limits) -> list[tuple[int, int]]:
        """Cut sets of angles into as few jobs of about equal size as the limits allow.

        Raises:
            InputError: Not even one set fits.
        """
        largest = int(
            min(
                (limits.executions - self.once.executions) / self.executions,
                (limits.seconds - self.once.seconds) / self.seconds,
            )
        )
        if largest < 1:
            alone = self.of(1)
            raise InputError(
                f"one set of angles takes {alone.executions:,} executions and {alone.seconds:,.0f} QPU seconds, but a "
                f"job may take {limits.executions:,} and {limits.seconds:,.0f}; set fewer backend.shots"
            )
        count = math.ceil(sets / largest)
        bounds = [sets * i // count for i in range(count + 1)]
        return list(itertools.pairwise(bounds))


def rate(
    pub: IsaPub, calibration: Calibration, options: PrimitiveOptions, *, rep_delay: float = REP_DELAY
) -> Rate:
    """Estimate what running a PUB costs.

    Args:
        pub: On the calibration's qubits.
        calibration: Lengths and errors of gates and readout.
        options: Of the primitive.
        rep_delay: Seconds between two shots.
    """
    lasts = seconds_of(pub.circuit, calibration)
    factors: tuple[int, ...] = (1,)
    if pub.observables is None:
        bases, learning, twirled = 1, 0, options.twirling
    else:
        lasts += max(
            calibration.qubits[place].readout_length or 0.0 for place in range(calibration.num_qubits)
        )
        bases = len(bases_of(pub.observables))
        factors = NOISE_FACTORS if options.resilience_level == 2 else (1,)
        twirled = options.twirling or options.resilience_level >= 1
        learning = _twirled(pub.shots) if options.resilience_level >= 1 else 0
    once = Cost(
        jobs=0,
        circuits=bases * len(factors),
        sets=0,
        shots=pub.shots,
        executions=learning,
        depth=pub.circuit.depth(lambda step: step.operation.name not in {"delay", "barrier"}),
        two_qubit_gates=sum(
            step.operation.num_qubits == 2 for step in pub.circuit.data if step.name != "barrier"
        ),
        seconds=JOB_OVERHEAD + learning * (rep_delay + lasts),
        fidelity=math.exp(log_success(pub.circuit, calibration)),
    )
    each = bases * (_twirled(pub.shots) if twirled else pub.shots)
    return Rate(once, each * len(factors), each * sum(rep_delay + factor * lasts for factor in factors))


def _twirled(shots: int) -> int:
    """Round shots up to whole randomizations, as the primitives do."""
    randomizations, shots_of_each = calculate_twirling_shots(shots, "auto", "auto")
    return int(randomizations * shots_of_each)


def total(costs: Iterable[Cost]) -> Cost | None:
    """Add up costs of jobs; depth, gates and fidelity are those of the worst. None for no job at all."""
    found = list(costs)
    if not found:
        return None
    return Cost(
        jobs=sum(cost.jobs for cost in found),
        circuits=max(cost.circuits for cost in found),
        sets=sum(cost.sets for cost in found),
        shots=max(cost.shots for cost in found),
        executions=sum(cost.executions for cost in found),
        depth=max(cost.depth for cost in found),
        two_qubit_gates=max(cost.two_qubit_gates for cost in found),
        seconds=sum(cost.seconds for cost in found),
        fidelity=min(cost.fidelity for cost in found),
    )
