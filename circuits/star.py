"""CX from qubit 0 to every other qubit, n - 1 gates."""

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
    entangler = [(0, qubit) for qubit in range(1, num_qubits)]
    return layered_circuit(
        "star",
        num_qubits,
        entangler,
        reps=reps,
        encoding=encoding,
        ansatz=ansatz,
        readout=readout,
        reupload=reupload,
    )
