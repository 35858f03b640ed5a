"""A trained encoding that may not change fast: the penalty of Berberich et al. on its weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.models.projection import TrainedProjection
from qshield_qiskit.quantum.lipschitz import encoding
from qshield_qiskit.quantum.simulator import ExactSimulator
from qshield_qiskit.quantum.template import CircuitTemplate


class LipschitzPenalty:
    r"""\sum_j \|w_j\|^2 \|H_j\|^2 over the rotations exp(-i (w_j z + b_j) H_j) by which features z enter.

    The circuit's outcomes change by at most 2 \|M\| \sum_j \|w_j\| \|H_j\| per unit of z. Here z are the
    normalised features and the angles are \pi tanh(.), so angle i changes by at most \pi times row i of the
    projection's weights, each column times the layer norm's gain; H_j is half a Pauli string. A rotation that several
    angles turn counts with the sum of their shares.

    Args:
        model: A hybrid, or a control, which is penalised as the hybrid that it stands for.

    Raises:
        InputError: The projection is not trained, or the circuit's angles are too complicated.

    References:
        Berberich et al., "Training robust and generalizable quantum models", arXiv 2311.11871 (2023).
    """

    def __init__(self, model: HybridClassifier) -> None:
        assert model.template is not None
        if not isinstance(model.projection, TrainedProjection):
            raise InputError(
                "training.lipschitz_weight: there is nothing to penalise in "
                f"model.projection={model.projection_name}; try model.projection=trained"
            )
        self.slopes = encoding_slopes(model.template)  # (J, I)

    def __call__(self, model: HybridClassifier) -> Tensor:
        """Give the penalty of the model's present weights, one number."""
        norm, linear = model.projection.children()
        assert isinstance(norm, nn.LayerNorm) and isinstance(linear, nn.Linear)
        norms = math.pi * torch.linalg.vector_norm(linear.weight * norm.weight, dim=1)  # (I,), per unit of z
        speeds = (self.slopes.to(norms) * norms).sum(dim=1) / 2  # (J,): |w_j| |H_j|
        penalty: Tensor = speeds.square().sum()
        return penalty


def encoding_slopes(template: CircuitTemplate) -> Tensor:
    r"""Bound by how much each input turns each rotation: \sup |da_j / dx_i| over [-\pi, \pi]^I, (J, I).

    Raises:
        InputError: An angle is more than quadratic in the inputs, or a trained weight scales an input.
    """
    simulator = ExactSimulator(template.circuit, template.inputs, template.weights, template.observables)
    low, high = (
        torch.from_numpy(encoding(simulator, torch.full((template.num_weights,), value)).slopes)
        for value in (0.0, 1.0)
    )
    if not torch.equal(low, high):
        raise InputError(
            "training.lipschitz_weight: trained weights scale the circuit's inputs, which the penalty would miss; "
            "let the circuit take its inputs as they are"
        )
    return low


def build_penalty(model: HybridClassifier, weight: float) -> LipschitzPenalty | None:
    """Make the penalty, unless it counts for nothing or the model, a twin, has no encoding."""
    return LipschitzPenalty(model) if weight and model.template is not None else None
