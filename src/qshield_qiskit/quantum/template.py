"""The noiseless circuit of a quantum layer: which parameters are inputs, which are weights, what is read."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import ControlFlowOp, Gate, Instruction, Operation, Parameter
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.exceptions import QiskitError
from qiskit.quantum_info import Pauli, SparsePauliOp

from qshield_qiskit.errors import InputError

LAYER_END = "layer_end"
"""Name of the mark at the end of an entangling layer, where `paper_noise` attaches its channel."""

ObservableLike: TypeAlias = str | Pauli | SparsePauliOp

KNOWN_NAMES = frozenset({*get_standard_gate_name_mapping(), "barrier", "kraus", "superop", LAYER_END})
"""Names by which operations are recognised."""

_METADATA_KEY = "qshield"


class LayerEnd(Gate):  # type: ignore[misc]  # Qiskit ships no types
    """The mark itself: a one-qubit gate that does nothing, the identity to a tool that does not know it."""

    def __init__(self, label: str | None = None) -> None:
        super().__init__(LAYER_END, 1, [], label=label)

    def _define(self) -> None:
        self.definition = QuantumCircuit(1, name=LAYER_END)

    def inverse(self, annotated: bool = False) -> LayerEnd:
        """Return the mark again: doing nothing is its own inverse."""
        return LayerEnd(self.label)


def mark_layer_end(circuit: QuantumCircuit) -> None:
    """Append a layer mark to every qubit of the circuit, in place."""
    for qubit in circuit.qubits:
        circuit.append(LayerEnd(), [qubit])


@dataclass(frozen=True, init=False, eq=False, repr=False)
class CircuitTemplate:
    """A quantum circuit with named inputs and weights, and no noise.

    Any `QuantumCircuit` will do; its final measurements are dropped, because the readout is the template's:

    >>> from qiskit.circuit import ParameterVector
    >>> x = ParameterVector("x", 2)
    >>> circuit = QuantumCircuit(2)
    >>> for qubit in range(2):
    ...     _ = circuit.ry(x[qubit], qubit)
    >>> CircuitTemplate(circuit, inputs=x, observables=["ZI", "IZ"]).num_outputs
    2

    Attributes:
        circuit: A copy of the circuit that was given, on the same qubits and as if they were the user's own: without
            final measurements, classical bits and the layout that a transpiler leaves.
        inputs: Parameters fed by data, in radians, in the order of a layer's input columns.
        weights: Parameters that are trained, in the order of a layer's weight vector.
        observables: What is read, on the template's qubits; None reads the 2**num_qubits outcome
            probabilities in Qiskit's order (qubit 0 is the least significant bit, and the last letter of a
            Pauli string).
        name: What tables and drawings call it.
    """

    circuit: QuantumCircuit
    inputs: list[Parameter]
    weights: list[Parameter]
    observables: list[SparsePauliOp] | None
    name: str

    def __init__(
        self,
        circuit: QuantumCircuit,
        inputs: Sequence[Parameter] | Parameter,
        weights: Sequence[Parameter] | Parameter | None = (),
        observables: Sequence[ObservableLike] | None = None,
        name: str | None = None,
    ) -> None:
        """Check the circuit and keep a copy of it.

        Args:
            circuit: At least one qubit; unitary up to measurements at its very end.
            inputs: Parameters or a ParameterVector; with the weights, exactly the circuit's parameters.
            weights: The same for the trained ones.
            observables: Pauli strings or Hermitian operators on all the circuit's qubits; None for
                probabilities.
            name: The circuit's own name if None.

        Raises:
            InputError: A parameter is missing, repeated or unknown; the circuit measures, resets or branches
                before its end; an observable does not fit.
        """
        own = _on_qubits_alone(circuit)
        fed, trained = _listed(inputs), _listed(weights)
        _check_parameters(own, fed, trained, circuit.name)
        object.__setattr__(self, "circuit", own)
        object.__setattr__(self, "inputs", fed)
        object.__setattr__(self, "weights", trained)
        object.__setattr__(self, "observables", _operators(observables, own.num_qubits))
        object.__setattr__(self, "name", name or circuit.name)

    def __repr__(self) -> str:
        return (
            f"<CircuitTemplate {self.name}: {self.num_qubits} qubits, {self.num_inputs} inputs, "
            f"{self.num_weights} weights, {self.num_outputs} outputs>"
        )

    @property
    def num_qubits(self) -> int:
        """Number of qubits."""
        return int(self.circuit.num_qubits)

    @property
    def num_inputs(self) -> int:
        """Number of angles that one image supplies."""
        return len(self.inputs)

    @property
    def num_weights(self) -> int:
        """Number of trained angles."""
        return len(self.weights)

    @property
    def num_outputs(self) -> int:
        """Number of figures read: one an observable, or 2**num_qubits probabilities."""
        return 2**self.num_qubits if self.observables is None else len(self.observables)

    def to_bytes(self) -> bytes:
        """Serialise to plain QPY; order, readout and name travel as the circuit's metadata."""
        circuit = self.circuit.copy()
        operators = self.observables
        circuit.metadata = {
            _METADATA_KEY: {
                "inputs": [parameter.name for parameter in self.inputs],
                "weights": [parameter.name for parameter in self.weights],
                "observables": operators and [_terms(operator) for operator in operators],
                "name": self.name,
            }
        }
        buffer = io.BytesIO()
        qpy.dump(circuit, buffer)
        return buffer.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> CircuitTemplate:
        """Read what `to_bytes` wrote.

        Raises:
            InputError: The bytes are no QPY, or a QPY that was not written by `to_bytes`.
        """
        try:
            circuit = qpy.load(io.BytesIO(data))[0]
            layout: dict[str, Any] = circuit.metadata[_METADATA_KEY]
            by_name = {parameter.name: parameter for parameter in circuit.parameters}
            terms = layout["observables"]
            return cls(
                circuit,
                inputs=[by_name[name] for name in layout["inputs"]],
                weights=[by_name[name] for name in layout["weights"]],
                observables=terms and [SparsePauliOp.from_list(term) for term in terms],
                name=layout["name"],
            )
        except Exception as error:  # damaged bytes fail in QPY's depths, in any manner
            raise InputError(f"these {len(data)} bytes are no circuit template: {error!r}") from error


