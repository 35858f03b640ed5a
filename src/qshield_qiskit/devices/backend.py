"""The thing behind a name in backends/: it transpiles circuits, knows their noise and can run them."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Self

from qiskit import QuantumCircuit, qpy
from qiskit.transpiler import Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from qshield_qiskit.devices.aer_shots import AerShots
from qshield_qiskit.devices.compiling import transpiling
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.pub import Executor

_CACHE_SIZE = 64


@dataclass(frozen=True, eq=False)
class Backend:
    """A place for circuits of up to `num_qubits` qubits.

    Attributes:
        name: What one types to get it.
        num_qubits: Number of qubits.
        noise_model: The noise that its circuits meet; None means none.
        calibration: The device figures behind noise and couplings; None for a backend without a device.
        source: The name, num_qubits and options that the catalog made it from; None for one of one's own.
        keeps_layer_marks: Whether `transpile` turns layer marks into labelled identities, to which the noise
            model attaches its channel, instead of dropping them.
        default_shots: How often circuits are run unless the user says so; None where exact outcomes are known.
        default_gradient: How sampled circuits are differentiated unless the user says so.
        is_hardware: Whether it is a device whose time costs money; it then has a method `on`, which takes `Terms`.
    """

    name: str
    num_qubits: int
    noise_model: NoiseModel | None = None
    calibration: Calibration | None = None
    keeps_layer_marks: bool = False
    source: dict[str, Any] | None = None
    _transpiled: dict[bytes, QuantumCircuit] = field(default_factory=dict, init=False, repr=False)

    default_shots: ClassVar[int | None] = None
    default_gradient: ClassVar[str] = "shift"
    is_hardware: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.num_qubits < 1:
            raise InputError(f"{self.name} cannot have {self.num_qubits} qubits; give at least 1")

    @classmethod
    def calibrated(cls, name: str, calibration: Calibration, **more: Any) -> Self:
        """Make the backend of a calibration: all its qubits, couplings and noise."""
        return cls(name, calibration.num_qubits, calibration.noise_model(), calibration, **more)

    @cached_property
    def target(self) -> Target | None:
        """Gates, couplings and durations that circuits are transpiled to; None without a device."""
        return None if self.calibration is None else self.calibration.target()

    def transpile(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Rewrite a circuit into the very one that layer and oracle run, still in the user's parameters.

        On a calibrated device it is laid out, routed, written in the device's gates and scheduled as late as
        possible, with idle times as delays; without one, its gates stay as they are. The same circuit always
        gives the same answer.

        Args:
            circuit: At most `num_qubits` qubits, unitary up to final measurements.

        Returns:
            The circuit; its `layout` tells where the user's qubits went, and is None if they stayed.

        Raises:
            InputError: The circuit has too many qubits, or resets, branches or measures before its end.
        """
        if circuit.num_qubits > self.num_qubits:
            raise InputError(
                f"circuit {circuit.name!r} has {circuit.num_qubits} qubits, but this {self.name} was made "
                f"for {self.num_qubits}; load it with num_qubits={circuit.num_qubits}"
            )
        plain = transpiling.unrolled(circuit)
        if self.calibration is None or self.target is None:
            return transpiling.for_simulator(plain, keep_layer_marks=self.keeps_layer_marks)
        key = _fingerprint(plain)
        if key not in self._transpiled:
            if len(self._transpiled) >= _CACHE_SIZE:
                self._transpiled.clear()
            self._transpiled[key] = transpiling.for_device(plain, self.calibration, self.target)
        return self._transpiled[key].copy()

    def executor(self) -> Executor:
        """Make what runs PUBs with shots: Aer's Sampler with this noise."""
        return AerShots(self)

    def simulator(self) -> AerSimulator:
        """Make the oracle for circuits from `transpile`: Aer's density matrices with this noise."""
        return AerSimulator(method="density_matrix", noise_model=self.noise_model)


def _fingerprint(circuit: QuantumCircuit) -> bytes:
    """Digest all that matters about a circuit, the identity of its parameters included."""
    bare = circuit.copy()
    bare.metadata = {}  # anything at all may lie there
    buffer = io.BytesIO()
    qpy.dump(bare, buffer)
    return hashlib.sha256(buffer.getvalue()).digest()
