"""The history of a training: one row an epoch, as history.csv."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically

HISTORY = "history.csv"


class Epoch(NamedTuple):
    """What one epoch came to."""

    epoch: int  # from 1
    train_loss: float  # mean over the epoch's steps, in nats
    validation_loss: float  # at its end, in nats; nan without validation images
    validation_accuracy: float  # [0, 1]; nan likewise
    seconds: float  # training and validation
    validation_accuracy_attacked: float | None = None  # [0, 1]; with a defence that perturbs images

    @property
    def validated(self) -> bool:
        """Whether there were validation images."""
        return not math.isnan(self.validation_loss)

    @property
    def accuracy(self) -> float:
        """What epochs are compared by: the validation accuracy, under attack if that was tried."""
        attacked = self.validation_accuracy_attacked
        return self.validation_accuracy if attacked is None else attacked


def best(history: Sequence[Epoch]) -> Epoch:
    """Choose the epoch of highest validation accuracy, under attack if that was tried.

    The lower loss breaks ties, then the earlier epoch.

    Without validation images nothing tells epochs apart, and the last one is taken.
    """
    if not history[-1].validated:
        return history[-1]
    return max(history, key=lambda row: (row.accuracy, -row.validation_loss))


def write(file: Path, history: Sequence[Epoch]) -> None:
    """Write history.csv, a header and one row an epoch."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Epoch._fields)
    writer.writerows(history)
    write_atomically(file, text.getvalue())


def read(file: Path) -> list[Epoch]:
    """Read history.csv.

    Raises:
        InputError: It is missing or was not written by `write`.
    """
    try:
        with file.open(newline="") as lines:
            return [
                Epoch(int(row.pop("epoch")), **{name: float(value) for name, value in row.items() if value})
                for row in csv.DictReader(lines)
            ]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file}: not a history of epochs ({error}); train again") from error
