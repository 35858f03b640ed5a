"""IBM Runtime's executor-based primitives: one PUB in, one job out, and arrays from its result.

The same code serves a device and local testing mode; `mode` is all that differs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import Target
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler
from qiskit_ibm_runtime.utils.utils import is_isa_circuit

from qshield_qiskit.devices.measuring import MEASURED, frequencies
from qshield_qiskit.errors import InputError

DEFAULT_SHOTS = 4096
"""Shots where a backend has primitives only and the user names none."""

DECOUPLING = ("XX", "XpXm", "XY4")


@dataclass(frozen=True)
class PrimitiveOptions:
    """How primitives suppress and mitigate errors; kept beside every result.

    Args:
        resilience_level: Of the Estimator: 0 none, 1 readout mitigation (TREX), 2 zero-noise extrapolation as well.
        twirling: Whether two-qubit gates are twirled over random Paulis.
        dynamical_decoupling: Sequence of pulses for idle qubits, one of `DECOUPLING`; None for none.

    Raises:
        InputError: A value is out of range.
    """

    resilience_level: int = 1
    twirling: bool = False
    dynamical_decoupling: str | None = None

    def __post_init__(self) -> None:
        if self.resilience_level not in (0, 1, 2):
            raise InputError(f"backend.resilience_level={self.resilience_level}: expected 0, 1 or 2")
        if not isinstance(self.twirling, bool):
            raise InputError(f"backend.twirling={self.twirling}: expected true or false")
        if self.dynamical_decoupling not in (None, *DECOUPLING):
            raise InputError(
                f"backend.dynamical_decoupling={self.dynamical_decoupling}: expected null or {', '.join(DECOUPLING)}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Give the options as plain values."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class IsaPub:
    """A PUB as a device runs it.

    Attributes:
        circuit: In the device's gates on the device's qubits; measured into the register `MEASURED` if there are no
            observables.
        values: (P, T) radians, columns in the order of `circuit.parameters`.
        observables: On the device's qubits; None reads the measurements.
        shots: How often each set of angles is run.
    """

    circuit: QuantumCircuit
    values: NDArray[np.float64]
    observables: tuple[SparsePauliOp, ...] | None
    shots: int

    @property
    def primitive(self) -> str:
        """Which primitive runs it."""
        return "sampler" if self.observables is None else "estimator"


def submit(
    pub: IsaPub,
    mode: Any,
    target: Target,
    options: PrimitiveOptions,
    *,
    tags: Sequence[str] = (),
    seed: int | None = None,
) -> Any:
    """Hand one PUB to the primitive that it is for.

    Args:
        pub: The PUB.
        mode: A device, a `Batch` of one, or a local simulator.
        target: The gates and couplings that the circuit is held to before it is sent.
        options: Of the primitive.
        tags: Tags of the job, by which the service finds it again.
        seed: Seed of a local simulator.

    Returns:
        The runtime job.

    Raises:
        InputError: The circuit is not written in the device's gates.
    """
    complaint = is_isa_circuit(pub.circuit, target)
    if complaint:
        raise InputError(f"circuit {pub.circuit.name!r} is not in the device's own gates: {complaint}")
    primitive = Sampler(mode=mode) if pub.observables is None else Estimator(mode=mode)
    chosen = primitive.options
    chosen.environment.job_tags = list(tags)
    chosen.twirling.enable_gates = options.twirling
    if options.dynamical_decoupling is not None:
        chosen.dynamical_decoupling.enable = True
        chosen.dynamical_decoupling.sequence_type = options.dynamical_decoupling
    if seed is not None:
        chosen.simulator.seed_simulator = seed
    if pub.observables is None:
        return primitive.run([(pub.circuit, pub.values)], shots=pub.shots)
    chosen.resilience_level = options.resilience_level
    rows = [[observable] for observable in pub.observables]  # (m, 1) against (P,) values
    return primitive.run([(pub.circuit, rows, pub.values)], precision=_precision(pub.shots))


def _precision(shots: int) -> float:
    """Give the precision for which the client counts so many shots, and not one more by rounding."""
    precision = 1 / math.sqrt(shots)
    while math.ceil(1 / precision**2) > shots:
        precision = math.nextafter(precision, math.inf)
    return precision


def figures(result: Any, pub: IsaPub) -> NDArray[np.float64]:
    """Read what a job gave.

    Args:
        result: The job's `PrimitiveResult`.
        pub: What it was asked.

    Returns:
        (P, 2**n) relative frequencies of outcomes, or (P, m) expectation values.
    """
    return answers(result, pub.primitive)["figures"]


def answers(result: Any, primitive: str) -> dict[str, NDArray[np.float64]]:
    """Read all that is worth keeping of a job's result.

    Args:
        result: The job's `PrimitiveResult`.
        primitive: "sampler" or "estimator".

    Returns:
        "figures" as the function `figures` gives them, and for expectation values their "standard_errors", (P, m).
    """
    data = result[0].data
    if primitive == "sampler":
        return {"figures": frequencies(data[MEASURED])}
    arrays = {"figures": data.evs, "standard_errors": data.stds}
    return {name: np.asarray(array, dtype=np.float64).T for name, array in arrays.items()}
