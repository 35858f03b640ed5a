"""The exact simulator in an executor's place: PUBs without shots, whose gradients are taken like a device's."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from qshield_qiskit.quantum.network import NoisyDevice
from qshield_qiskit.quantum.planning import Engine
from qshield_qiskit.quantum.pub import Pub
from qshield_qiskit.quantum.simulator import ExactSimulator


class ExactExecutor:
    """Run PUBs without shots on the exact simulator.

    Args:
        device: Transpiles circuits and carries their noise; None simulates them as they stand, noiseless.
        engine: Which engine simulates; see `ExactSimulator`.
        trajectories: Number of trajectories where noise is sampled.
        seed: Seed of the trajectories.
    """

    def __init__(
        self, device: NoisyDevice | None, *, engine: Engine = "auto", trajectories: int = 128, seed: int = 0
    ) -> None:
        self.device = device
        self.engine, self.trajectories, self.seed = engine, trajectories, seed
        self._simulators: dict[int, tuple[Pub, ExactSimulator]] = {}

    def run(self, pub: Pub, seed: int) -> NDArray[np.float64]:
        """Give exact probabilities (P, 2**n) or expectation values (P, m); there is nothing to seed."""
        known = self._simulators.get(id(pub.circuit))
        if known is None or known[0].observables != pub.observables:
            known = self._simulators[id(pub.circuit)] = (pub, self._simulator(pub))
        with torch.no_grad():
            nothing = torch.zeros(0, dtype=torch.float64)
            outputs: NDArray[np.float64] = known[1](torch.from_numpy(pub.values), nothing).numpy()
        return outputs

    def _simulator(self, pub: Pub) -> ExactSimulator:
        device = self.device
        return ExactSimulator(
            pub.circuit if device is None else device.transpile(pub.circuit),
            pub.parameters,
            (),
            pub.observables,
            None if device is None else device.noise_model,
            num_qubits=pub.circuit.num_qubits,
            engine=self.engine,
            trajectories=self.trajectories,
            seed=self.seed,
        )
