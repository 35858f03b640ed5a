"""Certificates of a run as files keep them: rows of certificates.json, and the radius of each image."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.folder import RunFolder

CERTIFICATES = "certificates.json"

IDENTITY = ("certificate", "bound", "norm", "parameters", "backend", "backend_options", "seed", "n")
"""What must agree for a row to replace another one."""

APPLYING = {"bound", "norm", "parameters", "n"}
"""What a row has only where its certificate applies."""

TITLES = {"smoothing": "smoothing", "lipschitz": "Lipschitz", "noise": "quantum noise"}
_NEEDED = ("certificate", "norm", "applies", "says")


@dataclass(frozen=True)
class CertificateRow:
    """One row of certificates.json and the file that belongs to it.

    Attributes:
        figures: The row.
        folder: The run's folder.
    """

    figures: Mapping[str, Any]
    folder: Path

    @property
    def title(self) -> str:
        """The certificate in words.

        >>> CertificateRow({"certificate": "lipschitz", "bound": "transfer"}, Path()).title
        'Lipschitz (transfer)'
        """
        bound, name = self.figures.get("bound"), str(self.figures["certificate"])
        kind = f" ({bound})" if bound and bound != "classical" else ""
        parameters = self.figures.get("parameters") or {}
        sigma = f" (sigma {parameters['sigma']:g})" if "sigma" in parameters else ""
        return f"{TITLES.get(name, name)}{kind}{sigma}"

    @property
    def backend(self) -> str:
        """What the certified model ran on, with the settings that it was given."""
        return f"{self.figures.get('backend')} {self.figures.get('backend_options') or ''}".rstrip()

    @cached_property
    def radii(self) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Positions in the test set, (N,), and certified radii, -1 where the prediction is wrong; None if not kept."""
        named = self.figures.get("radii")
        path = self.folder / "certificates" / Path(str(named)).name
        if named is None or not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as content:
                arrays = dict(content)
            return arrays["index"], np.where(arrays["correct"], arrays["radius"], -1.0)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise _damaged(path, error, self.folder) from error


def put_certificates(folder: RunFolder, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows to certificates.json; each replaces one of the same identity.

    A certificate that does not apply replaces all that was said of it before on that backend, and the reverse.
    """
    kept = read_items(folder) if (folder.path / CERTIFICATES).is_file() else []
    for row in rows:
        kept = [old for old in kept if not _replaces(row, old)]
    folder.write_json(CERTIFICATES, [*kept, *rows])


def _replaces(row: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    keys = [key for key in IDENTITY if (row["applies"] and old["applies"]) or key not in APPLYING]
    return all(row.get(key) == old.get(key) for key in keys)


def read_items(folder: RunFolder) -> list[dict[str, Any]]:
    """Read certificates.json.

    Raises:
        InputError: There is none yet, or it is damaged.
    """
    path = folder.path
    items = folder.read_json(CERTIFICATES, f"qshield certify {path}")
    if not isinstance(items, list):
        raise _damaged(path / CERTIFICATES, "no list of rows", path)
    for item in items:
        missing = [name for name in _NEEDED if not isinstance(item, dict) or name not in item]
        if missing:
            raise _damaged(path / CERTIFICATES, f"a row without {', '.join(missing)}", path)
    return items


def read_certificates(folder: RunFolder) -> tuple[CertificateRow, ...]:
    """Read a run's certificates; none if there are none yet."""
    if not (folder.path / CERTIFICATES).is_file():
        return ()
    return tuple(CertificateRow(item, folder.path) for item in read_items(folder))


def _damaged(path: Path, reason: object, folder: Path) -> InputError:
    return InputError(f"{path}: damaged ({reason}); make it anew with: qshield certify {folder}")
