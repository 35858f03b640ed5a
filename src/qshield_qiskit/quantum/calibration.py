"""A dated snapshot of a few qubits of a real device, as plain numbers that travel as a small JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator
from qiskit.circuit import Gate
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import Target
from qiskit_aer.noise import NoiseModel

from qshield_qiskit.errors import InputError, first_problem
from qshield_qiskit.files import write_atomically
from qshield_qiskit.quantum import device_noise, layout

Probability = Annotated[float, Field(ge=0, le=1)]
# The upper bounds are far above any device; they catch microseconds written where seconds are meant.
CoherenceTime = Annotated[float, Field(gt=0, le=1, description="Seconds.")]
Length = Annotated[float, Field(ge=0, le=1e-3, description="Seconds.")]

_GATES = {
    name: gate.num_qubits for name, gate in get_standard_gate_name_mapping().items() if isinstance(gate, Gate)
}


class _Record(BaseModel):
    """What every part of a calibration has in common: it never changes and holds no surprises."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class QubitCalibration(_Record):
    """One qubit: how long it remembers and how well it is read."""

    physical: Annotated[int, Field(ge=0, description="Its number on the device.")]
    t1: CoherenceTime | None = Field(description="Relaxation time T1; null when the device reports none.")
    t2: CoherenceTime | None = Field(
        description="Dephasing time T2 as reported; one above 2 T1 is a fit gone astray and counts as 2 T1."
    )
    prob_meas1_prep0: Probability = Field(description="P(1|0), the chance that |0> is read as 1.")
    prob_meas0_prep1: Probability = Field(description="P(0|1), the chance that |1> is read as 0.")
    readout_length: Length | None = Field(description="Duration of a measurement.")

    @property
    def readout_error(self) -> float:
        """Chance of a wrong reading, averaged over |0> and |1>."""
        return (self.prob_meas1_prep0 + self.prob_meas0_prep1) / 2


class GateCalibration(_Record):
    """One gate on one qubit or pair: how often it fails and how long it takes."""

    name: str
    qubits: tuple[int, ...] = Field(
        description="Positions in the calibration's list of qubits, not on the device."
    )
    error: Probability | None = Field(description="1 - average gate fidelity.")
    length: Length | None = Field(description="Duration.")


class Alignment(_Record):
    """The grid, in units of dt, on which the device's control electronics start and stop."""

    granularity: Annotated[int, Field(ge=1)] = 1
    min_length: Annotated[int, Field(ge=1)] = 1
    pulse_alignment: Annotated[int, Field(ge=1)] = 1
    acquire_alignment: Annotated[int, Field(ge=1)] = 1


