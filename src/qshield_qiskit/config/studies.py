"""Settings of studies, which stand apart from those of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from qshield_qiskit.config.section import Count, Section


def _listed(value: Any) -> Any:
    """Read "a,b" and a single value as lists."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return [value] if isinstance(value, int) else value


Names = Annotated[list[str], BeforeValidator(_listed)]


class CircuitStudySettings(Section):
    """What `qshield study circuits` compares."""

    circuits: Names | None = None
    """Templates, separated by commas; null: all that `qshield list circuits` shows."""
    num_qubits: Annotated[int, Field(ge=2, le=10)] = 4
    """Number of qubits."""
    reps: Annotated[list[Count], BeforeValidator(_listed)] = Field(default=[1, 2])
    """Numbers of entangling layers, separated by commas."""
    encoding: str | None = None
    """How angles enter; null: the template's own way."""
    reupload: bool | None = None
    """Whether the encoding is repeated before every layer; null: the template's own way."""
    samples: Annotated[int, Field(ge=100)] = 5000
    """Pairs of states that are drawn of each circuit."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Of the draws."""
    calibrations: Names | None = None
    """Calibrations that circuits are transpiled to, separated by commas; null: all with enough qubits."""
    output: Path = Path("studies/circuits")
    """Folder that receives table and figures."""
