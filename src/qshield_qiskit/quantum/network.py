"""The exact simulator as a qiskit-machine-learning `NeuralNetwork`, and the straight road for autograd beside it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit_aer.noise import NoiseModel
from qiskit_machine_learning.neural_networks import NeuralNetwork
from torch import Tensor

from qshield_qiskit.quantum.planning import Engine
from qshield_qiskit.quantum.simulator import ExactSimulator
from qshield_qiskit.quantum.template import CircuitTemplate


class NoisyDevice(Protocol):
    """What a backend must offer to be simulated exactly."""

    @property
    def noise_model(self) -> NoiseModel | None:
        """The noise that its circuits meet; None means none."""
        ...

    def transpile(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Rewrite a circuit into the one that runs, still in its own parameters."""
        ...


@runtime_checkable
class DifferentiableNetwork(Protocol):
    """A network that torch can differentiate by itself, without Jacobians in between."""

    def evaluate(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Outputs (..., O) from inputs (..., I) and weights (W,), in the dtype and on the device of the inputs."""
        ...


class TemplateQNN(NeuralNetwork):
    """A circuit template as a `NeuralNetwork` whose outputs torch can be asked for.

    Args:
        template: The circuit, its parameters and what is read.

    Attributes:
        template: As given.
    """

    def __init__(self, template: CircuitTemplate) -> None:
        self.template = template
        super().__init__(
            num_inputs=template.num_inputs,
            num_weights=template.num_weights,
            sparse=False,
            output_shape=(template.num_outputs,),
            input_gradients=True,
        )

    @abstractmethod
    def evaluate(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Outputs (..., O) from inputs (..., I) and weights (W,), in radians."""

    def _forward(self, input_data: NDArray[Any] | None, weights: NDArray[Any] | None) -> NDArray[np.float64]:
        with torch.no_grad():
            outputs: NDArray[np.float64] = self.evaluate(*self._tensors(input_data, weights)).numpy()
        return outputs

    def _tensors(
        self, input_data: NDArray[Any] | None, weights: NDArray[Any] | None
    ) -> tuple[Tensor, Tensor]:
        inputs = np.zeros((1, self.num_inputs)) if input_data is None else input_data
        return torch.tensor(inputs, dtype=torch.float64), torch.tensor(
            [] if weights is None else weights, dtype=torch.float64
        )


class ExactQNN(TemplateQNN):
    """A circuit template on a backend, simulated exactly, with gradients to inputs and weights.

    Used through `QuantumLayer` it is plain torch; used as a `NeuralNetwork` it computes full Jacobians in numpy, as
    `SamplerQNN` (probabilities) and `EstimatorQNN` (observables) do.

    Args:
        template: The circuit, its parameters and what is read.
        backend: Transpiles the circuit and carries the noise; None simulates the template as it stands, noiseless.
        engine: Which engine simulates; see `ExactSimulator`.
        trajectories: Number of trajectories where noise is sampled (beyond 8 noisy qubits).
        seed: Seed of the trajectories.

    Attributes:
        template: As given.
        backend: As given.
        simulator: The compiled circuit.
    """

    def __init__(
        self,
        template: CircuitTemplate,
        backend: NoisyDevice | None = None,
        *,
        engine: Engine = "auto",
        trajectories: int = 128,
        seed: int = 0,
    ) -> None:
        self.backend = backend
        self.simulator = ExactSimulator(
            template.circuit if backend is None else backend.transpile(template.circuit),
            template.inputs,
            template.weights,
            template.observables,
            None if backend is None else backend.noise_model,
            num_qubits=template.num_qubits,
            engine=engine,
            trajectories=trajectories,
            seed=seed,
        )
        super().__init__(template)

    def evaluate(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Outputs (..., O) from inputs (..., I) and weights (W,) in radians; differentiable any number of times."""
        return self.simulator(inputs, weights)

    def _backward(
        self, input_data: NDArray[Any] | None, weights: NDArray[Any] | None
    ) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Jacobians (B, O, I) and (B, O, W), one forward-mode pass for each input and each weight."""
        x, w = self._tensors(input_data, weights)

        def along_input(direction: Tensor) -> Tensor:
            tangent: Tensor = torch.func.jvp(lambda x: self.evaluate(x, w), (x,), (direction.expand_as(x),))[
                1
            ]
            return tangent

        to_inputs = torch.func.vmap(along_input, out_dims=-1)(torch.eye(self.num_inputs, dtype=x.dtype))
        to_weights = torch.func.jacfwd(lambda w: self.evaluate(x, w))(w) if self.num_weights else None
        return (
            to_inputs.numpy() if self.input_gradients else None,
            None if to_weights is None else to_weights.numpy(),
        )
