"""Qiskit's parameter expressions as differentiable torch functions."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import sympy
import torch
from qiskit.circuit import Parameter, ParameterExpression
from torch import Tensor

from qshield_qiskit.errors import InputError

FUNCTIONS: dict[Any, Callable[[Tensor], Tensor]] = {
    sympy.sin: torch.sin,
    sympy.cos: torch.cos,
    sympy.tan: torch.tan,
    sympy.asin: torch.asin,
    sympy.acos: torch.acos,
    sympy.atan: torch.atan,
    sympy.exp: torch.exp,
    sympy.log: torch.log,
    sympy.Abs: torch.abs,
    sympy.sign: torch.sign,
}


class Angles:
    """A vector of angles as a function of inputs and weights.

    Affine expressions, nearly all that occur, are one matrix product; the others (such as (pi - x0)(pi - x1) of a ZZ
    feature map) are walked term by term and added.

    Args:
        expressions: One a wanted angle; None gives the angle 0.
        inputs: The parameters that `inputs` is made of when called, in order.
        weights: The parameters that `weights` is made of when called, in order.
    """

    def __init__(
        self,
        expressions: Sequence[ParameterExpression | None],
        inputs: Sequence[Parameter],
        weights: Sequence[Parameter],
    ) -> None:
        column = {parameter: i for i, parameter in enumerate([*inputs, *weights])}
        self.num_inputs = len(inputs)
        self.coefficients = torch.zeros(len(column), len(expressions), dtype=torch.float64)
        self.offsets = torch.zeros(len(expressions), dtype=torch.float64)
        self.others: list[tuple[int, sympy.Expr]] = []
        self._column_by_name = {parameter.name: i for parameter, i in column.items()}
        for i, expression in enumerate(expressions):
            if expression is None:
                continue
            slopes = {p: expression.gradient(p) for p in expression.parameters}
            if any(isinstance(slope, ParameterExpression | complex) for slope in slopes.values()):
                self.others.append((i, expression.sympify()))
                continue
            for parameter, slope in slopes.items():
                self.coefficients[column[parameter], i] = float(slope)
            self.offsets[i] = float(expression.bind(dict.fromkeys(expression.parameters, 0.0)).numeric())

    def to(self, dtype: torch.dtype, device: torch.device) -> Angles:
        """A copy that takes and gives tensors of this dtype on this device."""
        moved = copy.copy(self)
        moved.coefficients = self.coefficients.to(device, dtype)
        moved.offsets = self.offsets.to(device, dtype)
        return moved

    def __call__(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Evaluate.

        Args:
            inputs: (B, I), radians.
            weights: (W,), radians.

        Returns:
            (B, A) angles in radians.
        """
        angles = weights @ self.coefficients[self.num_inputs :] + self.offsets  # (A,)
        angles = inputs @ self.coefficients[: self.num_inputs] + angles  # (B, A)
        if not self.others:
            return angles
        values = torch.cat([inputs, weights.expand(*inputs.shape[:-1], -1)], dim=-1)  # (B, I + W)
        columns = list(angles.unbind(-1))
        for i, expression in self.others:
            columns[i] = self._walk(expression, values)
        return torch.stack(columns, dim=-1)

    def _walk(self, node: Any, values: Tensor) -> Tensor:
        if node.is_Symbol:
            return values[..., self._column_by_name[node.name]]
        if node.is_number:
            return values.new_full(values.shape[:-1], float(node))
        arguments = [self._walk(argument, values) for argument in node.args]
        if node.is_Add:
            return torch.stack(arguments).sum(0)
        if node.is_Mul:
            return math.prod(arguments[1:], start=arguments[0])
        if node.is_Pow and node.exp.is_Integer:
            return arguments[0] ** int(node.exp)
        if node.is_Pow:
            return arguments[0] ** arguments[1]
        if node.func in FUNCTIONS:
            return FUNCTIONS[node.func](arguments[0])
        raise InputError(f"angle expression uses {node.func.__name__}, which has no differentiable form here; rewrite it")
