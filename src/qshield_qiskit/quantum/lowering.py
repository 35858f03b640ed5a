"""From a transpiled circuit and its noise model to a plain list of gates, channels and rotations.

This is where Qiskit ends: what comes out knows matrices, Pauli strings and angle expressions, and nothing of how a
state is represented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, Instruction, Measure, Parameter, ParameterExpression
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Operator, Pauli, SuperOp
from qiskit_aer.noise import NoiseModel
from qiskit_aer.noise.errors.base_quantum_error import QuantumChannelInstruction

from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.noise import NoiseTables

PAULI_ROTATIONS = {
    **{"rx": "X", "ry": "Y", "rz": "Z", "p": "Z", "u1": "Z"},
    **{"rxx": "XX", "ryy": "YY", "rzz": "ZZ", "rzx": "XZ"},
}
"""Gates exp(-i theta P / 2), up to a global phase, and their P as a Qiskit label (rightmost letter: first qubit)."""

IGNORED = frozenset({"barrier", "delay", "id", "global_phase", "measure"})
"""Instructions without an effect of their own; the noise that follows one of them still counts."""


NEVER_NOISY = frozenset({"barrier", "kraus", "superop"})
"""Instructions after which Aer applies no noise, whatever the noise model says of their name."""


@dataclass(frozen=True)
class Gate:
    """A fixed unitary. `matrix` is (2^k, 2^k) with the first of `qubits` least significant, as in Qiskit."""

    matrix: NDArray[np.complex128]
    qubits: tuple[int, ...]


@dataclass(frozen=True)
class Channel:
    """A fixed quantum channel. `superoperator` is (4^k, 4^k) on column-stacked density matrices."""

    superoperator: NDArray[np.complex128]
    qubits: tuple[int, ...]


@dataclass(frozen=True)
class Rotation:
    """exp(-i angle P / 2) for a Pauli string P, written as a Qiskit label on `qubits`; the angle is in radians."""

    pauli: str
    angle: ParameterExpression
    qubits: tuple[int, ...]

    @property
    def parameters(self) -> frozenset[Parameter]:
        """The circuit parameters that the angle depends on."""
        return frozenset(self.angle.parameters)


Operation = Gate | Channel | Rotation


@dataclass(frozen=True)
class LoweredCircuit:
    """A circuit as a list of operations on its `num_qubits` active qubits.

    `positions[i]` is the qubit on which the user's qubit i ends, and `readout[i]` that qubit's confusion matrix (rows
    true, columns measured) or None.
    """

    operations: tuple[Operation, ...]
    num_qubits: int
    positions: tuple[int, ...]
    readout: tuple[NDArray[np.float64] | None, ...]

    @property
    def noisy(self) -> bool:
        """Whether any channel acts before the readout."""
        return any(isinstance(operation, Channel) for operation in self.operations)


def lower(
    circuit: QuantumCircuit, noise_model: NoiseModel | None, num_logical: int | None = None
) -> LoweredCircuit:
    """Flatten a circuit, each instruction followed by its noise.

    Args:
        circuit: What runs: transpiled, its angles still in the user's parameters. All qubits that were the user's are
            measured at its end, whether it says so or not; an error of `measure` comes before the outcome, as in Aer.
        noise_model: The Aer noise model it runs under.
        num_logical: How many of the qubits were the user's own before transpiling; all of them by default.

    Returns:
        The operations in order, and where each of the user's qubits ends.

    Raises:
        InputError: The circuit resets or measures a qubit that it goes on to use, or branches on a result.
    """
    tables = NoiseTables(noise_model)
    positions = _positions(circuit)[:num_logical]
    index = {qubit: i for i, qubit in enumerate(circuit.qubits)}
    operations: list[Operation] = []
    measured: set[int] = set()
    for instruction in tables.insert_scheduled(circuit).data:
        operation, qubits = instruction.operation, tuple(index[q] for q in instruction.qubits)
        if operation.name == "measure":
            measured.update(qubits)
        elif measured.intersection(qubits) and (operation.name in IGNORED or _is_channel(operation)):
            continue  # waiting after a measurement changes nothing that was measured
        elif measured.intersection(qubits):
            raise InputError(
                f"qubit {min(measured.intersection(qubits))} is used again ({operation.name}) after its measurement; "
                "the simulator needs all measurements at the end: move them there or leave them out"
            )
        operations.extend(_own_part(operation, qubits))
        channel = None if operation.name in NEVER_NOISY else tables.channel(operation, qubits)
        if channel is not None:
            operations.append(Channel(channel, qubits))
    for position in positions:  # read at the end, whether or not the circuit says so
        channel = None if position in measured else tables.channel(Measure(), (position,))
        if channel is not None:
            operations.append(Channel(channel, (position,)))
    # A device has qubits to spare: the state spans those that are used or read, and they are numbered anew.
    active = sorted({*positions, *(qubit for operation in operations for qubit in operation.qubits)})
    number = {qubit: i for i, qubit in enumerate(active)}
    return LoweredCircuit(
        operations=tuple(
            replace(operation, qubits=tuple(number[qubit] for qubit in operation.qubits))
            for operation in operations
        ),
        num_qubits=len(active),
        positions=tuple(number[position] for position in positions),
        readout=tuple(tables.readout(position) for position in positions),
    )


def _positions(circuit: QuantumCircuit) -> tuple[int, ...]:
    layout = circuit.layout
    return tuple(range(circuit.num_qubits)) if layout is None else tuple(layout.final_index_layout())


def _own_part(operation: Instruction, qubits: tuple[int, ...]) -> Iterator[Operation]:
    """An instruction, without the noise model's share, as rotations, gates and channels; definitions are opened."""
    if operation.name in IGNORED or _is_channel(operation):
        return
    if operation.name == "reset" or isinstance(operation, ControlFlowOp):
        raise InputError(
            f"the circuit holds a {operation.name!r} on qubits {list(qubits)}; the exact simulator takes unitary gates "
            "and the channels of a noise model only: remove it, or use a backend that samples"
        )
    trotterised = operation.name == "PauliEvolution"  # what runs is its definition, not its exact exponential
    parametrised = any(isinstance(parameter, ParameterExpression) for parameter in operation.params)
    if parametrised and operation.name in PAULI_ROTATIONS:
        yield _rotation(PAULI_ROTATIONS[operation.name], operation.params[0], qubits)
    elif parametrised and operation.name == "u":
        theta, phi, lam = operation.params
        yield from (_rotation(axis, angle, qubits) for axis, angle in (("Z", lam), ("Y", theta), ("Z", phi)))
    elif operation.name in {"kraus", "superop"}:
        yield Channel(SuperOp(operation).data, qubits)
    elif not parametrised and (
        (operation.num_qubits <= 2 and not trotterised) or _definition(operation) is None
    ):
        yield Gate(_unitary(operation), qubits)
    else:
        inner = definition_of(operation)
        index = {qubit: qubits[i] for i, qubit in enumerate(inner.qubits)}
        for instruction in inner.data:
            yield from _own_part(instruction.operation, tuple(index[q] for q in instruction.qubits))


