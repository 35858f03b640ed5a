"""A device that drifts: circuits stay as they were transpiled, while T1, T2 and the errors move."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from qiskit import QuantumCircuit
from qiskit_aer.noise import NoiseModel

from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration

LARGEST_ERROR = 0.5
"""No gate or readout drifts beyond it: more would be a broken device, and half of the readings wrong is no reading."""

LONGEST_TIME = 1.0
"""Seconds, the most that a calibration takes for T1 and T2."""


@dataclass(frozen=True)
class Drifted:
    """A device on another day: circuits transpiled for the first, under the noise of the second.

    Attributes:
        backend: Transpiles.
        noise_model: What circuits meet.
    """

    backend: Backend
    noise_model: NoiseModel

    def transpile(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Rewrite a circuit as ever."""
        return self.backend.transpile(circuit)


def drifted(backend: Backend, spread: float, seed: int) -> Drifted:
    """Let a calibrated backend drift at random.

    Args:
        backend: The backend.
        spread: Standard deviation of the logarithm of each figure's factor.
        seed: Seed of the factors.

    Raises:
        InputError: The backend has no calibration.
    """
    if backend.calibration is None:
        raise InputError(
            f"backend={backend.name} has no calibration that could drift; try backend=aer_noisy, or name calibrations"
        )
    return Drifted(backend, jittered(backend.calibration, spread, seed).noise_model())


def jittered(calibration: Calibration, spread: float, seed: int) -> Calibration:
    r"""Multiply T1, T2, gate errors and readout errors, each on its own, by factors e^{s z} with z normal.

    Args:
        calibration: The device's figures.
        spread: s, at least 0; at 0.3 two figures of three stay within a factor of 1.35.
        seed: Seed of the factors.

    Returns:
        A calibration with the same qubits, gates and lengths.
    """
    generator = np.random.default_rng(seed)

    def moved(value: float | None, largest: float) -> float | None:
        factor = math.exp(spread * generator.standard_normal())
        return None if value is None else min(value * factor, max(value, largest))

    qubits = tuple(
        qubit.model_copy(
            update={
                "t1": moved(qubit.t1, LONGEST_TIME),
                "t2": moved(qubit.t2, LONGEST_TIME),
                "prob_meas1_prep0": moved(qubit.prob_meas1_prep0, LARGEST_ERROR),
                "prob_meas0_prep1": moved(qubit.prob_meas0_prep1, LARGEST_ERROR),
            }
        )
        for qubit in calibration.qubits
    )
    gates = tuple(
        gate.model_copy(update={"error": moved(gate.error, LARGEST_ERROR)}) for gate in calibration.gates
    )
    return calibration.model_copy(update={"qubits": qubits, "gates": gates})
