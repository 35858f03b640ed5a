"""The quantum layer: a `TorchConnector` whose gradients go straight through autograd where they can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.neural_networks import NeuralNetwork
from torch import Tensor, nn

from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.quantum.checks import check_inputs, check_whole
from qshield_qiskit.quantum.exact_executor import ExactExecutor
from qshield_qiskit.quantum.network import DifferentiableNetwork, ExactQNN, NoisyDevice
from qshield_qiskit.quantum.planning import Engine
from qshield_qiskit.quantum.pub import Executor
from qshield_qiskit.quantum.sampled import SampledQNN
from qshield_qiskit.quantum.template import CircuitTemplate

GRADIENTS = ("exact", "shift", "spsa")
"""How a circuit can be differentiated."""


class QuantumLayer(TorchConnector):
    """A circuit as a torch module: angles in, outcome probabilities or expectation values out.

    Everything that takes a `TorchConnector` takes this layer. A template on a backend that knows its noise is
    differentiated by autograd itself: on any device, in float32 or float64, as often as wanted, and under
    `torch.func`. With shots, or on a backend that only has primitives, one batch is one PUB and its gradient another.
    Every other qiskit-machine-learning network goes the stock way: by Jacobians on the CPU, differentiable once.

    >>> import torch
    >>> from qiskit import QuantumCircuit
    >>> from qiskit.circuit import Parameter
    >>> x = Parameter("x")
    >>> circuit = QuantumCircuit(1)
    >>> _ = circuit.ry(x, 0)
    >>> layer = QuantumLayer(CircuitTemplate(circuit, inputs=[x], observables=["Z"]))
    >>> layer(torch.tensor([[0.0], [torch.pi]]))
    tensor([[ 1.],
            [-1.]])

    Args:
        source: A template, or a finished `NeuralNetwork` (`EstimatorQNN`, `SamplerQNN`, ...), whose input gradients are
            switched on: without them an attack would see a constant where the circuit is.
        backend: Where a template runs; None simulates it as it stands, noiseless.
        shots: How often the circuit is run for each image; None for exact outcomes, or the default of a backend that
            knows none.
        gradient: "exact" by autograd, "shift" by the parameter-shift rule, "spsa" by simultaneous perturbation; None
            for exact ones where outcomes are exact, else the backend's default.
        gradient_draws: Draws that SPSA averages over.
        initial_weights: (W,) angles in radians; by default uniform in [-1, 1], from torch's generator.
        engine: Which engine simulates a template; see `ExactSimulator`.
        trajectories: Number of trajectories where noise is sampled (beyond 8 noisy qubits); their outcomes are only
            nearly sinusoids of an angle, so that "shift" is a little off there.
        seed: Seed of the trajectories.

    Raises:
        InputError: A number is out of range, a finished network came with a backend or with shots, the weights have
            another length than the circuit's, or a backend cannot do what was asked for.
    """

    def __init__(
        self,
        source: CircuitTemplate | NeuralNetwork,
        backend: NoisyDevice | None = None,
        *,
        shots: int | None = None,
        gradient: str | None = None,
        gradient_draws: int = 1,
        initial_weights: NDArray[np.float64] | Tensor | None = None,
        engine: Engine = "auto",
        trajectories: int = 128,
        seed: int = 0,
    ) -> None:
        check_whole(1, shots=shots, gradient_draws=gradient_draws, trajectories=trajectories)
        check_whole(0, seed=seed)
        if engine not in get_args(Engine):
            raise unknown("engine", engine, get_args(Engine))
        simulation: dict[str, Any] = {"engine": engine, "trajectories": trajectories, "seed": seed}
        network: NeuralNetwork
        if isinstance(source, CircuitTemplate):
            network = _sampled(source, backend, shots, gradient, gradient_draws, simulation) or ExactQNN(
                source, backend, **simulation
            )
        elif backend is not None or shots is not None or gradient is not None:
            raise InputError(
                f"a finished {type(source).__name__} runs as it was made to; leave the backend out, and shots and "
                "gradient too, or give a CircuitTemplate with them"
            )
        else:
            network = source
            network.input_gradients = True
        if initial_weights is not None and np.shape(initial_weights) != (network.num_weights,):
            raise InputError(
                f"initial weights have shape {np.shape(initial_weights)}; expected ({network.num_weights},)"
            )
        if isinstance(initial_weights, Tensor):
            initial_weights = initial_weights.detach().cpu().numpy()
        super().__init__(network, initial_weights)
        self.weight.requires_grad_(
            network.num_weights > 0
        )  # an empty one never gets the gradient that DDP waits for

    @property
    def _weights(self) -> nn.Parameter:  # type: ignore[override]  # an attribute in the parent
        # The parent registers its weights under two names; here they have the public one alone, so that a state dict
        # holds them once and copies cannot drift apart.
        weight = self._parameters.get("weight")
        if weight is None:
            raise AttributeError("the weights are not registered yet")
        return weight

    def register_parameter(self, name: str, param: nn.Parameter | None) -> None:
        """Register a parameter, except under the parent's second name for the weights."""
        if name != "_weights":
            super().register_parameter(name, param)

    @property
    def num_inputs(self) -> int:
        """Number of angles an image supplies."""
        return int(self.neural_network.num_inputs)

    @property
    def num_outputs(self) -> int:
        """Number of probabilities or expectation values that come out."""
        return int(np.prod(self.neural_network.output_shape))

    @property
    def shots(self) -> int | None:
        """How often the circuit is run for each image; None if its outcomes are computed."""
        network = self.neural_network
        return network.shots if isinstance(network, SampledQNN) else None

    @property
    def executor(self) -> Executor | None:
        """What runs the circuit; None if its outcomes are computed."""
        network = self.neural_network
        return network.executor if isinstance(network, SampledQNN) else None

    def forward(self, input_data: Tensor | None = None) -> Tensor:
        """Run the circuit.

        Args:
            input_data: (..., num_inputs) angles in radians; None for a circuit without inputs.

        Returns:
            (..., num_outputs), in the dtype and on the device of the input; of no input, (num_outputs,).

        Raises:
            InputError: The input has another shape or dtype.
        """
        if input_data is None and self.num_inputs == 0:
            without: Tensor = super().forward(None)
            return without
        if input_data is None:
            raise InputError(f"this circuit takes {self.num_inputs} angles an image, and was given nothing")
        check_inputs(input_data, self.num_inputs)
        network: Any = self.neural_network
        if isinstance(network, DifferentiableNetwork):
            return network.evaluate(input_data, self.weight)
        outputs: Tensor = super().forward(input_data.reshape(-1, self.num_inputs))
        return outputs.reshape(*input_data.shape[:-1], *network.output_shape).to(input_data)

    @contextmanager
    def running(self, network: NeuralNetwork) -> Iterator[None]:
        """Run another network of as many inputs, weights and outputs, with this layer's weights, for a while."""
        own = self._neural_network
        self._neural_network = network
        try:
            yield
        finally:
            self._neural_network = own

    def extra_repr(self) -> str:
        """What printing a model shows of the layer."""
        network, how = self.neural_network, ""
        if isinstance(network, ExactQNN):
            how = f", engine={network.simulator.plan.engine}"
        elif isinstance(network, SampledQNN):
            how = f", shots={network.shots}, gradient={network.gradient}"
        return f"{self.num_inputs} inputs, {network.num_weights} weights, {self.num_outputs} outputs{how}"


def _sampled(
    template: CircuitTemplate,
    backend: Any,
    shots: int | None,
    gradient: str | None,
    gradient_draws: int,
    simulation: Mapping[str, Any],
) -> SampledQNN | None:
    """Give the network that runs a template, or None if it is to be computed."""
    if gradient not in {None, *GRADIENTS}:
        raise unknown("gradient", str(gradient), GRADIENTS)
    if shots is None:
        shots = getattr(backend, "default_shots", None)
    if shots is None:
        if gradient in {None, "exact"}:
            return None
        return SampledQNN(
            template,
            ExactExecutor(backend, **simulation),
            shots=None,
            gradient=str(gradient),
            gradient_draws=gradient_draws,
        )
    if not hasattr(backend, "executor"):
        raise InputError(
            f"shots={shots}: this layer's backend cannot run them; try load_backend('aer_ideal', ...)"
        )
    if gradient == "exact":
        raise InputError(
            f"gradient=exact: what is sampled ({shots} shots) has none; try shift or spsa, or an attack with "
            "attack.bpda=aer_noisy"
        )
    return SampledQNN(
        template,
        backend.executor(),
        shots=shots,
        gradient=gradient or backend.default_gradient,
        gradient_draws=gradient_draws,
    )
