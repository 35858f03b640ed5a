"""Bounds through the circuit: what bounded angles leave of weighted sums of outcomes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.layer import QuantumLayer
from qshield_qiskit.quantum.lipschitz import DerivativeBounds, derivative_bounds
from qshield_qiskit.quantum.network import ExactQNN
from qshield_qiskit.robustness.certificates.affine_form import AffineForm
from qshield_qiskit.robustness.certificates.certificate import DoesNotApplyError


class CircuitForms(NamedTuple):
    """The same sums, bounded in different ways; each holds."""

    tangent: AffineForm  # along the gradient, with what its curvature may add
    transfer: AffineForm  # by the derivatives' bounds from the transfer matrix, and by the eigenvalues
    generators: AffineForm  # by the derivatives' bounds from the generators alone


def exact_network(layer: QuantumLayer) -> ExactQNN:
    """Give the layer's network if it is exact.

    Raises:
        DoesNotApplyError: It samples, or is of somebody else's making.
    """
    network = layer.neural_network
    if not isinstance(network, ExactQNN):
        raise DoesNotApplyError(
            f"the circuit runs on a {type(network).__name__}, whose outcomes are not exact"
        )
    if network.simulator.plan.engine == "trajectories":
        raise DoesNotApplyError(
            "the circuit's noise is sampled by trajectories, so its outcomes are not exact"
        )
    return network


def bounded_sums(
    layer: QuantumLayer, rows: Tensor, offsets: Tensor, bounds: DerivativeBounds, angles: AffineForm
) -> CircuitForms:
    """Bound sums of outcomes over bounded angles.

    Args:
        layer: The circuit, float64.
        rows: (R, O), the weights of the outcomes in each sum.
        offsets: (R,), what is added.
        bounds: Of the sums' derivatives.
        angles: (I,), within [-pi, pi].
    """
    low, high = angles.bounds()
    middle, reach = (low + high) / 2, (high - low) / 2  # (I,)
    values, gradient = _at(layer, rows, middle)  # (R,), (R, I)
    bend = torch.einsum("i,rij,j->r", reach, bounds.curvature.to(reach), reach) / 2
    tangent = angles.linear(linear, gradient, values - gradient @ middle + offsets)
    least, most = bounds.low.to(values) + offsets, bounds.high.to(values) + offsets
    tangent = replace(tangent, error=tangent.error + bend, low=least, high=most)

    def within(slopes: Tensor, least: Tensor, most: Tensor) -> AffineForm:
        error, centre = slopes.to(reach) @ reach, values + offsets
        low, high = torch.maximum(least, centre - error), torch.minimum(most, centre + error)
        return replace(
            tangent,
            centre=(low + high) / 2,
            slopes=torch.zeros_like(tangent.slopes),
            error=(high - low) / 2,
            low=low,
            high=high,
        )

    everywhere = torch.full_like(values, torch.inf)
    return CircuitForms(
        tangent, within(bounds.transfer, least, most), within(bounds.generators, -everywhere, everywhere)
    )


def sum_bounds(layer: QuantumLayer, rows: Tensor) -> DerivativeBounds:
    """Bound the derivatives of sums of outcomes (R, O) for all angles.

    Raises:
        DoesNotApplyError: The circuit is too large, or its angles are too wild.
    """
    with refusals_as_reasons():
        return derivative_bounds(exact_network(layer).simulator, layer.weight.detach(), rows)


@contextlib.contextmanager
def refusals_as_reasons() -> Iterator[None]:
    """Turn what cannot be bounded into why a certificate does not apply."""
    try:
        yield
    except InputError as refusal:
        raise DoesNotApplyError(str(refusal)) from refusal


def _at(layer: QuantumLayer, rows: Tensor, angles: Tensor) -> tuple[Tensor, Tensor]:
    """Give the sums (R,) at angles (I,), and their gradients (R, I)."""
    with torch.enable_grad():
        each = angles.expand(len(rows), -1).clone().requires_grad_()
        values = (layer(each) * rows).sum(dim=1)
        (gradient,) = torch.autograd.grad(values.sum(), each)
    return values.detach(), gradient