def _on_qubits_alone(circuit: QuantumCircuit) -> QuantumCircuit:
    """Copy a circuit that is unitary up to final measurements, and of all else about it keep the name."""
    given = circuit.remove_final_measurements(inplace=False) if circuit.num_clbits else circuit.copy()
    given = _in_gates(given)
    _check_unitary(given, circuit.name)
    own = QuantumCircuit(given.qubits, *given.qregs, name=given.name, global_phase=given.global_phase)
    for instruction in given.data:
        own.append(instruction)
    return own


def _in_gates(circuit: QuantumCircuit) -> QuantumCircuit:
    """Synthesise abstract operations, such as a Clifford or an annotated gate, and open blocks of borrowed names."""
    abstract = {step.operation.name for step in circuit.data if not isinstance(step.operation, Instruction)}
    opened = circuit.copy_empty_like()
    for step in circuit.data:
        if _is_to_be_opened(step.operation):
            opened.compose(_in_gates(step.operation.definition), step.qubits, step.clbits, inplace=True)
        else:
            opened.append(step)
    try:
        return opened.decompose(list(abstract)) if abstract else opened
    except QiskitError as error:
        raise InputError(
            f"circuit {circuit.name!r} has an operation that gates cannot express: {error.message}"
        ) from error


def _is_to_be_opened(operation: Operation) -> bool:
    """Tell whether a composite instruction holds anything abstract, or one of a name that another gate is known by.

    A user's block named p would be taken for the phase gate. A layer mark that came out of a file is composite too,
    with nothing inside.
    """
    if type(operation) not in {Instruction, Gate} or not operation.definition:
        return False
    parts = (instruction.operation for instruction in operation.definition.data)
    return operation.name in KNOWN_NAMES or any(
        not isinstance(part, Instruction) or _is_to_be_opened(part) for part in parts
    )


