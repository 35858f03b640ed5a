"""Shots on Aer: its Sampler under a backend's own noise, readout error included."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.quantum_info import Pauli, SparsePauliOp
from qiskit_aer.primitives import SamplerV2

from qshield_qiskit.devices.measuring import MEASURED, bases_of, frequencies, measured
from qshield_qiskit.quantum.pub import Pub

if TYPE_CHECKING:
    from qshield_qiskit.devices.backend import Backend


class AerShots:
    """Run PUBs on Aer's Sampler.

    Expectation values come from measured bits as well, in each basis that the observables need: Aer's Estimator leaves
    readout error out. What is measured is the very circuit that is simulated exactly, all noise included; the changes
    of basis behind it have none.

    Args:
        backend: Transpiles circuits and carries their noise.
    """

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def run(self, pub: Pub, seed: int) -> NDArray[np.float64]:
        """Run a PUB: relative frequencies (P, 2**n), or expectation values (P, m)."""
        circuit = self.backend.transpile(pub.circuit)
        if pub.observables is None:
            return self._frequencies(circuit, pub, seed)
        values = np.zeros((len(pub), len(pub.observables)))
        for basis, terms in grouped_by_basis(pub.observables):
            outcomes = self._frequencies(circuit, pub, seed, basis)  # (P, 2**n)
            for output, diagonal in terms:
                values[:, output] += outcomes @ diagonal
        return values

    def _frequencies(
        self, circuit: QuantumCircuit, pub: Pub, seed: int, basis: Pauli | None = None
    ) -> NDArray[np.float64]:
        runs = measured(circuit, pub.circuit.num_qubits, basis)
        columns = [pub.parameters.index(parameter) for parameter in runs.parameters]
        sampler = SamplerV2(seed=seed, options=self._options)
        result = sampler.run([(runs, pub.values[:, columns])], shots=pub.shots).result()
        return frequencies(result[0].data[MEASURED])

    @cached_property
    def _options(self) -> dict[str, dict[str, object]]:
        return {"backend_options": {"method": "density_matrix", "noise_model": self.backend.noise_model}}


def grouped_by_basis(
    observables: tuple[SparsePauliOp, ...],
) -> list[tuple[Pauli, list[tuple[int, NDArray[np.float64]]]]]:
    """Sort the Pauli strings of observables by bases in which they can be measured together.

    Returns:
        For each basis, a letter a qubit, the observables that have a part in it, by number, and that part's value for
        each of the 2**n outcomes.
    """
    found = []
    for group in bases_of(observables):
        x, z = np.logical_or.reduce(group.paulis.x), np.logical_or.reduce(group.paulis.z)
        labels = set(group.paulis.to_labels())
        terms = []
        for output, operator in enumerate(observables):
            diagonal = np.zeros(2**operator.num_qubits)
            for label, coefficient in operator.to_list():
                if label in labels:
                    diagonal += coefficient.real * _signs(label)
            if diagonal.any():
                terms.append((output, diagonal))
        found.append((Pauli((z, x)), terms))
    return found


def _signs(label: str) -> NDArray[np.float64]:
    """Value of a Pauli string for each outcome, once every letter is measured as Z."""
    signs: NDArray[np.float64] = np.ones(1)
    for letter in label:  # the last is the least significant
        signs = np.asarray(np.kron(signs, [1.0, 1.0] if letter == "I" else [1.0, -1.0]))
    return signs
