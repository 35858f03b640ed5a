"""What is read at the end of a circuit."""

from __future__ import annotations

from collections.abc import Sequence

from qshield_qiskit.errors import InputError

READOUTS = ("probabilities", "z")


def z_strings(num_qubits: int) -> list[str]:
    """Spell Z on each qubit in turn; qubit 0 is the last letter, as in Qiskit.

    >>> z_strings(3)
    ['IIZ', 'IZI', 'ZII']
    """
    return ["I" * (num_qubits - 1 - qubit) + "Z" + "I" * qubit for qubit in range(num_qubits)]


def observables_of(readout: str | Sequence[str], num_qubits: int) -> list[str] | None:
    """Translate a readout's name to the observables of a template.

    Args:
        readout: "probabilities", "z" (Z on each qubit), or Pauli strings of num_qubits letters each.
        num_qubits: Number of qubits.

    Returns:
        Pauli strings, or None for outcome probabilities.

    Raises:
        InputError: The readout is neither of the names nor a list.
    """
    if readout == "probabilities":
        return None
    if readout == "z":
        return z_strings(num_qubits)
    if isinstance(readout, str):
        raise InputError(
            f"no such readout: {readout!r} (known: {', '.join(READOUTS)}, or a list of Pauli strings such as "
            f"[{z_strings(num_qubits)[0]}])"
        )
    return list(readout)
