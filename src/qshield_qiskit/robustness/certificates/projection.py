r"""Bounds through the layer norm and the linear map that turn an image's values into angles.

Layer norm divides by the values' own spread, whose global Lipschitz constant, 1 / sqrt(eps), is useless. Within a ball
the quotient t = (A u) / s, with u = v - mean(v) and s = (mean(u^2) + eps)^{1/2}, is

    t - t_0 = (A u - t_0 s) / s.

The numerator vanishes at the centre, and s is convex, so that it lies between its tangent and the tangent plus
mean(\Delta^2) / (2 s_0). What is lost is of second order.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from qshield_qiskit.robustness.certificates.affine_form import AffineForm


def project(norm: nn.LayerNorm, mapping: nn.Linear, form: AffineForm) -> AffineForm:
    """Bound what a trained projection makes of bounded values.

    Args:
        norm: Over all F values, float64.
        mapping: From the F values to I numbers, float64.
        form: (F,).

    Returns:
        (I,).
    """
    low, high = form.bounds()
    size, epsilon = len(low), float(norm.eps)
    centred = form.centre - form.centre.mean()  # u_0
    spread = (centred.square().mean() + epsilon).sqrt()  # s_0
    matrix, offset = _folded(norm, mapping)  # A with rows of mean 0, and what is added to t
    start = matrix @ centred / spread  # t_0
    tangent = centred / (size * spread)  # ds / dv

    # how far s can be from s_0
    furthest = torch.maximum(high - form.centre, form.centre - low)  # of each value from the centre
    bend = furthest.square().mean() / (2 * spread)
    along = form.linear(linear, tangent[None])
    least, most = (float(each) for each in along.bounds())
    moved = float(along.centre)
    smallest = max(epsilon**0.5, float(spread) + least - moved)
    largest = float(spread) + most - moved + float(bend)

    # the numerator, A u - t_0 s
    rows = matrix - start[:, None] * tangent
    numerator = form.linear(linear, rows, -(rows @ form.centre))
    half = -start * bend / 2
    numerator = replace(
        numerator,
        centre=numerator.centre + half,
        error=numerator.error + half.abs(),
        low=numerator.low + torch.minimum(2 * half, torch.zeros_like(half)),
        high=numerator.high + torch.maximum(2 * half, torch.zeros_like(half)),
    ).narrowed()

    # over s instead of over s_0
    size_of = torch.maximum(numerator.low.abs(), numerator.high.abs())
    ratio = max(1 / smallest - 1 / float(spread), 1 / float(spread) - 1 / largest)
    quotient = numerator.scaled(1 / spread, start + offset)
    slack = size_of * ratio
    most_of_any = matrix.norm(dim=1) * size**0.5  # |A u| <= |A| |u|, and |u| <= sqrt(F) s
    return replace(
        quotient,
        error=quotient.error + slack,
        low=torch.maximum(quotient.low - slack, offset - most_of_any),
        high=torch.minimum(quotient.high + slack, offset + most_of_any),
    )


def _folded(norm: nn.LayerNorm, mapping: nn.Linear) -> tuple[Tensor, Tensor]:
    """Give the linear map of the standardised values, its rows freed of their mean, and its offset."""
    matrix: Tensor = mapping.weight
    offset: Tensor = mapping.bias
    if norm.bias is not None:
        offset = offset + matrix @ norm.bias
    if norm.weight is not None:
        matrix = matrix * norm.weight
    return matrix - matrix.mean(dim=1, keepdim=True), offset
