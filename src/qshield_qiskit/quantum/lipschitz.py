r"""How fast a circuit's outcomes can change with its angles, whatever these are.

With the outcome g = Tr(M \rho) and gates exp(-i a_j(x) P_j / 2), two bounds of |dg / dx_i|:

* from the *generators*: each gate contributes |da_j / dx_i| (\lambda_max(M) - \lambda_min(M)) / 2. This is the paper's
  2 |w_j| |H_j| |M|, with H_j = P_j / 2, and M moved by the multiple of the identity that makes its norm smallest.
* from the *transfer matrix*: M is first evolved backwards, through the trained gates and all noise behind the encoding.
  Depolarising and relaxation draw its eigenvalues together, so its spread shrinks. Where each input enters a qubit of
  its own the state is a product, g is linear in the Bloch vector of each qubit q,

      g = Tr(M_0 \rho') + \sum_c b_c Tr(M_c \rho'),   M_c = Tr_q(\sigma_c M) / 2,

  and a Bloch vector that moves at unit speed moves g by at most \lambda_max(\sum_c M_c^2)^{1/2}.

References:
    Berberich et al., "Training robust and generalizable quantum models", arXiv 2311.11871 (2023), theorem 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from qiskit.circuit import Parameter, ParameterExpression
from torch import Tensor

from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.expressions import affine_form
from qshield_qiskit.quantum.lowering import Rotation
from qshield_qiskit.quantum.planning import MAX_NOISY_QUBITS
from qshield_qiskit.quantum.readout import readout_rows
from qshield_qiskit.quantum.representations import PauliTransfer
from qshield_qiskit.quantum.simulator import ExactSimulator

PAULIS = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


@dataclass(frozen=True)
class DerivativeBounds:
    """Bounds for R weighted sums of outcomes, g_r(x), that hold for all angles x in [-pi, pi]^I.

    Attributes:
        generators: (R, I), of |dg / dx_i|, from the generators and what is read alone.
        transfer: (R, I), of |dg / dx_i|, noise included; nowhere larger than `generators`.
        curvature: (R, I, I), of |d^2 g / dx_i dx_k|, noise included.
        low: (R,), below g for every state.
        high: (R,), above g for every state.
    """

    generators: Tensor
    transfer: Tensor
    curvature: Tensor
    low: Tensor
    high: Tensor


@dataclass(frozen=True)
class Encoding:
    """The J input-dependent gates of a circuit, as far as bounds need to know them.

    Attributes:
        slopes: (J, I), sup |da_j / dx_i| over [-pi, pi]^I.
        bends: (J, I, I), sup |d^2 a_j / dx_i dx_k|.
        qubits: The qubits each gate acts on.
        contraction: (J,), by how much the gates and the noise that follow on its qubit, up to the end of the encoding,
            shorten its Bloch vector at least; 1 where nothing is known.
    """

    slopes: NDArray[np.float64]
    bends: NDArray[np.float64]
    qubits: tuple[tuple[int, ...], ...]
    contraction: NDArray[np.float64]


def derivative_bounds(simulator: ExactSimulator, weights: Tensor, rows: Tensor) -> DerivativeBounds:
    """Bound the derivatives of weighted sums of a circuit's outcomes.

    Args:
        simulator: The compiled circuit.
        weights: (W,) angles in radians.
        rows: (R, O), the weights of the outcomes in each sum.

    Returns:
        The bounds, in float64.

    Raises:
        InputError: The circuit has too many qubits, or an angle is more than quadratic in the inputs.
    """
    enc, lowered = encoding(simulator, weights), simulator.lowered
    sums = rows.detach().cpu().double().numpy()
    evolved = sums @ transfer_matrix(simulator, weights).numpy()  # (R, 4^n)
    low, high = _spectrum(evolved, lowered.num_qubits)
    first, second = _moved(simulator, evolved, enc, (high - low) / 2)
    curvature = np.einsum("rjk,ji,kl->ril", second, enc.slopes, enc.slopes)
    curvature += np.einsum("rj,jil->ril", first, enc.bends)
    smallest, largest = _spectrum(sums @ readout_rows(lowered, simulator.observables), lowered.num_qubits)
    return DerivativeBounds(
        generators=torch.from_numpy(np.outer((largest - smallest) / 2, enc.slopes.sum(axis=0))),
        transfer=torch.from_numpy(first @ enc.slopes),
        curvature=torch.from_numpy(curvature),
        low=torch.from_numpy(low),
        high=torch.from_numpy(high),
    )


def transfer_matrix(simulator: ExactSimulator, weights: Tensor) -> Tensor:
    """Give T, (O, 4^n), as `ExactSimulator.evolved_readout`, unless it is too large.

    Raises:
        InputError: The circuit has too many qubits.
    """
    if simulator.lowered.num_qubits > MAX_NOISY_QUBITS:
        raise InputError(
            f"the circuit spans {simulator.lowered.num_qubits} qubits, and its transfer matrix is bounded up to "
            f"{MAX_NOISY_QUBITS}; try fewer qubits"
        )
    return simulator.evolved_readout(weights)


def operators(coefficients: NDArray[np.float64], num_qubits: int) -> NDArray[np.complex128]:
    """Turn Pauli coefficients (..., 4^n), highest qubit most significant, into operators (..., 2^n, 2^n).

    >>> operators(np.array([0.0, 0.0, 0.0, 1.0]), 1).real
    array([[ 1.,  0.],
           [ 0., -1.]])
    """
    lead = coefficients.shape[:-1]
    tensor = coefficients.reshape(-1, 1, 1, coefficients.shape[-1]).astype(np.complex128)
    for qubit in range(num_qubits):
        size = 2**qubit
        split = tensor.reshape(len(tensor), size, size, 4, -1)
        tensor = np.einsum("rabpt,pij->raibjt", split, PAULIS).reshape(len(tensor), 2 * size, 2 * size, -1)
    return tensor.reshape(*lead, 2**num_qubits, 2**num_qubits)


def encoding(simulator: ExactSimulator, weights: Tensor) -> Encoding:
    """Gather the input-dependent gates of a circuit.

    Raises:
        InputError: An angle is more than quadratic in the inputs.
    """
    inputs = simulator.inputs
    values = dict(zip(simulator.weights, weights.detach().tolist(), strict=True))
    contraction = _contraction(simulator) if simulator.encodes_product_states else {}
    slopes, bends, qubits, factors = [], [], [], []
    for operation in simulator.lowered.operations:
        if isinstance(operation, Rotation) and not operation.parameters.isdisjoint(inputs):
            slope, bend = _angle_bounds(operation.angle, inputs, values)
            slopes.append(slope)
            bends.append(bend)
            qubits.append(operation.qubits)
            factors.append(contraction.get(id(operation), 1.0))
    shape = (len(qubits), len(inputs))
    return Encoding(
        np.reshape(slopes, shape), np.reshape(bends, (*shape, shape[1])), tuple(qubits), np.array(factors)
    )


def _angle_bounds(
    angle: ParameterExpression, inputs: tuple[Parameter, ...], values: dict[Parameter, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bound the first and second derivatives of one angle over [-pi, pi]^I: (I,) and (I, I)."""
    count = len(inputs)
    slope, bend = np.zeros(count), np.zeros((count, count))
    for i, parameter in enumerate(inputs):
        if parameter not in angle.parameters:
            continue
        gradient = angle.gradient(parameter)
        if not isinstance(gradient, ParameterExpression):
            slope[i] = abs(gradient)
            continue
        bound = gradient.bind({p: v for p, v in values.items() if p in gradient.parameters})
        form = affine_form(bound)
        if form is None:
            raise InputError(
                f"the angle {angle} is more than quadratic in {parameter.name}, so its slope has no bound here; "
                "write it with sums and products of two inputs"
            )
        slope[i] = abs(form[1]) + math.pi * sum(map(abs, form[0].values()))
        for other, coefficient in form[0].items():
            bend[i, inputs.index(other)] = abs(coefficient)
    return slope, bend


