"""The same circuit in PennyLane (`pip install pennylane`): a broadcast density matrix and backpropagation."""

from __future__ import annotations

from collections.abc import Callable

import pennylane as qml
from torch import Tensor

from benchmarks.yardstick import NUM_QUBITS, P


def density_matrix(layers: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Outcomes (B, 16) from angles (B, 12) and weights (12 layers,)."""
    device = qml.device("default.mixed", wires=NUM_QUBITS)

    @qml.qnode(device, interface="torch", diff_method="backprop")
    def circuit(x: Tensor, w: Tensor) -> object:
        for qubit in range(NUM_QUBITS):
            for i, gate in enumerate((qml.RX, qml.RY, qml.RZ)):
                gate(x[:, 3 * qubit + i], wires=qubit)
        for layer in range(layers):
            for qubit in range(NUM_QUBITS):
                for i, gate in enumerate((qml.RZ, qml.RY, qml.RZ)):
                    gate(w[3 * (layer * NUM_QUBITS + qubit) + i], wires=qubit)
            for control in range(NUM_QUBITS):
                for target in range(control + 1, NUM_QUBITS):
                    qml.CNOT(wires=[control, target])
            for qubit in range(NUM_QUBITS):
                qml.DepolarizingChannel(0.4 * P, wires=qubit)
                qml.AmplitudeDamping(0.3 * P, wires=qubit)
                qml.PhaseDamping(0.3 * P, wires=qubit)
        return qml.probs(wires=range(NUM_QUBITS))

    run: Callable[[Tensor, Tensor], Tensor] = circuit
    return run
