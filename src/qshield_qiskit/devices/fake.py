"""Backends named fake_<device>: IBM devices as qiskit-ibm-runtime's snapshots remember them."""

from __future__ import annotations

from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.snapshot import fake_device, take_snapshot


def build(device: str, num_qubits: int) -> Backend:
    """Make the backend of a device's best connected qubits.

    Args:
        device: Name of the snapshot, with or without "fake_".
        num_qubits: How many of its qubits to use.

    Raises:
        InputError: There is no such snapshot, or it has fewer qubits.
    """
    snapshot = take_snapshot(fake_device(device))
    return Backend.calibrated(snapshot.device, snapshot.reduce(snapshot.best_subset(num_qubits)))
