"""Qiskit's parameter expressions as differentiable torch functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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


def affine_form(expression: ParameterExpression) -> tuple[dict[Parameter, float], float] | None:
    """Slopes and offset of an affine expression, None if it is not affine.

    >>> x = Parameter("x")
    >>> affine_form(2 * x + 1)
    ({Parameter(x): 2.0}, 1.0)
    >>> affine_form(x * x) is None
    True
    """
    try:
        slopes = {parameter: expression.gradient(parameter) for parameter in expression.parameters}
        if any(isinstance(slope, ParameterExpression | complex) for slope in slopes.values()):
            return None
        at_zero = expression.bind(dict.fromkeys(expression.parameters, 0.0))
    except (RuntimeError, ZeroDivisionError):  # Qiskit derives no sign, and x * x / x has no value at 0
        return None
    return {parameter: float(slope) for parameter, slope in slopes.items()}, float(at_zero.numeric())


def symbolic(expression: ParameterExpression) -> sympy.Expr:
    """Give an expression as sympy's.

    >>> x, y = Parameter("x"), Parameter("y")
    >>> symbolic(0 * x + y)
    1.0*y

    Raises:
        InputError: Qiskit cannot express it so.
    """
    form = affine_form(expression)
    if form is not None:  # where a single symbol is left of several, Qiskit's sympify names any of them
        terms = (slope * sympy.Symbol(parameter.name) for parameter, slope in form[0].items() if slope)
        return sympy.Add(form[1], *terms)
    found = expression.sympify()
    if not isinstance(found, sympy.Basic):
        raise InputError(
            f"the angle {expression} has no symbolic form in Qiskit; write it without powers of numbers"
        )
    return found


def evaluate(expression: sympy.Expr, values: Mapping[str, Tensor]) -> Tensor:
    """Walk a symbolic expression with tensors for its symbols.

    Args:
        expression: As given by `symbolic`.
        values: One tensor a symbol; they broadcast against each other.

    Returns:
        The value, differentiable in all of them.

    Raises:
        InputError: A function occurs that has no differentiable form in torch.
    """
    node: Any = expression
    if node.is_Symbol:
        return values[node.name]
    if node.is_number:
        return torch.full_like(next(iter(values.values())), float(node))
    arguments = [evaluate(argument, values) for argument in node.args]
    if node.is_Add:
        return sum(arguments[1:], start=arguments[0])
    if node.is_Mul:
        return math.prod(arguments[1:], start=arguments[0])
    if node.is_Pow:
        exponent = node.exp
        return arguments[0] ** int(exponent) if exponent.is_Integer else torch.pow(arguments[0], arguments[1])
    if node.func in FUNCTIONS:
        return FUNCTIONS[node.func](arguments[0])
    raise InputError(
        f"an angle uses {node.func.__name__}, which has no differentiable form here; write it without"
    )


class RotationTerms:
    """(1, cos, sin) of many scaled angles, as a function of inputs and weights.

    All three are cosines of affine functions, so for affine angles (nearly all that occur) the whole table is one
    matrix product and one cosine. The others, such as the (pi - x0)(pi - x1) of a ZZ feature map, are walked.

    Args:
        expressions: The angles; None gives the angle 0.
        inputs: The parameters that make up `inputs` when called, in order.
        weights: The parameters that make up `weights` when called, in order.
        scale: What every angle is multiplied with first.
        dtype: Real dtype of the computation and its result.
        device: Their device.
    """

    def __init__(
        self,
        expressions: Sequence[ParameterExpression | None],
        inputs: Sequence[Parameter],
        weights: Sequence[Parameter],
        scale: float,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        column = {parameter: i for i, parameter in enumerate([*inputs, *weights])}
        slopes = torch.zeros(len(expressions), len(column), dtype=torch.float64)
        offsets = torch.zeros(len(expressions), dtype=torch.float64)
        self._walked: list[sympy.Expr] = []
        chosen = []
        for i, expression in enumerate(expressions):
            if expression is None:
                continue
            form = affine_form(expression)
            if form is None:
                self._walked.append(symbolic(expression))
                chosen.append(i)
                continue
            for parameter, slope in form[0].items():
                slopes[i, column[parameter]] = slope
            offsets[i] = form[1]
        selection = torch.zeros(len(expressions), len(chosen), dtype=torch.float64)
        selection[chosen, range(len(chosen))] = 1.0
        # The rows of an angle a are cos(0 a), cos(a) and cos(a - pi/2).
        mask = torch.tensor([0.0, 1.0, 1.0], dtype=torch.float64) * scale
        shift = torch.tensor([0.0, 0.0, -math.pi / 2], dtype=torch.float64)

        def spread(matrix: Tensor) -> Tensor:
            return torch.einsum("ai,k->aki", matrix, mask).flatten(0, 1).to(device, dtype)

        self._input_slopes, self._weight_slopes = (
            spread(slopes[:, : len(inputs)]),
            spread(slopes[:, len(inputs) :]),
        )
        self._selection = spread(selection)
        self._offsets = (offsets[:, None] * mask + shift).reshape(-1, 1).to(device, dtype)
        self._uses_inputs, self._uses_weights = (
            bool(self._input_slopes.any()),
            bool(self._weight_slopes.any()),
        )
        self._names = [parameter.name for parameter in column]

    def __call__(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Evaluate.

        Args:
            inputs: (I, B), radians.
            weights: (W, 1), radians.

        Returns:
            (3 A, B), angle by angle; B is 1 where no input occurs.
        """
        arguments = self._offsets
        inputs, weights = inputs.to(arguments.dtype), weights.to(arguments.dtype)
        if self._uses_weights:
            arguments = torch.addmm(arguments, self._weight_slopes, weights)  # (3 A, 1)
        if self._uses_inputs:
            arguments = torch.addmm(arguments, self._input_slopes, inputs)  # (3 A, B)
        if self._walked:
            columns = [*inputs.unbind(0), *weights.expand(-1, inputs.shape[1]).unbind(0)]  # each (B,)
            values = dict(zip(self._names, columns, strict=True))
            walked = torch.stack([evaluate(expression, values) for expression in self._walked])
            arguments = arguments + self._selection @ walked
        return torch.cos(arguments)


