"""No entanglement: every qubit stays on its own.

The control experiment: what the entangling templates gain, they gain over this one.
"""

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
    entangler: list[tuple[int, int]] = []
    return layered_circuit(
        "none",
        num_qubits,
        entangler,
        reps=reps,
        encoding=encoding,
        ansatz=ansatz,
        readout=readout,
        reupload=reupload,
    )