class Calibration(_Record):
    """A device, or some of its qubits, as calibrated on one day.

    Qubits are numbered from 0 in the order of `qubits`; `physical` remembers where each lies on the device.
    """

    schema_version: Literal[1] = 1
    device: Annotated[
        str, Field(min_length=1, description="Name of the device, e.g. fake_boston or ibm_torino.")
    ]
    taken_at: AwareDatetime = Field(strict=False, description="When the device last updated these figures.")
    dt: Annotated[float, Field(gt=0, le=1e-6)] | None = Field(description="Clock period, seconds.")
    alignment: Alignment = Alignment()
    qubits: Annotated[tuple[QubitCalibration, ...], Field(min_length=1)]
    gates: tuple[GateCalibration, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        physical = [qubit.physical for qubit in self.qubits]
        if len(set(physical)) < len(physical):
            raise ValueError(f"a physical qubit is listed twice: {physical}")
        seen = set()
        for gate in self.gates:
            where = f"gate {gate.name!r} on qubits {list(gate.qubits)}"
            if gate.name not in _GATES:
                raise ValueError(f"{where}: no standard Qiskit gate of that name")
            if len(gate.qubits) != _GATES[gate.name] or len(set(gate.qubits)) < len(gate.qubits):
                raise ValueError(f"{where}: it acts on {_GATES[gate.name]} different qubits")
            if not set(gate.qubits) <= set(range(self.num_qubits)):
                raise ValueError(f"{where}: the qubits here are 0 to {self.num_qubits - 1}")
            if (gate.name, gate.qubits) in seen:
                raise ValueError(f"{where}: listed twice")
            seen.add((gate.name, gate.qubits))
        return self

    @property
    def num_qubits(self) -> int:
        """Number of qubits."""
        return len(self.qubits)

    @property
    def physical_qubits(self) -> tuple[int, ...]:
        """Where the qubits lie on the device."""
        return tuple(qubit.physical for qubit in self.qubits)

    @property
    def basis_gates(self) -> tuple[str, ...]:
        """Names of the gates that the device runs."""
        return tuple(sorted({gate.name for gate in self.gates}))

    @property
    def coupling(self) -> tuple[tuple[int, int], ...]:
        """Directed pairs of qubits that share a gate."""
        return tuple(
            sorted({(gate.qubits[0], gate.qubits[1]) for gate in self.gates if len(gate.qubits) == 2})
        )

    def target(self) -> Target:
        """Describe the qubits to Qiskit's transpiler: gates, errors, lengths, couplings, delays, dt."""
        return device_noise.target(self)

    def noise_model(self) -> NoiseModel:
        """Build the noise that Aer derives from these figures, with readout as asymmetric as measured."""
        return device_noise.noise_model(self)

    def best_subset(self, num_qubits: int) -> tuple[int, ...]:
        """Choose connected qubits of least total error; see `layout.best_subset`."""
        return layout.best_subset(self, num_qubits)

    def reduce(self, qubits: Sequence[int]) -> Calibration:
        """Keep some qubits, renumbered in the order given, and the gates among them.

        Args:
            qubits: Positions in this calibration's list of qubits, each once.

        Raises:
            InputError: There are none, or one is unknown or repeated.
        """
        unknown = [qubit for qubit in qubits if not 0 <= qubit < self.num_qubits]
        if unknown or not qubits or len(set(qubits)) < len(qubits):
            raise InputError(
                f"cannot keep qubits {list(qubits)} of {self.device}; "
                f"give at least one of 0 to {self.num_qubits - 1}, each once"
            )
        place = {qubit: i for i, qubit in enumerate(qubits)}
        kept = [gate for gate in self.gates if set(gate.qubits) <= place.keys()]
        moved = [gate.model_copy(update={"qubits": tuple(place[q] for q in gate.qubits)}) for gate in kept]
        return self.model_copy(
            update={
                "qubits": tuple(self.qubits[qubit] for qubit in qubits),
                "gates": tuple(sorted(moved, key=lambda gate: (gate.name, gate.qubits))),
            }
        )

    @classmethod
    def from_json(cls, path: str | os.PathLike[str]) -> Calibration:
        """Read a file that `to_json` wrote.

        Raises:
            InputError: The file is missing, is no JSON, or holds a figure that no device can have.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise InputError(f"calibration {path}: cannot be read ({error.strerror or error})") from error
        except ValidationError as error:
            raise InputError(
                f"calibration {path}: {first_problem(error, 'a calibration')}; {_REMEDY}"
            ) from error

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write the calibration, all of it or nothing, one qubit or gate a line.

        Raises:
            InputError: The file cannot be written there.
        """
        try:
            write_atomically(Path(path), _pretty(self.model_dump(mode="json")))
        except OSError as error:
            raise InputError(f"calibration {path}: cannot be written ({error.strerror or error})") from error


_REMEDY = "make a sound one with: qshield calibrate fake_boston --qubits 6"


def _pretty(content: dict[str, Any]) -> str:
    """JSON with a line for each figure that a reader might look for."""
    lines = []
    for key, value in content.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(f"    {json.dumps(item)}" for item in value) + "\n  ]"
        lines.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