def _contraction(simulator: ExactSimulator) -> dict[int, float]:
    """For each rotation of the prefixes, the product of the norms of all that follows it there."""
    representation = PauliTransfer()
    found = {}
    for prefix in simulator.prefixes:
        factor = 1.0
        for operation in reversed(prefix.operations):
            if isinstance(operation, Rotation):
                found[id(operation)] = factor
            else:
                linear = representation.fixed(operation)[0][
                    1:, 1:
                ]  # what it does to differences of Bloch vectors
                factor *= min(1.0, float(np.linalg.norm(linear, 2)))
    return found


def _moved(
    simulator: ExactSimulator,
    coefficients: NDArray[np.float64],
    enc: Encoding,
    half_spread: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bound by how much each gate, and each pair of gates, moves the sums: (R, J) and (R, J, J)."""
    count, n = len(enc.qubits), simulator.lowered.num_qubits
    if not simulator.encodes_product_states:
        return np.tile(half_spread[:, None], count), np.tile(half_spread[:, None, None], (count, count))
    tensor = coefficients.reshape(len(coefficients), *[4] * n)
    one = np.minimum(
        np.stack([_norm(tensor, (q,)) for q in range(n)], axis=1), half_spread[:, None]
    )  # (R, n)
    two = np.minimum(one[:, :, None], one[:, None, :])
    for q in range(n):
        for p in range(q):
            two[:, q, p] = two[:, p, q] = np.minimum(two[:, q, p], _norm(tensor, (q, p)))
    place = np.array([qubits[0] for qubits in enc.qubits], dtype=np.intp)
    apart = place[:, None] != place[None, :]
    pairs = np.where(
        apart,  # two gates of one qubit: what follows the first follows both
        np.outer(enc.contraction, enc.contraction),
        np.minimum.outer(enc.contraction, enc.contraction),
    )
    return one[:, place] * enc.contraction, two[:, place][:, :, place] * pairs


def _norm(tensor: NDArray[np.float64], qubits: tuple[int, ...]) -> NDArray[np.float64]:
    r"""Bound what unit vectors in place of some qubits' Bloch vectors give: \lambda_max(\sum_c M_c^2)^{1/2}, (R,)."""
    n = tensor.ndim - 1
    axes = [n - qubit for qubit in qubits]
    moved = np.moveaxis(tensor, axes, range(1, 1 + len(axes)))[(slice(None), *[slice(1, None)] * len(axes))]
    parts = operators(moved.reshape(len(tensor), 3 ** len(axes), -1), n - len(axes))
    largest = np.linalg.eigvalsh((parts @ parts).sum(axis=1))[:, -1]
    return np.asarray(np.sqrt(largest.clip(min=0)), dtype=np.float64)


def _spectrum(coefficients: NDArray[np.float64], num_qubits: int) -> tuple[NDArray[np.float64], ...]:
    """Give the smallest and the largest eigenvalue of operators with Pauli coefficients (R, 4^n), each (R,)."""
    eigenvalues = np.asarray(np.linalg.eigvalsh(operators(coefficients, num_qubits)), dtype=np.float64)
    return eigenvalues[:, 0].copy(), eigenvalues[:, -1].copy()
