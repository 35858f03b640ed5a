"""One broadcast PUB: a circuit, many sets of angles, what is read, and how often."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Delay, Operation, Parameter
from qiskit.circuit.library import UnitaryGate, get_standard_gate_name_mapping
from qiskit.quantum_info import SparsePauliOp

_STANDARD = {name: gate.base_class for name, gate in get_standard_gate_name_mapping().items()}


@dataclass(frozen=True, eq=False)
class Pub:
    """A primitive unified bloc in the user's own terms: before it is laid out on any device.

    Attributes:
        circuit: Unitary, on the user's qubits; every parametrised angle is one of `parameters`.
        parameters: The circuit's parameters, in the order of the columns of `values`.
        values: (P, T) radians, float64; one row is one set of angles.
        observables: What is read on the user's qubits; None reads all qubits in the computational basis.
        shots: How often each set is run; None asks for exact figures, from whoever can give them.
    """

    circuit: QuantumCircuit
    parameters: tuple[Parameter, ...]
    values: NDArray[np.float64]
    observables: tuple[SparsePauliOp, ...] | None
    shots: int | None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def num_outputs(self) -> int:
        """Number of figures that one set of angles gives."""
        return 2**self.circuit.num_qubits if self.observables is None else len(self.observables)

    def rows(self, start: int, stop: int) -> Pub:
        """Give the PUB of a part of the sets of angles."""
        return Pub(self.circuit, self.parameters, self.values[start:stop], self.observables, self.shots)

    def fingerprint(self) -> str:
        """Digest what is asked for, the same in every process: gates, angles, readout and shots.

        Parameters count by their place, not by their names or identities.
        """
        digest = self._digest_of_all_but_angles()
        digest.update(np.ascontiguousarray(self.values, dtype=np.float64).tobytes())
        return digest.hexdigest()

    def question(self) -> str:
        """Digest what is asked for but for the angles: gates, readout, shots and number of sets."""
        return self._digest_of_all_but_angles().hexdigest()

    def _digest_of_all_but_angles(self) -> hashlib._Hash:
        names = {parameter: Parameter(f"p{i}") for i, parameter in enumerate(self.parameters)}
        plain = self.circuit.assign_parameters(names)
        gates = _gates(plain)
        terms = None if self.observables is None else [operator.to_list() for operator in self.observables]
        digest = hashlib.sha256(repr((plain.num_qubits, gates, terms, self.shots)).encode())
        digest.update(repr(self.values.shape).encode())
        return digest


def _gates(circuit: QuantumCircuit) -> list[tuple[Any, ...]]:
    """Spell out the gates: standard ones and matrices by name and parameters, others by what they consist of."""
    index = {qubit: i for i, qubit in enumerate(circuit.qubits)}
    return [(*_spelled_out(step.operation), [index[qubit] for qubit in step.qubits]) for step in circuit.data]


def _spelled_out(gate: Operation) -> tuple[Any, ...]:
    plain = type(gate) is _STANDARD.get(gate.name) or isinstance(gate, UnitaryGate)
    if not plain and gate.definition is not None:  # its name may count how many circuits were made before it
        return "composite", _gates(gate.definition)
    params = [p.tolist() if isinstance(p, np.ndarray) else str(p) for p in gate.params]  # arrays' text is cut
    return (gate.name, params, gate.unit) if isinstance(gate, Delay) else (gate.name, params)


class Executor(Protocol):
    """Whatever runs PUBs: a simulator, a primitive in local mode, IBM's service."""

    def run(self, pub: Pub, seed: int) -> NDArray[np.float64]:
        """Run one PUB.

        Args:
            pub: The PUB.
            seed: Seed of the shots, where they are simulated; in [0, 2**31).

        Returns:
            (P, 2**n) relative frequencies of outcomes in Qiskit's order (qubit 0 is the least significant bit), or
            (P, m) expectation values.
        """
        ...
