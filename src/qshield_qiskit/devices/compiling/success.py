"""How likely a circuit is to run on a device without an error."""

from __future__ import annotations

import math
from typing import Any

from qiskit import QuantumCircuit

from qshield_qiskit.quantum.calibration import Calibration

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12}


def log_success(circuit: QuantumCircuit, calibration: Calibration) -> float:
    """Estimate the logarithm of the chance that nothing goes wrong, in gates, idle times and readout.

        sum over gates of log(1 - error)  +  sum over idle times of log F(t)
            +  sum over the user's qubits of log(1 - readout error)

    with F(t) = 1/2 + exp(-t/T1)/6 + exp(-t/T2)/3, the average fidelity of relaxation for a time t. A qubit
    that waits in |0> before its first gate loses nothing.

    Args:
        circuit: Written in the device's gates, with a layout and with idle times as delays.
        calibration: The device's figures.

    Returns:
        A number of at most 0; more is better.
    """
    errors = {(gate.name, gate.qubits): gate.error or 0.0 for gate in calibration.gates}
    index = {qubit: i for i, qubit in enumerate(circuit.qubits)}
    begun: set[int] = set()
    total = 0.0
    for instruction in circuit.data:
        operation, qubits = instruction.operation, tuple(index[qubit] for qubit in instruction.qubits)
        if operation.name != "delay":
            begun.update(qubits)
            total += log_fidelity(errors.get((operation.name, qubits), 0.0))
        elif qubits[0] in begun:
            total += log_fidelity(_relaxation_error(_delay(operation, calibration), calibration, qubits[0]))
    read = [calibration.qubits[qubit] for qubit in circuit.layout.final_index_layout()]
    return total + sum(log_fidelity(qubit.readout_error) for qubit in read)


def seconds_of(circuit: QuantumCircuit, calibration: Calibration) -> float:
    """Tell how long one run of a circuit lasts, along the longest path through its gates.

    Args:
        circuit: Written in the device's gates, with idle times as delays.
        calibration: The device's figures; a gate of unknown length counts as instantaneous.
    """
    lengths = {(gate.name, gate.qubits): gate.length or 0.0 for gate in calibration.gates}
    index = {qubit: i for i, qubit in enumerate(circuit.qubits)}
    clocks = [0.0] * circuit.num_qubits
    for instruction in circuit.data:
        operation, qubits = instruction.operation, tuple(index[qubit] for qubit in instruction.qubits)
        if operation.name == "delay":
            lasts = _delay(operation, calibration)
        elif operation.name == "measure":
            lasts = calibration.qubits[qubits[0]].readout_length or 0.0
        else:
            lasts = lengths.get((operation.name, qubits), 0.0)
        end = max(clocks[qubit] for qubit in qubits) + lasts
        for qubit in qubits:
            clocks[qubit] = end
    return max(clocks)


def log_fidelity(error: float) -> float:
    """log(1 - error), bounded so that even what always fails can be compared."""
    return math.log(max(1 - error, 1e-12))


def _delay(operation: Any, calibration: Calibration) -> float:
    scale = (calibration.dt or 0.0) if operation.unit == "dt" else _SECONDS[operation.unit]
    return float(operation.duration * scale)


def _relaxation_error(seconds: float, calibration: Calibration, qubit: int) -> float:
    t1 = calibration.qubits[qubit].t1 or math.inf
    t2 = min(calibration.qubits[qubit].t2 or math.inf, 2 * t1)
    return 1 / 2 - math.exp(-seconds / t1) / 6 - math.exp(-seconds / t2) / 3
