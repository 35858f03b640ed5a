"""The paper's noise: one channel on every qubit after each entangling layer."""

from qiskit_aer.noise import NoiseModel

from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.quantum.channels import paper_channel
from qshield_qiskit.quantum.template import LAYER_END


def build(num_qubits: int, channel: str = "mixed", p: float = 0.005) -> Backend:
    """Make a backend without couplings whose noise sits on the circuit's layer marks.

    Args:
        num_qubits: Number of qubits.
        channel: depolarizing, amplitude_damping, phase_damping, or mixed.
        p: Strength of the channel, in [0, 1].
    """
    noise = NoiseModel()
    noise.add_all_qubit_quantum_error(paper_channel(channel, p), LAYER_END)
    return Backend("paper_noise", num_qubits, noise, keeps_layer_marks=True)
