"""A circuit that is run rather than computed: by shots, by primitives, on hardware.

One batch is one PUB, and so is its whole gradient.
"""

from __future__ import annotations

import copy
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from qiskit.circuit import Parameter
from torch import Tensor

from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.checks import check_inputs
from qshield_qiskit.quantum.estimates import JacobianEstimate, ParameterShift, SimultaneousPerturbation
from qshield_qiskit.quantum.expressions import Angles
from qshield_qiskit.quantum.network import TemplateQNN
from qshield_qiskit.quantum.occurrences import separate_occurrences, with_parametrised_rotations
from qshield_qiskit.quantum.pub import Executor, Pub
from qshield_qiskit.quantum.template import CircuitTemplate

Gradient = Literal["shift", "spsa"]


class SampledQNN(TemplateQNN):
    """A circuit template on an executor, with gradients by parameter shift or SPSA.

    Every parametrised gate has an angle of its own. How angles depend on inputs and weights is left to autograd, how
    outcomes depend on angles is estimated from further runs. Random numbers follow torch's global generator.

    Args:
        template: The circuit, its parameters and what is read.
        executor: What runs it.
        shots: How often each set of angles is run; None only if the executor gives exact figures.
        gradient: "shift", two sets of angles a gate; or "spsa", two sets a draw.
        gradient_draws: Number of draws of SPSA.

    Attributes:
        template: As given.
        executor: As given.
        shots: As given.
        circuit: The circuit in its gates' own angles.
        occurrences: Their parameters, in the order of the gates.

    Raises:
        InputError: An unknown gradient.
    """

    def __init__(
        self,
        template: CircuitTemplate,
        executor: Executor,
        *,
        shots: int | None,
        gradient: str = "shift",
        gradient_draws: int = 1,
    ) -> None:
        if gradient not in {"shift", "spsa"}:
            raise InputError(
                f"backend.gradient={gradient}: expected shift or spsa where a circuit is sampled"
            )
        self.executor, self.shots, self.gradient = executor, shots, gradient
        self.circuit, expressions = separate_occurrences(
            with_parametrised_rotations(template.circuit), "angle"
        )
        self.occurrences: tuple[Parameter, ...] = tuple(expressions)
        self._angles = Angles(list(expressions.values()), template.inputs, template.weights)
        self._estimate: JacobianEstimate = (
            ParameterShift() if gradient == "shift" else SimultaneousPerturbation(gradient_draws)
        )
        super().__init__(template)

    def evaluate(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Run a batch as one PUB; asked for a gradient, run one more.

        Args:
            inputs: (..., I) angles in radians.
            weights: (W,) angles in radians.

        Returns:
            (..., O) frequencies or expectation values, in the dtype and on the device of the inputs; differentiable
            once.
        """
        check_inputs(inputs, self.num_inputs)
        rows = inputs.reshape(-1, self.num_inputs)
        angles = self._angles(rows.double().cpu(), weights.double().cpu())  # (B, T)
        columns = self._angles.depending(on_inputs=inputs.requires_grad, on_weights=weights.requires_grad)
        outputs: Tensor = _Run.apply(angles, self, columns)
        return outputs.reshape(*inputs.shape[:-1], *self.output_shape).to(inputs)

    def __deepcopy__(self, memo: dict[int, Any]) -> SampledQNN:
        """Share everything: what runs circuits is a place, not a state."""
        return copy.copy(self)

    def run(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """Run sets of angles (P, T) as one PUB: (P, O)."""
        operators = self.template.observables
        readout = None if operators is None else tuple(operators)
        if not len(angles):
            return np.zeros((0, *self.output_shape))
        return self.executor.run(Pub(self.circuit, self.occurrences, angles, readout, self.shots), _seed())

    def jacobian(self, angles: NDArray[np.float64], columns: list[int]) -> NDArray[np.float64]:
        """Estimate how outputs depend on gates' angles.

        Args:
            angles: (B, T) radians.
            columns: Which of them are of interest.

        Returns:
            (B, O, T), 0 in the other columns.
        """
        seed = _seed()
        sets = self._estimate.angles(angles, columns, np.random.default_rng(seed))
        return self._estimate.jacobian(self.run(sets), angles, columns, np.random.default_rng(seed))

    def _backward(
        self, input_data: NDArray[Any] | None, weights: NDArray[Any] | None
    ) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
        """Jacobians (B, O, I) and (B, O, W), from one PUB."""
        x, w = self._tensors(input_data, weights)
        angles = self._angles(x, w)
        columns = self._angles.depending(on_inputs=self.input_gradients, on_weights=True)
        outer = torch.from_numpy(self.jacobian(angles.numpy(), columns))  # (B, O, T)
        to_inputs = torch.func.vmap(torch.func.jacrev(lambda row: self._angles(row[None], w)[0]))(x)
        to_weights = torch.func.jacrev(lambda weights: self._angles(x, weights))(w)  # (B, T, W)
        return (
            (outer @ to_inputs).numpy() if self.input_gradients else None,
            (outer @ to_weights).numpy() if self.num_weights else None,
        )


class _Run(torch.autograd.Function):
    """Angles (B, T) to outputs (B, O), with the network's own estimate of the Jacobian."""

    @staticmethod
    def forward(ctx: Any, angles: Tensor, network: SampledQNN, columns: list[int]) -> Tensor:
        ctx.save_for_backward(angles)
        ctx.network, ctx.columns = network, columns
        return torch.from_numpy(network.run(angles.detach().numpy()))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (angles,) = ctx.saved_tensors
        pulled: Tensor = _Pull.apply(gradient, angles, ctx.network, ctx.columns)
        return pulled, None, None


class _Pull(torch.autograd.Function):
    """The gradient (B, O) of outputs (B, O) pulled back to angles (B, T); differentiated again it would be a lie."""

    @staticmethod
    def forward(
        ctx: Any, gradient: Tensor, angles: Tensor, network: SampledQNN, columns: list[int]
    ) -> Tensor:
        jacobian = torch.from_numpy(network.jacobian(angles.detach().numpy(), columns))
        return (gradient.unsqueeze(1) @ jacobian).squeeze(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        raise InputError(
            "a sampled circuit is differentiable once; second derivatives need the exact simulator: leave out "
            "shots and gradient"
        )


def _seed() -> int:
    """Draw a seed from torch's global generator, so that whoever seeds torch gets the same shots again."""
    return int(torch.randint(2**31, ()))
