"""No noise: the mathematics of the circuit, simulated exactly."""

from qshield_qiskit.devices.backend import Backend


def build(num_qubits: int) -> Backend:
    """Make the noiseless backend.

    Args:
        num_qubits: Number of qubits.
    """
    return Backend("aer_ideal", num_qubits)
