"""Backends named ibm_<device>: IBM's devices, and ibm_runtime for the least busy of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.jobs.ledger import default_path
from qshield_qiskit.devices.jobs.submission import ServiceExecutor
from qshield_qiskit.devices.local import RuntimeBackend
from qshield_qiskit.devices.primitives import PrimitiveOptions
from qshield_qiskit.devices.service.connection import open_service
from qshield_qiskit.devices.service.errors import ServiceError
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration


@dataclass(frozen=True, eq=False)
class ServiceBackend(RuntimeBackend):
    """A device of IBM's, reached through the job ledger.

    Attributes:
        max_qpu_seconds: Seconds of the device's time that one purpose may cost; None for no limit.
        terms: On what terms jobs are sent.
        kept: Whether its calibration is the last one seen, because the service gave none.
    """

    max_qpu_seconds: float | None = None
    terms: Terms = field(default_factory=Terms)
    kept: bool = False

    default_gradient: ClassVar[str] = "spsa"
    is_hardware: ClassVar[bool] = True

    def executor(self) -> ServiceExecutor:
        """Run PUBs on the device; what the ledger knows is not asked for again."""
        return ServiceExecutor(
            self,
            open_service,
            options=self.options,
            purpose=self.terms.purpose,
            max_qpu_seconds=self.max_qpu_seconds,
            fresh=self.terms.fresh,
            confirm=self.terms.confirm,
            say=self.terms.say,
            kept=self.kept,
        )

    def on(self, terms: Terms) -> ServiceBackend:
        """Give the same device on other terms."""
        return replace(self, terms=terms)


def build(
    device: str,
    num_qubits: int,
    resilience_level: int = 1,
    twirling: bool = False,
    dynamical_decoupling: str | None = None,
    max_qpu_seconds: float | None = None,
) -> ServiceBackend:
    """Make the backend of a device's best connected qubits, by its calibration of this hour.

    The calibration is kept beside the ledger. Should the service not answer, or the device be gone, the last one
    serves: what the ledger has can still be had, and whatever needs the device says what is wrong, or for which
    calibration it was laid out.

    Args:
        device: Name of the device without "ibm_"; "runtime" for the least busy one that is large enough.
        num_qubits: How many of its qubits to use.
        resilience_level: The Estimator's: 0, 1 or 2.
        twirling: Whether two-qubit gates are twirled.
        dynamical_decoupling: XX, XpXm or XY4 for idle qubits; None for none.
        max_qpu_seconds: Seconds of the device's time that one purpose may cost; None for no limit.

    Raises:
        InputError: No account, no such device, too few qubits, or an option is out of range.
    """
    options = PrimitiveOptions(resilience_level, twirling, dynamical_decoupling)
    if max_qpu_seconds is not None and not (isinstance(max_qpu_seconds, int | float) and max_qpu_seconds > 0):
        raise InputError(
            f"backend.max_qpu_seconds={max_qpu_seconds}: expected seconds above 0, or null for no limit"
        )
    calibration, kept = _calibration(device, num_qubits)
    return ServiceBackend.calibrated(
        calibration.device, calibration, options=options, max_qpu_seconds=max_qpu_seconds, kept=kept
    )


def _calibration(device: str, num_qubits: int) -> tuple[Calibration, bool]:
    """Reduce a device's calibration to its best qubits; if the service gives none, the kept one, and say so."""
    try:
        snapshot = calibrations.of_device(f"ibm_{device}", num_qubits)
    except ServiceError:
        kept = _kept(f"ibm_{device}", num_qubits)
        if not kept.is_file():
            raise
        return Calibration.from_json(kept), True
    calibration = snapshot.reduce(snapshot.best_subset(num_qubits))
    calibration.to_json(_kept(calibration.device, num_qubits))
    return calibration, False


def _kept(name: str, num_qubits: int) -> Path:
    """Where the last calibration of a device is kept."""
    return default_path().parent / "calibrations" / f"{name}_{num_qubits}q.json"
