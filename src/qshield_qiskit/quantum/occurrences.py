"""Circuits in which every parametrised angle of every gate has a parameter of its own.

A parameter may stand in several gates and inside expressions. The shift rule needs each gate's angle by itself, and a
transpiler that sees opaque angles simplifies nothing across the user's expressions.
"""

from __future__ import annotations

from collections.abc import Iterator

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Parameter, ParameterExpression

from qshield_qiskit.quantum.lowering import PAULI_ROTATIONS, definition_of

SHIFTED = frozenset({*PAULI_ROTATIONS, "u"})
"""Gates whose outcomes are sinusoids of period 2 pi in each of their angles: U is RZ RY RZ."""


def separate_occurrences(
    circuit: QuantumCircuit, name: str = "occurrence"
) -> tuple[QuantumCircuit, dict[Parameter, ParameterExpression]]:
    """Give every parametrised angle of every gate a parameter of its own.

    Args:
        circuit: Any circuit; its global phase is dropped.
        name: What the new parameters are called, with a number behind.

    Returns:
        The circuit in the new parameters, and the expression that each of them stands for.
    """
    separated = circuit.copy_empty_like()
    separated.global_phase = 0
    expressions: dict[Parameter, ParameterExpression] = {}
    for instruction in circuit.data:
        operation = instruction.operation
        angles = list(operation.params)
        for i, angle in enumerate(angles):
            if isinstance(angle, ParameterExpression):
                angles[i] = Parameter(f"{name} {len(expressions)}")
                expressions[angles[i]] = angle
        if expressions.keys() & {angle for angle in angles if isinstance(angle, Parameter)}:
            operation = operation.to_mutable()
            operation.params = angles
        separated.append(operation, instruction.qubits, instruction.clbits)
    return separated, expressions


def with_parametrised_rotations(circuit: QuantumCircuit) -> QuantumCircuit:
    """Open gates that carry parameters until only rotations of `SHIFTED` carry any.

    Args:
        circuit: A unitary circuit.

    Returns:
        The same unitary, up to a global phase.

    Raises:
        InputError: A gate with parameters has no definition.
    """
    opened = circuit.copy_empty_like()
    opened.global_phase = 0
    for instruction in circuit.data:
        for part in _opened(instruction):
            opened.append(part)
    return opened


def _opened(instruction: CircuitInstruction) -> Iterator[CircuitInstruction]:
    operation = instruction.operation
    if operation.name in SHIFTED or not any(isinstance(p, ParameterExpression) for p in operation.params):
        yield instruction
        return
    definition = definition_of(operation)
    outer = dict(zip(definition.qubits, instruction.qubits, strict=True))
    for inner in definition.data:
        yield from _opened(inner.replace(qubits=[outer[qubit] for qubit in inner.qubits]))