class Angles:
    """Many angles as a function of inputs and weights, differentiable in both.

    Args:
        expressions: The angles.
        inputs: The parameters that make up `inputs` when called, in order.
        weights: The parameters that make up `weights` when called, in order.
    """

    def __init__(
        self,
        expressions: Sequence[ParameterExpression],
        inputs: Sequence[Parameter],
        weights: Sequence[Parameter],
    ) -> None:
        self._expressions = [symbolic(expression) for expression in expressions]
        self._inputs = [parameter.name for parameter in inputs]
        self._weights = [parameter.name for parameter in weights]
        self._on_inputs = [bool(expression.parameters & set(inputs)) for expression in expressions]
        self._on_weights = [bool(expression.parameters & set(weights)) for expression in expressions]

    def __call__(self, inputs: Tensor, weights: Tensor) -> Tensor:
        """Evaluate at inputs (B, I) and weights (W,), in radians: (B, T)."""
        values = dict(zip(self._inputs, inputs.unbind(1), strict=True))
        values |= dict(zip(self._weights, weights.unsqueeze(1).unbind(0), strict=True))
        columns = [evaluate(expression, values).expand(len(inputs)) for expression in self._expressions]
        return torch.stack(columns, dim=1)

    def depending(self, *, on_inputs: bool, on_weights: bool) -> list[int]:
        """List the columns that depend on inputs, on weights, or on either."""
        flags = zip(self._on_inputs, self._on_weights, strict=True)
        return [i for i, (x, w) in enumerate(flags) if (x and on_inputs) or (w and on_weights)]
