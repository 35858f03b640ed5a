"""What Aer says: exact outputs of a circuit under a noise model, by its density-matrix method."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import DensityMatrix, SparsePauliOp
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel


def aer_outputs(
    circuit: QuantumCircuit,
    values: Mapping[Parameter, float],
    noise_model: NoiseModel | None = None,
    observables: list[SparsePauliOp] | None = None,
    num_qubits: int | None = None,
) -> NDArray[np.float64]:
    """Probabilities of the user's qubits in Qiskit's order, readout error included, or exact expectation values."""
    bound = circuit.assign_parameters(values, strict=False)
    bound.save_density_matrix()
    result = AerSimulator(method="density_matrix", noise_model=noise_model).run(bound, shots=1).result()
    state = DensityMatrix(result.data()["density_matrix"].data)
    layout = circuit.layout.final_index_layout() if circuit.layout else list(range(circuit.num_qubits))
    places = layout[: num_qubits or circuit.num_qubits]
    if observables is not None:
        return np.array([state.expectation_value(operator, places).real for operator in observables])
    probabilities = state.probabilities(places).reshape([2] * len(places))  # axis 0 is the last of the places
    for i, place in enumerate(places):
        error = None if noise_model is None else noise_model._local_readout_errors.get((place,))
        if error is None and noise_model is not None:
            error = noise_model._default_readout_error
        if error is not None:
            axis = len(places) - 1 - i
            probabilities = np.moveaxis(
                np.tensordot(probabilities, error.probabilities, ([axis], [0])), -1, axis
            )
    return probabilities.reshape(-1)
