"""A sweep's folder: runs/sweeps/<name>/ with sweep.json, cells/, runs/ and results.parquet, each whole or absent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.reporting.folder import CONFIG, RunFolder

SWEEP = "sweep.json"
"""A folder is a sweep if it holds this file: what is varied, and the cells by digest."""
SWEEPS = "sweeps"
CELLS = "cells"
RUNS = "runs"
RESULTS = "results.parquet"

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"

Record = dict[str, Any]
"""What is known of a cell: state, doing, run, odr, worst_case, verdict, seconds, rows by group, failure, worker."""


@dataclass(frozen=True)
class SweepFolder:
    """Reads and writes the files of one sweep.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def find(cls, which: str | Path) -> SweepFolder:
        """Find a sweep by its folder.

        Raises:
            InputError: There is no such sweep.
        """
        if not is_sweep(which):
            raise InputError(
                f"{which}: not a sweep, it has no {SWEEP}; give a folder such as runs/{SWEEPS}/paper/digits"
            )
        return cls(Path(which))

    @property
    def plan(self) -> dict[str, Any]:
        """What sweep.json holds: name, command, verdict, groups, and the cells in order with their labels."""
        plan: dict[str, Any] = self._read(self.path / SWEEP)
        return plan

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Write sweep.json."""
        self._write(self.path / SWEEP, plan)

    def record(self, digest: str) -> Record:
        """Give what is known of a cell; of one that was never begun, that it waits."""
        path = self.path / CELLS / f"{digest}.json"
        return self._read(path) if path.is_file() else {"state": WAITING}

    def write_record(self, digest: str, record: Record) -> None:
        """Write what is known of a cell."""
        self._write(self.path / CELLS / f"{digest}.json", record)

    def run(self, training: str) -> RunFolder | None:
        """Find the run of a training by the hash of its settings, which its name ends in."""
        found = sorted((self.path / RUNS).glob(f"*-{training}/{CONFIG}"))  # without it, killed as it was made
        return RunFolder(found[0].parent) if found else None

    def lock(self, training: str) -> Path:
        """Give the file that whoever works on a run holds locked."""
        return self.path / CELLS / f".{training}.lock"

    def _read(self, path: Path) -> Any:
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}); remove it and sweep again") from error

    def _write(self, path: Path, content: Any) -> None:
        write_atomically(path, json.dumps(content, indent=1, default=str) + "\n")


def is_sweep(which: str | Path) -> bool:
    """Say whether a folder is a sweep's."""
    return (Path(which) / SWEEP).is_file()
