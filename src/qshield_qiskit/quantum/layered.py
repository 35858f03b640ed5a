"""The common frame of the templates in circuits/: an encoding, then layers of rotations and CX gates."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.ansatz import find_ansatz
from qshield_qiskit.quantum.encodings import find_encoding
from qshield_qiskit.quantum.observables import observables_of
from qshield_qiskit.quantum.template import CircuitTemplate, mark_layer_end


def layered_circuit(
    name: str,
    num_qubits: int,
    entangler: Sequence[tuple[int, int]],
    *,
    reps: int = 1,
    encoding: str = "enhanced_angle",
    ansatz: str = "rotations",
    readout: str | Sequence[str] = "probabilities",
    reupload: bool = False,
) -> CircuitTemplate:
    """Build a template: encode, then `reps` times turn every qubit, apply the CX pattern, mark the end.

    Args:
        name: What drawings and tables call the template.
        num_qubits: Number of qubits, at least 1.
        entangler: The CX gates of one layer in their order, as (control, target).
        reps: Number of layers, at least 1.
        encoding: A name of `encodings.ENCODINGS`.
        ansatz: A name of `ansatz.ANSATZE`; every layer has weights of its own.
        readout: "probabilities", "z", or Pauli strings.
        reupload: Repeat the encoding, with the same inputs, before every layer and not only the first.

    Returns:
        The template; its inputs are called x, its weights w.

    Raises:
        InputError: A name is unknown or a number out of range.
    """
    for setting, value in (("num_qubits", num_qubits), ("reps", reps)):
        if value < 1:
            raise InputError(f"circuit {name!r}: {setting}={value}, but it must be at least 1")
    encoder, trained = find_encoding(encoding), find_ansatz(ansatz)
    inputs = ParameterVector("x", encoder.num_inputs(num_qubits))
    per_layer = trained.num_weights(num_qubits)
    weights = ParameterVector("w", reps * per_layer)

    circuit = QuantumCircuit(num_qubits, name=name)
    for layer in range(reps):
        if layer == 0 or reupload:
            encoder.apply(circuit, inputs)
        trained.apply(circuit, weights[layer * per_layer : (layer + 1) * per_layer])
        for control, target in entangler:
            circuit.cx(control, target)
        mark_layer_end(circuit)
    return CircuitTemplate(circuit, inputs, weights, observables_of(readout, num_qubits))
