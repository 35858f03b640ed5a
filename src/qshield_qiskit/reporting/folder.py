"""A run's folder: runs/<experiment>/<date-time>-<seed>/, every file in it whole or absent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically

CONFIG = "config.yaml"
"""A folder is a run if it holds this file."""

LAST = "last"
"""Stands for the run that was started last."""


@dataclass(frozen=True)
class RunFolder:
    """Reads and writes the files of one run.

    Attributes:
        path: The folder.
    """

    path: Path

    @classmethod
    def create(cls, root: Path, experiment: str, seed: int, config: str, suffix: str = "") -> RunFolder:
        """Make the folder of a new run.

        Args:
            root: Folder of all runs.
            experiment: Name of the experiment; it may have slashes.
            seed: The run's seed.
            config: Content of config.yaml, the first file in it.
            suffix: What its name ends in.

        Raises:
            InputError: The folder cannot be made.
        """
        parent = path = root / experiment
        name = f"{datetime.now():%Y%m%d-%H%M%S}-{seed}"
        count = 1
        try:
            parent.mkdir(parents=True, exist_ok=True)
            while True:  # a run started in the same second keeps its folder
                path = parent / ((name if count == 1 else f"{name}.{count}") + suffix)
                try:
                    path.mkdir()
                    break
                except FileExistsError:
                    count += 1
        except OSError as error:
            raise InputError(
                f"runs={root}: cannot make {path} ({error.strerror}); set runs=FOLDER"
            ) from error
        folder = cls(path)
        folder.write(CONFIG, config)
        return folder

    @classmethod
    def find(cls, which: str | Path = LAST, root: Path = Path("runs")) -> RunFolder:
        """Find a run.

        Args:
            which: Its folder, or "last".
            root: Where "last" looks.

        Raises:
            InputError: There is no such run.
        """
        if str(which) == LAST:
            found = sorted(root.glob(f"**/{CONFIG}"), key=lambda path: path.parent.name)
            if not found:
                raise InputError(f"{root}: no runs here yet; make one with: qshield train")
            return cls(found[-1].parent)
        if not (Path(which) / CONFIG).is_file():
            raise InputError(
                f"{which}: not a run, it has no {CONFIG}; give a folder such as runs/digits/..., or last"
            )
        return cls(Path(which))

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file, whole or not at all, and give its path.

        Args:
            name: The file, within the folder; folders on the way are made.
            content: Text, which is written as UTF-8, or bytes.

        Raises:
            InputError: It cannot be written.
        """
        path = self.path / name
        try:
            write_atomically(path, content)
        except OSError as error:
            raise InputError(
                f"{path}: {error.strerror or error}; what is there and the disk must let it be written, then type the "
                "same again"
            ) from error
        return path

    def write_json(self, name: str, content: Any) -> Path:
        """Write a JSON file, as `write` does, and give its path."""
        return self.write(name, json.dumps(content, indent=2, default=str) + "\n")

    def read_json(self, name: str, made_by: str) -> Any:
        """Read a JSON file.

        Args:
            name: The file.
            made_by: The command to type if it is not there.

        Raises:
            InputError: The file is missing or damaged.
        """
        try:
            return json.loads((self.path / name).read_text())
        except OSError as error:
            raise InputError(f"{self.path}: no {name} yet; make it with: {made_by}") from error
        except ValueError as error:
            raise InputError(
                f"{self.path / name}: damaged ({error}); make it anew with: {made_by}"
            ) from error
