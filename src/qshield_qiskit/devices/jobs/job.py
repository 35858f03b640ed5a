"""One job of the ledger: what was asked, what is known of it, and arrays and circuits as bytes."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, qpy
from qiskit.exceptions import QiskitError

from qshield_qiskit.devices.jobs.ownership import is_held
from qshield_qiskit.errors import InputError

if TYPE_CHECKING:  # the client takes seconds to import, and the ledger can be read without it
    from qshield_qiskit.devices.primitives import PrimitiveOptions
    from qshield_qiskit.quantum.pub import Pub

State = Literal["planned", "submitting", "submitted", "done", "failed", "cancelled"]

STATES: tuple[State, ...] = get_args(State)

DEAD: tuple[State, ...] = ("failed", "cancelled")
"""States of jobs that will never give an answer; the same PUB may be submitted again."""


SAME_PUB = "pub = ? AND backend = ? AND options = ?"
"""What rows with one `Ask.key` have in common."""

SAME_ANGLE = 1e-4
"""Radians; rounding in single precision moves an angle by 1e-6 or so. This moves outcomes by less than shots do."""


@dataclass(frozen=True, eq=False)
class Ask:
    """What is asked of a device, in terms that outlive its calibrations.

    Attributes:
        pub: The PUB, on the user's qubits; its shots are set.
        backend: Name of the device.
        options: Of the primitive.
        draw: Which draw of the very same PUB it is, from 0.
        purpose: What the answer is for, such as a run's folder; budgets are counted by it.
        repeats: Fingerprint of the PUB that this one is but for the last bits of its angles; None if it is new.
    """

    pub: Pub
    backend: str
    options: PrimitiveOptions
    draw: int
    purpose: str
    repeats: str | None = None

    @property
    def primitive(self) -> str:
        """Which primitive answers it."""
        return "sampler" if self.pub.observables is None else "estimator"

    @cached_property
    def key(self) -> tuple[str, str, str]:
        """What makes two asks the same but for their draw: fingerprint, device and options."""
        return self.repeats or self.pub.fingerprint(), self.backend, self.options_text

    @property
    def options_text(self) -> str:
        """The options that bear on the answer, as JSON: the Sampler knows no resilience."""
        chosen = self.options.as_dict()
        if self.primitive == "sampler":
            del chosen["resilience_level"]
        return json.dumps(chosen, sort_keys=True)


@dataclass(frozen=True)
class Job:
    """A row of the ledger: a part of a PUB, on its way to a device and back.

    Attributes:
        number: Counts the rows.
        tag: By which the service finds the job, whether or not its id ever arrived.
        pub: Fingerprint of the whole PUB, or of the one that it repeats.
        draw: Which draw of it.
        start: First set of angles of this part.
        stop: The set after its last.
        attempt: How many earlier jobs for this part failed or were cancelled.
        backend: Name of the device.
        options: Of the primitive, as JSON.
        purpose: What the answer is for; of who sent it, once it is sent.
        primitive: "sampler" or "estimator".
        shots: How often each set is run.
        state: Where it stands.
        owner: The process that is submitting it, as `ownership.this_process` names it.
        claimed_at: When that began; times are ISO 8601 in UTC.
        job_id: The service's id.
        calibration: When the calibration was taken for which the circuit was laid out.
        calibration_at_run: The same for the one that was in force when the job ran, as far as the service tells.
        layout: Qubits of the device that the user's qubits start on.
        cost: What was expected of it, as `cost.Cost` gives it.
        expected_seconds: QPU seconds that were expected.
        usage_seconds: QPU seconds that the service charges; None until it says so.
        created_at: When it was planned.
        submitted_at: When its id arrived.
        finished_at: When results or failure arrived.
        error: Why it failed, in the service's words.
    """

    number: int
    tag: str
    pub: str
    draw: int
    start: int
    stop: int
    attempt: int
    backend: str
    options: str
    purpose: str
    primitive: str
    shots: int
    state: State
    owner: str | None
    claimed_at: str | None
    job_id: str | None
    calibration: str | None
    calibration_at_run: str | None
    layout: tuple[int, ...] | None
    cost: Mapping[str, Any] | None
    expected_seconds: float | None
    usage_seconds: float | None
    created_at: str
    submitted_at: str | None
    finished_at: str | None
    error: str | None

    @property
    def claim(self) -> tuple[str, str | None, str | None]:
        """Its state, who has it and since when: as long as this is the same, nobody else has been at it."""
        return self.state, self.owner, self.claimed_at

    @property
    def is_held(self) -> bool:
        """Whether some process, maybe this one, is submitting it."""
        return is_held(self.owner, self.claimed_at)

    @property
    def sets(self) -> int:
        """Number of sets of angles."""
        return self.stop - self.start

    @property
    def short_tag(self) -> str:
        """The tag without what all of them begin with."""
        return self.tag.removeprefix("qshield-")


def packed(**arrays: NDArray[Any]) -> bytes:
    """Write arrays as a compressed npz."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **cast(dict[str, Any], arrays))
    return buffer.getvalue()


def unpacked(blob: bytes, what: str) -> dict[str, NDArray[Any]]:
    """Read what `packed` wrote.

    Raises:
        InputError: The bytes are damaged; `what` tells in the user's words which.
    """
    try:
        with np.load(io.BytesIO(blob), allow_pickle=False) as content:
            return dict(content)
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{what} is damaged and cannot be read ({error}); restore the ledger's file"
        ) from error


def circuit_to_bytes(circuit: QuantumCircuit) -> bytes:
    """Write a circuit as QPY."""
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer)
    return buffer.getvalue()


def circuit_from_bytes(blob: bytes, what: str) -> QuantumCircuit:
    """Read a circuit from QPY.

    Raises:
        InputError: The bytes are damaged, or were written by a newer Qiskit.
    """
    try:
        circuit: QuantumCircuit = qpy.load(io.BytesIO(blob))[0]
    except (QiskitError, struct.error, ValueError, OSError, EOFError, LookupError) as error:
        raise InputError(f"{what} cannot be read ({error}); was it written by a newer Qiskit?") from error
    return circuit
