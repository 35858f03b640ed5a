"""The run whose weights a training starts from."""

from __future__ import annotations

from qshield_qiskit.config import Settings
from qshield_qiskit.reporting.folder import RunFolder


def with_start_named(settings: Settings) -> Settings:
    """Name the run that a training starts from by its folder: what is last now will not be last for ever.

    Raises:
        InputError: There is no such run.
    """
    if settings.training.start_from is None:
        return settings
    start = RunFolder.find(settings.training.start_from, settings.runs).path
    training = settings.training.model_copy(update={"start_from": start})
    return settings.model_copy(update={"training": training})
