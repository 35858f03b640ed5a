"""A chain: CX from each qubit to the next, n - 1 gates."""

from collections.abc import Sequence

from qshield_qiskit.quantum.layered import layered_circuit
from qshield_qiskit.quantum.template import CircuitTemplate


def build(
    num_qubits: int,
    reps: int = 1,
    encoding: str = "enhanced_angle",
    ansatz: str = "rotations",
    readout: str | Sequence[str] = "probabilities",
    *,
    reupload: bool = False,
) -> CircuitTemplate:
    """Build the template; `layered_circuit` explains the settings."""
    entangler = [(qubit, qubit + 1) for qubit in range(num_qubits - 1)]
    return layered_circuit(
        "linear",
        num_qubits,
        entangler,
        reps=reps,
        encoding=encoding,
        ansatz=ansatz,
        readout=readout,
        reupload=reupload,
    )
