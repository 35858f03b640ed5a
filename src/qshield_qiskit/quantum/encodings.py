"""Ways to write classical angles into qubits; every input of every encoding is an angle in radians.

To add one, write a function `name(circuit, inputs)` that appends gates, and enter it in `ENCODINGS` with the
number of inputs that it takes.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter, ParameterExpression

from qshield_qiskit.errors import InputError, unknown


def angle(circuit: QuantumCircuit, inputs: Sequence[Parameter]) -> None:
    """Write one input a qubit: RY(x_i), so <Z_i> = cos(x_i)."""
    for qubit in range(circuit.num_qubits):
        circuit.ry(inputs[qubit], qubit)


def enhanced_angle(circuit: QuantumCircuit, inputs: Sequence[Parameter]) -> None:
    """Write three inputs a qubit: RX(x_3i), RY(x_3i+1), RZ(x_3i+2), the paper's encoding."""
    for qubit in range(circuit.num_qubits):
        circuit.rx(inputs[3 * qubit], qubit)
        circuit.ry(inputs[3 * qubit + 1], qubit)
        circuit.rz(inputs[3 * qubit + 2], qubit)


def zz(circuit: QuantumCircuit, inputs: Sequence[Parameter]) -> None:
    """Write one input a qubit and the products of all pairs into phases.

    H and P(2 x_i) on every qubit, then for all i < j: CX, P(2 (pi - x_i)(pi - x_j)) on j, CX. This is one
    repetition of Qiskit's `zz_feature_map` with full entanglement.

    References:
        Havlicek et al., "Supervised learning with quantum-enhanced feature spaces", Nature 567, 209 (2019).
    """
    for qubit in range(circuit.num_qubits):
        circuit.h(qubit)
        circuit.p(2 * inputs[qubit], qubit)
    for first, second in combinations(range(circuit.num_qubits), 2):
        circuit.cx(first, second)
        circuit.p(2 * (math.pi - inputs[first]) * (math.pi - inputs[second]), second)
        circuit.cx(first, second)


def amplitude(circuit: QuantumCircuit, inputs: Sequence[Parameter]) -> None:
    """Write 2**n - 1 hyperspherical angles, which together reach every real state of n qubits.

    The angles are the nodes of a binary tree, in heap order: x_0 divides the norm between the highest
    qubit's 0 and 1, x_1 and x_2 divide each half by the next, and so on. A basis state's amplitude is the
    product along its path from the root, of cos(x/2) where the path turns to 0 and sin(x/2) where it turns
    to 1. Each level is one uniformly controlled RY, taken apart by a Gray code, so that every gate's angle
    is linear in the inputs. `hyperspherical_angles` finds the angles of a given vector.

    References:
        Mottonen et al., "Transformation of quantum states using uniformly controlled rotations",
        Quantum Inf. Comput. 5, 467 (2005).
    """
    top = circuit.num_qubits - 1
    for level in range(circuit.num_qubits):
        nodes = inputs[2**level - 1 : 2 ** (level + 1) - 1]
        # Bit k of a node's number is the value of its k-th control, lowest qubit first.
        controls = list(range(top - level + 1, top + 1))
        _uniformly_controlled_ry(circuit, nodes, controls, top - level)


def _uniformly_controlled_ry(
    circuit: QuantumCircuit, angles: Sequence[Parameter], controls: Sequence[int], target: int
) -> None:
    """Rotate the target by angles[v], v being the number that the controls spell (Mottonen, figure 2)."""
    count = len(angles)
    for step in range(count):
        gray = step ^ (step >> 1)
        signs = [-1.0 if (value & gray).bit_count() % 2 else 1.0 for value in range(count)]
        circuit.ry(_sum(sign / count * x for sign, x in zip(signs, angles, strict=True)), target)
        if controls:
            following = (step + 1) % count
            changed = gray ^ following ^ (following >> 1)
            circuit.cx(controls[changed.bit_length() - 1], target)


def hyperspherical_angles(vector: ArrayLike) -> NDArray[np.float64]:
    """Find the inputs for which the `amplitude` encoding prepares a given real vector.

    Args:
        vector: 2**n real numbers, not all zero; only their ratios matter.

    Returns:
        2**n - 1 angles in radians: in [0, pi] above the tree's last level; in [-2 pi, 2 pi] on it, where the
        signs are settled.

    Raises:
        InputError: The length is no power of two, or the vector is zero or not finite.
    """
    amplitudes = np.asarray(vector, dtype=np.float64).reshape(-1)
    size = amplitudes.size
    if size < 2 or size & (size - 1) or not np.isfinite(amplitudes).all() or not amplitudes.any():
        raise InputError(f"amplitudes are 2, 4, 8, ... finite numbers, not all zero; {size} came")
    levels = []
    while amplitudes.size > 1:
        pairs = amplitudes.reshape(-1, 2)
        levels.append(2 * np.arctan2(pairs[:, 1], pairs[:, 0]))
        amplitudes = np.hypot(pairs[:, 0], pairs[:, 1])
    return np.concatenate(levels[::-1])


def _sum(terms: Iterable[ParameterExpression]) -> ParameterExpression:
    """Add expressions without the 0 that `sum` starts from."""
    return reduce(operator.add, terms)


@dataclass(frozen=True)
class Encoding:
    """An encoding and its price."""

    apply: Callable[[QuantumCircuit, Sequence[Parameter]], None]
    num_inputs: Callable[[int], int]


ENCODINGS = {
    "angle": Encoding(angle, lambda num_qubits: num_qubits),
    "enhanced_angle": Encoding(enhanced_angle, lambda num_qubits: 3 * num_qubits),
    "amplitude": Encoding(amplitude, lambda num_qubits: 2**num_qubits - 1),
    "zz": Encoding(zz, lambda num_qubits: num_qubits),
}


def find_encoding(name: str) -> Encoding:
    """Look an encoding up by name.

    Raises:
        InputError: There is none of that name.
    """
    if name not in ENCODINGS:
        raise unknown("encoding", name, ENCODINGS)
    return ENCODINGS[name]