def definition_of(operation: Instruction) -> QuantumCircuit:
    """Give the circuit that a gate stands for.

    Raises:
        InputError: There is none.
    """
    definition = _definition(operation)
    if definition is None:
        raise InputError(
            f"gate {operation.name!r} has no definition that holds for its parameters; give it one made of standard "
            "gates"
        )
    return definition


def _definition(operation: Instruction) -> QuantumCircuit | None:
    try:
        return operation.definition
    except QiskitError:  # of some gates it is made from bound parameters only
        return None


def _unitary(operation: Instruction) -> NDArray[np.complex128]:
    try:
        matrix: NDArray[np.complex128] = Operator(operation).data
    except QiskitError as error:
        raise InputError(
            f"gate {operation.name!r} has neither a matrix nor a definition; give it one made of standard gates"
        ) from error
    return matrix


def _is_channel(operation: Instruction) -> bool:
    return isinstance(operation, QuantumChannelInstruction)


def _rotation(pauli: str, angle: ParameterExpression | float, qubits: tuple[int, ...]) -> Gate | Rotation:
    if isinstance(angle, ParameterExpression):
        return Rotation(pauli, angle, qubits)
    return rotation_gate(pauli, angle, qubits)


def rotation_gate(pauli: str, angle: float, qubits: tuple[int, ...]) -> Gate:
    """exp(-i angle P / 2) at a given angle in radians."""
    generator = Pauli(pauli).to_matrix()
    return Gate(np.cos(angle / 2) * np.eye(len(generator)) - 1j * np.sin(angle / 2) * generator, qubits)
