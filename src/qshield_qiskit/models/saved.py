"""What config.json says of a saved model: its keys, their types, and what older files leave out."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, field_validator

from qshield_qiskit.config import Count
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.errors import InputError, first_problem


class _Record(BaseModel):
    """What every part of it has in common: it never changes, and nothing is taken for something else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SavedBackend(_Record):
    """How the catalog makes a backend again."""

    name: str
    num_qubits: Count
    options: dict[str, JsonValue]

    @field_validator("options")
    @classmethod
    def _are_no_arguments_of_ours(cls, options: dict[str, JsonValue]) -> dict[str, JsonValue]:
        ours = sorted(options.keys() & {"name", "num_qubits"})
        if ours:
            raise ValueError(f"{', '.join(ours)} stands beside the options and not among them")
        return options

    @classmethod
    def of(cls, backend: Backend | None) -> Self | None:
        """Describe a backend; None for one that the catalog did not make, or of options that JSON cannot hold."""
        try:
            return cls.model_validate_json(_to_json(getattr(backend, "source", None)))
        except (TypeError, ValueError):
            return None


class SavedSampling(_Record):
    """How the quantum layer runs its circuit, where that was asked for."""

    shots: Count | None = None
    gradient: str | None = None
    gradient_draws: Count | None = None


class SavedModel(_Record):
    """All that makes an untrained model of a saved one's shape, besides its circuit.

    Files that are older than a key have the default here.
    """

    backbone: str
    fusion: str
    branch: str
    features: str = "backbone"
    projection: str = "trained"
    detach_circuit: bool = False
    readout: str = "trained"
    sampling: SavedSampling = SavedSampling()
    seed: int = 0
    num_classes: Count
    input_shape: tuple[Count, Count, Count]
    backend: SavedBackend | None

    @classmethod
    def of(cls, arguments: Mapping[str, Any], backend: Backend | None) -> Self:
        """Take what a model was made from; NumPy's numbers become Python's.

        Raises:
            InputError: A value could not be read again.
        """
        saved = SavedBackend.of(backend)
        values = {**arguments, "backend": None if saved is None else saved.model_dump()}
        try:
            return cls.model_validate_json(_to_json(values))
        except ValidationError as error:
            problem = first_problem(error, "a saved model")
        except TypeError as error:
            problem = str(error)
        raise InputError(f"this model cannot be saved: {problem}; make it with another value")

    @classmethod
    def from_json(cls, file: Path, content: bytes) -> Self:
        """Read a file's content.

        Raises:
            InputError: It is no JSON, or not of this shape; the line names the file, the key and the value.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise InputError(
                f"{file}: {first_problem(error, 'a saved model')}; save the model again"
            ) from error

    def to_json(self) -> str:
        """Write it."""
        return json.dumps(self._plain("json"), indent=2) + "\n"

    def arguments(self) -> dict[str, Any]:
        """Give what `HybridClassifier` receives besides template and backend."""
        arguments = self._plain("python")
        del arguments["backend"]
        return arguments

    def _plain(self, mode: str) -> dict[str, Any]:
        return self.model_dump(mode=mode) | {"sampling": self.sampling.model_dump(exclude_none=True)}


def _to_json(value: object) -> str:
    return json.dumps(value, default=_as_plain)


def _as_plain(value: object) -> object:
    """Turn a path, or what NumPy and torch call a number or an array, into what JSON knows."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is nothing that JSON can hold")
