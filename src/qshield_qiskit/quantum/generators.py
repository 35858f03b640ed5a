"""How strongly each input enters a circuit: the slopes of its rotations' angles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from qiskit.circuit import ParameterExpression

from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.expressions import affine_form
from qshield_qiskit.quantum.lowering import Rotation, lower
from qshield_qiskit.quantum.template import CircuitTemplate


def encoding_slopes(template: CircuitTemplate) -> NDArray[np.float64]:
    r"""Bound by how much each input turns each rotation.

    A rotation is exp(-i a(x) P / 2), its generator P / 2 of norm 1 / 2.

    Args:
        template: The circuit.

    Returns:
        (J, I): \sup |da_j / dx_i| over [-\pi, \pi]^I for the J rotations that depend on inputs.

    Raises:
        InputError: An angle is more than quadratic in the inputs, or a trained weight scales an input.
    """
    column = {parameter: i for i, parameter in enumerate(template.inputs)}
    rows = []
    for operation in lower(template.circuit, None).operations:
        if not isinstance(operation, Rotation) or operation.parameters.isdisjoint(column):
            continue
        row = np.zeros(len(column))
        for parameter in operation.parameters & column.keys():
            slope = operation.angle.gradient(parameter)
            if not isinstance(slope, ParameterExpression):
                row[column[parameter]] = abs(slope)
                continue
            form = affine_form(slope)
            if form is None or not form[0].keys() <= column.keys():
                raise InputError(
                    f"the slope of the angle {operation.angle} has no bound; write angles with sums and products of "
                    "two inputs"
                )
            row[column[parameter]] = abs(form[1]) + math.pi * sum(map(abs, form[0].values()))
        rows.append(row)
    return np.array(rows).reshape(len(rows), len(column))
