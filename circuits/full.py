"""CX from every qubit to every later one, n (n - 1) / 2 gates."""

from collections.abc import Sequence
from itertools import combinations

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
    entangler = list(combinations(range(num_qubits), 2))
    return layered_circuit(
        "full",
        num_qubits,
        entangler,
        reps=reps,
        encoding=encoding,
        ansatz=ansatz,
        readout=readout,
        reupload=reupload,
    )
