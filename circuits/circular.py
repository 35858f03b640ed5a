"""A ring: the chain, and CX from the last to the first.

Two qubits have one bond only, so their ring is the chain.
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
    chain = [(qubit, qubit + 1) for qubit in range(num_qubits - 1)]
    entangler = [*chain, (num_qubits - 1, 0)] if num_qubits > 2 else chain
    return layered_circuit(
        "circular",
        num_qubits,
        entangler,
        reps=reps,
        encoding=encoding,
        ansatz=ansatz,
        readout=readout,
        reupload=reupload,
    )
