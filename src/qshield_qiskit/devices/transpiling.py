"""From the user's circuit to the one that runs, with the user's own parameters still in it."""

from __future__ import annotations

from functools import cache

from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp, Parameter, ParameterExpression
from qiskit.circuit.library import IGate, get_standard_gate_name_mapping
from qiskit.exceptions import QiskitError
from qiskit.transpiler import Target, generate_preset_pass_manager
from qiskit_aer import AerSimulator

from qshield_qiskit.devices import routing
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.template import LAYER_END, LayerEnd


def for_simulator(circuit: QuantumCircuit, *, keep_layer_marks: bool) -> QuantumCircuit:
    """Prepare a circuit for exact simulation without a device: every gate that Aer knows stays as it is.

    Args:
        circuit: Unitary up to final measurements.
        keep_layer_marks: Turn layer marks into identities labelled `LAYER_END` instead of dropping them; a circuit
            without marks gets one layer of them at its end.
    """
    plain = _unrolled(circuit)
    return _labelled_marks(plain) if keep_layer_marks else _without_marks(plain)


def for_device(circuit: QuantumCircuit, calibration: Calibration, target: Target) -> QuantumCircuit:
    """Lay a circuit out on a device, route it, write it in the device's gates and schedule it.

    While that happens, each parametrised angle is one opaque parameter of its own, so that nothing is merged or
    simplified across the user's expressions; these come back at the end.

    Args:
        circuit: Unitary up to final measurements.
        calibration: The device's figures, by which layouts are judged.
        target: The same device as Qiskit's transpiler sees it.
    """
    opaque, expressions = separate_occurrences(_without_marks(_unrolled(circuit)))
    try:
        best = routing.best_routing(opaque, calibration, target)
    except QiskitError as error:
        raise InputError(
            f"circuit {circuit.name!r} cannot be transpiled to {calibration.device}: {error.message}"
        ) from error
    return best.assign_parameters({angle: expressions[angle] for angle in best.parameters})


def separate_occurrences(
    circuit: QuantumCircuit,
) -> tuple[QuantumCircuit, dict[Parameter, ParameterExpression]]:
    """Give every parametrised angle of every gate a parameter of its own.

    Args:
        circuit: Any circuit.

    Returns:
        The circuit in the new parameters, and the expression that each of them stands for.
    """
    separated = circuit.copy_empty_like()
    separated.global_phase = 0  # it has no effect, and its parameters must not come between
    expressions: dict[Parameter, ParameterExpression] = {}
    for instruction in circuit.data:
        operation = instruction.operation
        if any(isinstance(angle, ParameterExpression) for angle in operation.params):
            operation = operation.to_mutable()
            angles = list(operation.params)
            for i, angle in enumerate(angles):
                if isinstance(angle, ParameterExpression):
                    angles[i] = Parameter(f"occurrence {len(expressions)}")
                    expressions[angles[i]] = angle
            operation.params = angles
        separated.append(operation, instruction.qubits, instruction.clbits)
    return separated, expressions


def check_size(circuit: QuantumCircuit, num_qubits: int, backend: str) -> None:
    """Refuse a circuit that has more qubits than the backend."""
    if circuit.num_qubits > num_qubits:
        raise InputError(
            f"circuit {circuit.name!r} has {circuit.num_qubits} qubits, but this {backend} was made for {num_qubits}; "
            f"load it with num_qubits={circuit.num_qubits}"
        )


@cache
def _simulable() -> Target:
    """The gates that Aer's density-matrix method runs as they are, and the layer mark, on any qubits."""
    standard = get_standard_gate_name_mapping().keys() & set(
        AerSimulator(method="density_matrix").operation_names
    )
    return Target.from_configuration(
        basis_gates=[*sorted(standard), LAYER_END], custom_name_mapping={LAYER_END: LayerEnd()}
    )


def _unrolled(circuit: QuantumCircuit) -> QuantumCircuit:
    """Open composite gates down to those that Aer knows, and check that nothing but final measurements is left."""
    for instruction in circuit.data:
        if isinstance(instruction.operation, ControlFlowOp):
            raise _refused(circuit, f"branches or loops ({instruction.operation.name})")
    passes = generate_preset_pass_manager(optimization_level=0, target=_simulable())
    try:
        plain = passes.run(circuit)
    except QiskitError as error:
        raise InputError(
            f"circuit {circuit.name!r} has a gate that cannot be written in standard ones: {error.message}"
        ) from error
    measured = set()
    for instruction in plain.data:
        name = instruction.operation.name
        if name == "measure":
            measured.update(instruction.qubits)
        elif name == "reset":
            raise _refused(circuit, "resets a qubit (directly, or by initialize)")
        elif name != "barrier" and measured.intersection(instruction.qubits):
            raise _refused(circuit, f"goes on ({name}) after a measurement")
    return plain


def _refused(circuit: QuantumCircuit, what: str) -> InputError:
    return InputError(
        f"circuit {circuit.name!r} {what}, but only unitary circuits with final measurements can be run; "
        "prepare states with gates and measure at the end"
    )


def _without_marks(circuit: QuantumCircuit) -> QuantumCircuit:
    plain = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.operation.name != LAYER_END:
            plain.append(instruction)
    return plain


def _labelled_marks(circuit: QuantumCircuit) -> QuantumCircuit:
    """Turn layer marks into identities under their label, which is where Aer looks for the noise of such a gate."""
    marked = any(instruction.operation.name == LAYER_END for instruction in circuit.data)
    labelled = circuit.copy_empty_like()
    read = set()
    for instruction in circuit.data:
        operation = instruction.operation
        if operation.name == LAYER_END:
            labelled.append(IGate(label=LAYER_END), instruction.qubits)
            continue
        if operation.name == "measure" and not marked:
            read.update(instruction.qubits)
            labelled.append(IGate(label=LAYER_END), instruction.qubits)
        labelled.append(instruction)
    for qubit in circuit.qubits:
        if not marked and qubit not in read:
            labelled.append(IGate(label=LAYER_END), [qubit])
    return labelled