def _check_unitary(circuit: QuantumCircuit, name: str) -> None:
    """Refuse what has no place between encoding and readout."""
    if circuit.num_qubits == 0:
        raise InputError(f"circuit {name!r} has no qubits; a template needs at least one")
    for instruction in circuit.data:
        found = _not_unitary(instruction.operation)
        if found:
            raise InputError(
                f"circuit {name!r} has a {found} before its end, but a template is unitary up to final "
                "measurements; measure at the end only, and prepare states with gates (not initialize)"
            )


def _not_unitary(operation: Operation) -> str | None:
    """Name the measurement, reset, branch or channel that an operation is or contains, if any."""
    if isinstance(operation, ControlFlowOp) or operation.num_clbits:
        return str(operation.name)
    if operation.name in {"barrier", "delay"} or isinstance(operation, Gate):
        return None
    if not isinstance(operation, Instruction) or operation.definition is None:
        return str(operation.name)
    inside = (_not_unitary(instruction.operation) for instruction in operation.definition.data)
    return next((found for found in inside if found), None)


def _listed(parameters: Sequence[Parameter] | Parameter | None) -> list[Parameter]:
    if parameters is None:
        return []
    return [parameters] if isinstance(parameters, Parameter) else list(parameters)


def _check_parameters(
    circuit: QuantumCircuit, inputs: list[Parameter], weights: list[Parameter], name: str
) -> None:
    """Hold inputs and weights to exactly the circuit's parameters, each once."""
    given = inputs + weights
    for parameter in given:
        if not isinstance(parameter, Parameter):
            raise InputError(f"circuit {name!r}: inputs and weights are Qiskit Parameters, not {parameter!r}")
    if not inputs:
        raise InputError(f"circuit {name!r} has no inputs; name the parameters that carry data in inputs=")
    problems = {
        "named twice": {parameter.name for parameter in given if given.count(parameter) > 1},
        "not in the circuit": {parameter.name for parameter in given} - {p.name for p in circuit.parameters},
        "neither input nor weight": {p.name for p in circuit.parameters if p not in given},
    }
    for problem, names in problems.items():
        if names:
            raise InputError(f"circuit {name!r}: {problem}: {', '.join(sorted(names))}")


def _operators(observables: Sequence[ObservableLike] | None, num_qubits: int) -> list[SparsePauliOp] | None:
    """Turn Pauli strings into operators and check that all of them fit the qubits."""
    if observables is None:
        return None
    if isinstance(observables, str | Pauli | SparsePauliOp) or not isinstance(observables, Iterable):
        observables = [observables]
    operators = [_operator(observable, num_qubits) for observable in observables]
    if not operators:
        raise InputError("observables is empty; give at least one, or None for the outcome probabilities")
    return operators


def _operator(observable: ObservableLike, num_qubits: int) -> SparsePauliOp:
    """Turn one observable into an operator that fits."""
    try:
        operator = SparsePauliOp(observable)
    except (QiskitError, TypeError, ValueError) as error:
        raise InputError(
            f"observable {observable!r} is no string of I, X, Y, Z and no SparsePauliOp"
        ) from error
    given = observable if isinstance(observable, str) else str(operator.to_list())
    if operator.num_qubits != num_qubits:
        raise InputError(
            f"observable {given} acts on {operator.num_qubits} qubits, the circuit has {num_qubits}"
        )
    if (
        operator.coeffs.dtype == object
        or operator.coeffs.imag.any()
        or not np.isfinite(operator.coeffs).all()
    ):
        raise InputError(f"observable {given} is not Hermitian; its coefficients must be finite real numbers")
    return operator


def _terms(operator: SparsePauliOp) -> list[tuple[str, float]]:
    """Write an operator as JSON can: Pauli strings with their coefficients."""
    return [(label, float(coefficient.real)) for label, coefficient in operator.to_list()]
