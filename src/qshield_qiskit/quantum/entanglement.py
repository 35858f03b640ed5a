r"""The Meyer-Wallach measure: how entangled each qubit is with the rest, on average.

Q = 2 (1 - \frac{1}{n} \sum_k \mathrm{Tr} \rho_k^2), 0 for product states and 1 where every qubit on its own is
maximally mixed. A circuit's entangling capability is the mean over its states.

References:
    Meyer and Wallach, "Global entanglement in multiparticle systems", J. Math. Phys. 43, 4273 (2002).
    Brennen, "An observable measure of entanglement for pure states of multi-qubit systems", arXiv quant-ph/0305094.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def meyer_wallach(states: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Give Q of pure states (B, 2^n), (B,), in [0, 1].

    >>> bell = np.array([[1, 0, 0, 1]]) / np.sqrt(2)
    >>> meyer_wallach(bell.astype(complex)).round(9)
    array([1.])
    """
    num_qubits = int(states.shape[1]).bit_length() - 1
    purity = np.zeros(len(states))
    for qubit in range(num_qubits):
        split = states.reshape(len(states), -1, 2, 2**qubit)
        reduced = np.einsum("baic,bajc->bij", split, split.conj())
        purity += np.einsum("bij,bji->b", reduced, reduced).real
    return np.asarray(np.clip(2 * (1 - purity / num_qubits), 0, 1), dtype=np.float64)


def haar_entanglement(num_qubits: int) -> float:
    """Give the mean of Q over uniformly drawn states, (D - 2) / (D + 1)."""
    size = float(2**num_qubits)
    return (size - 2) / (size + 1)
