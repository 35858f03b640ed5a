"""From the user's circuit to the one that runs, with the user's own parameters still in it."""

from __future__ import annotations

from functools import cache

from qiskit import QuantumCircuit
from qiskit.circuit import ControlFlowOp
from qiskit.circuit.library import IGate, get_standard_gate_name_mapping
from qiskit.exceptions import QiskitError
from qiskit.transpiler import Target, generate_preset_pass_manager
from qiskit_aer import AerSimulator

from qshield_qiskit.devices.compiling.routing import best_routing
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.occurrences import separate_occurrences
from qshield_qiskit.quantum.template import LAYER_END, LayerEnd, mark_layer_end


def unrolled(circuit: QuantumCircuit) -> QuantumCircuit:
    """Open composite gates until Aer knows them all, and check that the circuit measures at its end only.

    Args:
        circuit: Any circuit.

    Returns:
        An equivalent circuit of standard gates and layer marks.

    Raises:
        InputError: It resets, branches or measures before its end, or has a gate without a definition.
    """
    for instruction in circuit.data:
        if isinstance(instruction.operation, ControlFlowOp):
            raise _refused(circuit, f"branches or loops ({instruction.operation.name})")
    try:
        plain = generate_preset_pass_manager(optimization_level=0, target=_simulable()).run(circuit)
    except QiskitError as error:
        raise InputError(
            f"circuit {circuit.name!r} has a gate that standard gates cannot express: {error.message}"
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


def marked(circuit: QuantumCircuit) -> QuantumCircuit:
    """Give a circuit without layer marks one layer of them at its end, before its measurements.

    Args:
        circuit: As `unrolled` returns it.
    """
    if any(instruction.operation.name == LAYER_END for instruction in circuit.data):
        return circuit
    complete = circuit.copy_empty_like()
    measurements = [instruction for instruction in circuit.data if instruction.operation.name == "measure"]
    for instruction in circuit.data:
        if instruction.operation.name != "measure":
            complete.append(instruction)
    mark_layer_end(complete)
    for instruction in measurements:
        complete.append(instruction)
    return complete


def for_simulator(circuit: QuantumCircuit, *, keep_layer_marks: bool) -> QuantumCircuit:
    """Prepare a circuit for simulation without a device: every gate that Aer knows stays as it is.

    Args:
        circuit: As `unrolled` returns it.
        keep_layer_marks: Turn layer marks into identities labelled `LAYER_END` instead of dropping them; a
            circuit without marks gets them first, see `marked`.
    """
    return _with_labelled_marks(marked(circuit)) if keep_layer_marks else _without_marks(circuit)


def for_device(circuit: QuantumCircuit, calibration: Calibration, target: Target) -> QuantumCircuit:
    """Lay a circuit out on a device, route it, write it in the device's gates and schedule it.

    Meanwhile every parametrised angle is one opaque parameter of its own, so that nothing is simplified
    across the user's expressions; these come back at the end.

    Args:
        circuit: As `unrolled` returns it.
        calibration: The device's figures, by which layouts are judged.
        target: The same device as Qiskit's transpiler sees it.

    Raises:
        InputError: Qiskit cannot express the circuit on the device.
    """
    opaque, expressions = separate_occurrences(_without_marks(circuit))
    try:
        routed = _without_spare_delays(best_routing(opaque, calibration, target))
    except QiskitError as error:
        reason = f"cannot be transpiled to {calibration.device} ({error.message})"
        raise InputError(f"circuit {circuit.name!r} {reason}") from error
    return routed.assign_parameters({angle: expressions[angle] for angle in routed.parameters})


@cache
def _simulable() -> Target:
    """The gates that Aer's density-matrix method runs as they are, and the layer mark, on any qubits."""
    known = set(AerSimulator(method="density_matrix").operation_names)
    standard = sorted(known & get_standard_gate_name_mapping().keys())
    return Target.from_configuration(
        basis_gates=[*standard, LAYER_END], custom_name_mapping={LAYER_END: LayerEnd()}
    )


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


def _with_labelled_marks(circuit: QuantumCircuit) -> QuantumCircuit:
    """Turn layer marks into identities with their label: that is how Aer finds the noise of a custom gate."""
    labelled = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.operation.name == LAYER_END:
            labelled.append(IGate(label=LAYER_END), instruction.qubits)
        else:
            labelled.append(instruction)
    return labelled


def _without_spare_delays(circuit: QuantumCircuit) -> QuantumCircuit:
    """Drop the delays on qubits that do nothing but wait: in |0>, they wait unharmed."""
    used = {q for instruction in circuit.data if instruction.name != "delay" for q in instruction.qubits}
    kept = circuit.copy_empty_like()
    for instruction in circuit.data:
        if used.intersection(instruction.qubits):
            kept.append(instruction)
    return kept
