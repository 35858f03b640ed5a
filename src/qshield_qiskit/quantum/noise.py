"""What an Aer noise model does to each instruction, as matrices.

Aer offers no public way to ask a `NoiseModel` for the channel behind an instruction, so this module is the one place
that reads its tables. The channels come out as Aer's own density-matrix method applies them, to 2e-15.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Instruction
from qiskit.quantum_info import SuperOp
from qiskit_aer.noise import NoiseModel, QuantumError
from qiskit_aer.noise.errors.base_quantum_error import QuantumChannelInstruction

from qshield_qiskit.errors import InputError

AER_THRESHOLD = 1e-10
"""Aer drops the terms of an error at or below this probability, without renormalising the others."""


def superoperator(error: QuantumError) -> NDArray[np.complex128]:
    """Sum an error's terms into one superoperator, as Aer does.

    Args:
        error: A quantum error on k qubits.

    Returns:
        The (4^k, 4^k) superoperator that acts on column-stacked density matrices.
    """
    terms = zip(error.circuits, error.probabilities, strict=True)
    kept = [p * SuperOp(circuit).data for circuit, p in terms if p > AER_THRESHOLD]
    return np.asarray(np.sum(kept, axis=0), dtype=np.complex128)


class NoiseTables:
    """The errors of a noise model, looked up by instruction and qubits.

    Args:
        noise_model: An Aer noise model; None means no noise at all.
    """

    def __init__(self, noise_model: NoiseModel | None) -> None:
        joint = [] if noise_model is None else [q for q in noise_model._local_readout_errors if len(q) > 1]
        if joint:
            raise InputError(
                f"the noise model has a joint readout error on qubits {list(joint[0])}; the exact simulator takes one "
                "a qubit: add a ReadoutError for each instead"
            )
        self._model = noise_model
        self._channels: dict[tuple[str, tuple[int, ...]], NDArray[np.complex128] | None] = {}

    def insert_scheduled(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Write the noise of idle times, and of any custom noise pass, into the circuit as channel instructions."""
        passes = None if self._model is None else self._model._pass_manager()
        return circuit if passes is None else passes.run(circuit)

    def channel(self, operation: Instruction, qubits: tuple[int, ...]) -> NDArray[np.complex128] | None:
        """The error that follows an instruction.

        A label comes before a name and an error on given qubits before one for all, as in Aer.

        Args:
            operation: The instruction.
            qubits: The qubits it acts on, in its own order.

        Returns:
            The superoperator on these qubits, or None when the instruction is free of noise.
        """
        if isinstance(operation, QuantumChannelInstruction):
            return superoperator(operation._quantum_error)
        if self._model is None:
            return None
        key = (getattr(operation, "label", None) or operation.name, qubits)
        if key not in self._channels:
            error = self._error(*key)
            self._channels[key] = None if error is None or error.ideal() else superoperator(error)
        return self._channels[key]

    def readout(self, qubit: int) -> NDArray[np.float64] | None:
        """The confusion matrix of a qubit, rows = true value, columns = measured value; None when exact."""
        if self._model is None:
            return None
        error = self._model._local_readout_errors.get((qubit,), self._model._default_readout_error)
        return None if error is None else np.asarray(error.probabilities, dtype=np.float64)

    def _error(self, name: str, qubits: tuple[int, ...]) -> Any:
        assert self._model is not None
        local = self._model._local_quantum_errors.get(name, {})
        return local.get(qubits, self._model._default_quantum_errors.get(name))
