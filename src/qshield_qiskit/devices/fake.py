"""Backends named fake_<device>: IBM devices as qiskit-ibm-runtime's snapshots remember them."""

from __future__ import annotations

from qshield_qiskit.devices.local import RuntimeBackend
from qshield_qiskit.devices.primitives import PrimitiveOptions
from qshield_qiskit.devices.snapshot import fake_device, take_snapshot


def build(
    device: str,
    num_qubits: int,
    resilience_level: int = 1,
    twirling: bool = False,
    dynamical_decoupling: str | None = None,
) -> RuntimeBackend:
    """Make the backend of a device's best connected qubits: runtime primitives in local testing mode.

    Args:
        device: Name of the snapshot, with or without "fake_".
        num_qubits: How many of its qubits to use.
        resilience_level: The Estimator's: 0, 1 or 2.
        twirling: Whether two-qubit gates are twirled.
        dynamical_decoupling: XX, XpXm or XY4 for idle qubits; None for none.

    Raises:
        InputError: There is no such snapshot, it has fewer qubits, or an option is out of range.
    """
    options = PrimitiveOptions(resilience_level, twirling, dynamical_decoupling)
    snapshot = take_snapshot(fake_device(device))
    return RuntimeBackend.calibrated(
        snapshot.device, snapshot.reduce(snapshot.best_subset(num_qubits)), options=options
    )
