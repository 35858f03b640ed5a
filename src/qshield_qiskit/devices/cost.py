"""What a circuit costs on a device: depth, two-qubit gates, and how likely it is to run without an error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qiskit import QuantumCircuit

from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.success import log_success

NO_GATES = frozenset({"delay", "barrier", "measure"})


@dataclass(frozen=True)
class Cost:
    """A circuit, transpiled to a calibrated device.

    Attributes:
        calibration: Its name.
        depth: Longest chain of gates, idle times not counted.
        two_qubit_gates: How many there are.
        two_qubit_depth: Longest chain of these alone.
        success: Estimated probability that nothing goes wrong in gates, idle times and readout.
    """

    calibration: str
    depth: int
    two_qubit_gates: int
    two_qubit_depth: int
    success: float


def cost(circuit: QuantumCircuit, calibration: str) -> Cost:
    """Transpile a circuit to the best qubits of a calibration and count.

    Args:
        circuit: As written, with its own parameters.
        calibration: A name that `calibrations.find` lists, or a file.

    Raises:
        InputError: No such calibration, or one of too few qubits.
    """
    backend = Backend.calibrated(calibration, calibrations.load_for(calibration, circuit.num_qubits))
    assert backend.calibration is not None
    placed = backend.transpile(circuit)
    return Cost(
        calibration=calibration,
        depth=placed.depth(lambda step: step.operation.name not in NO_GATES),
        two_qubit_gates=placed.num_nonlocal_gates(),
        two_qubit_depth=placed.depth(lambda step: len(step.qubits) > 1),
        success=math.exp(log_success(placed, backend.calibration)),
    )
