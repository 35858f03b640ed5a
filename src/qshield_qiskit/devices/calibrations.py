"""Calibrations by name: those that ship with the package and the user's own."""

from __future__ import annotations

import os
from pathlib import Path

from qshield_qiskit import catalog
from qshield_qiskit.devices.service.connection import find_device, open_service
from qshield_qiskit.devices.service.errors import speaking
from qshield_qiskit.devices.snapshot import fake_device, fake_devices, take_snapshot
from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.quantum.calibration import Calibration

FOLDER = Path("backends", "calibrations")
"""Where calibrations lie, in the package, a checkout or the working directory."""

LIVE_PREFIX = "ibm_"
"""How the names of IBM's devices begin."""


def find() -> dict[str, Path]:
    """List calibrations by name, sorted; where two share a name, the one nearest to the user wins."""
    folders = [folder / FOLDER.name for _, folder in catalog.folders(FOLDER.parent.name)]
    paths = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    return dict(sorted((path.stem, path) for path in paths))


def load(name: str | os.PathLike[str]) -> Calibration:
    """Read a calibration.

    Args:
        name: A name that `find` lists, the path of a file, or a device's snapshot such as "fake_torino", of which
            all qubits are given.

    Raises:
        InputError: There is no such name or file, or the file is broken.
    """
    known = find()
    if str(name) in known:
        return Calibration.from_json(known[str(name)])
    if Path(name).suffix == ".json" or os.sep in str(name):
        return Calibration.from_json(name)
    if str(name) in fake_devices():
        return take_snapshot(fake_device(str(name)))
    if str(name).startswith(LIVE_PREFIX):
        raise InputError(
            f"there is no calibration {name}; take the device's current one: qshield calibrate {name}"
        )
    raise unknown("calibration", str(name), [*known, *fake_devices()])


def load_whole(name: str) -> Calibration:
    """Read a calibration as `load` does, or take a device's current one.

    Args:
        name: As for `load`, or the name of a device of the account, such as "ibm_torino".

    Raises:
        InputError: As for `load` and `of_device`.
    """
    live = name.startswith(LIVE_PREFIX) and name not in find() and Path(name).suffix != ".json"
    return of_device(name) if live else load(name)


def of_device(name: str, num_qubits: int = 1) -> Calibration:
    """Take the calibration of all qubits of a device.

    Args:
        name: A snapshot, with or without "fake_", or a device of the account, such as "ibm_torino", whose
            figures of this moment are asked for; "ibm_runtime" is the least busy one.
        num_qubits: How many qubits the least busy one must have.

    Raises:
        InputError: There is no such device.
        ServiceError: IBM's service cannot be asked.
    """
    if not name.startswith(LIVE_PREFIX):
        return take_snapshot(fake_device(name))
    device = find_device(open_service(), None if name == catalog.LEAST_BUSY else name, num_qubits)
    with speaking(device.name):
        return take_snapshot(device)


def file_for(calibration: Calibration) -> Path:
    """Name the file of a calibration, so that `find` finds it; a live device's has the time in UTC in its name.

    A snapshot's figures never change, so its file needs none.
    """
    date = f"_{calibration.taken_at:%Y-%m-%d_%H%M}" if calibration.device.startswith(LIVE_PREFIX) else ""
    return FOLDER / f"{calibration.device}_{calibration.num_qubits}q{date}.json"


def load_for(name: str | os.PathLike[str], num_qubits: int) -> Calibration:
    """Read a calibration and keep its best connected qubits.

    Args:
        name: As for `load`.
        num_qubits: How many qubits to keep, at least 1.

    Raises:
        InputError: As for `load`, or it has too few qubits; the line then names calibrations that have
        enough.
    """
    calibration = load(name)
    if num_qubits > calibration.num_qubits:
        sizes = {other: Calibration.from_json(path).num_qubits for other, path in find().items()}
        enough = ", ".join(other for other, size in sizes.items() if size >= num_qubits)
        raise InputError(
            f"calibration {name} has {calibration.num_qubits} qubits, not {num_qubits}; with enough: "
            f"{enough or 'none'} (or make one: qshield calibrate fake_boston --qubits {num_qubits})"
        )
    return calibration.reduce(calibration.best_subset(num_qubits))
