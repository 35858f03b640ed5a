"""Calibrations by name: those that ship with the package and the user's own."""

from __future__ import annotations

import os
from pathlib import Path

from qshield_qiskit import catalog
from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.quantum.calibration import Calibration

FOLDER = Path("backends", "calibrations")
"""Where calibrations lie, in the package, a checkout or the working directory."""


def find() -> dict[str, Path]:
    """List calibrations by name, sorted; where two share a name, the one nearest to the user wins."""
    folders = [folder / FOLDER.name for _, folder in catalog.folders(FOLDER.parent.name)]
    paths = [path for folder in folders for path in sorted(folder.glob("*.json"))]
    return dict(sorted((path.stem, path) for path in paths))


def load(name: str | os.PathLike[str]) -> Calibration:
    """Read a calibration.

    Args:
        name: A name that `find` lists, or the path of a file.

    Raises:
        InputError: There is no such name or file, or the file is broken.
    """
    known = find()
    if str(name) in known:
        return Calibration.from_json(known[str(name)])
    if Path(name).suffix == ".json" or os.sep in str(name):
        return Calibration.from_json(name)
    raise unknown("calibration", str(name), known)


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
