r"""Expressibility: how close a circuit's states, over all of its parameters, come to being uniformly distributed.

Two random states of dimension D have a fidelity F = |<\psi|\phi>|^2 with density (D - 1) (1 - F)^{D - 2} if they are
drawn uniformly (Haar). Expressibility is the Kullback-Leibler divergence of the circuit's fidelities from that; the
smaller, the more expressive.

References:
    Sim et al., "Expressibility and entangling capability of parameterized quantum circuits for hybrid quantum-classical
    algorithms", Adv. Quantum Technol. 2, 1900070 (2019), arXiv 1905.10876.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 75
"""Of the histogram of fidelities, as in the paper."""

RESAMPLES = 200
"""Bootstrap draws behind an interval."""


def haar_density(fidelity: NDArray[np.float64], num_qubits: int) -> NDArray[np.float64]:
    """Give the density of fidelities of uniformly drawn states of n qubits, at fidelities in [0, 1]."""
    size = 2**num_qubits
    return np.asarray((size - 1) * (1 - fidelity) ** (size - 2), dtype=np.float64)


def log_haar_bins(num_qubits: int, bins: int = BINS) -> NDArray[np.float64]:
    """Give the logarithms of the probabilities of equal bins of [0, 1] under `haar_density`, (bins,).

    >>> bool(np.isclose(np.exp(log_haar_bins(4)).sum(), 1))
    True
    """
    edges = np.linspace(0, 1, bins + 1)
    power = 2**num_qubits - 1
    with np.errstate(divide="ignore"):
        left, right = np.log1p(-edges[:-1]), np.log1p(-edges[1:])
    return np.asarray(power * left + np.log1p(-np.exp(power * (right - left))), dtype=np.float64)


def fidelities(first: NDArray[np.complex128], second: NDArray[np.complex128]) -> NDArray[np.float64]:
    """Give |<a|b>|^2 of pairs of states, each (B, 2^n): (B,)."""
    overlaps = np.einsum("bi,bi->b", first.conj(), second)
    return np.asarray(np.clip(np.abs(overlaps) ** 2, 0.0, 1.0), dtype=np.float64)


def expressibility(found: NDArray[np.float64], num_qubits: int, bins: int = BINS) -> float:
    """Give the Kullback-Leibler divergence of sampled fidelities (B,) from uniformly drawn states', in nats.

    Of few samples it is too large, by about (bins - 1) / (2 B); `haar_floor` says by how much.
    """
    counts = np.histogram(found, bins=bins, range=(0, 1))[0]
    return _divergence(counts / counts.sum(), log_haar_bins(num_qubits, bins))


def expressibility_interval(
    found: NDArray[np.float64], num_qubits: int, seed: int, bins: int = BINS
) -> tuple[float, float]:
    """Give a 95 % interval of what so many samples show, by drawing the samples (B,) again with replacement.

    Drawing again adds to the bias of a small sample once more; that is taken off.
    """
    generator = np.random.default_rng(seed)
    counts = np.histogram(found, bins=bins, range=(0, 1))[0]
    reference = log_haar_bins(num_qubits, bins)
    drawn = generator.multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)
    values = [_divergence(row / counts.sum(), reference) for row in drawn]
    low, high = np.quantile(values, [0.025, 0.975])
    shift = expressibility(found, num_qubits, bins) - float(np.mean(values))
    return max(0.0, float(low) + shift), float(high) + shift


def haar_floor(samples: int, num_qubits: int, seed: int, bins: int = BINS) -> float:
    """Give the expressibility that uniformly drawn states themselves would show with so many samples, on average."""
    generator = np.random.default_rng(seed)
    drawn = generator.beta(1, 2**num_qubits - 1, size=(RESAMPLES, samples))
    return float(np.mean([expressibility(row, num_qubits, bins) for row in drawn]))


def _divergence(shares: NDArray[np.float64], log_reference: NDArray[np.float64]) -> float:
    there = shares > 0
    return float((shares[there] * (np.log(shares[there]) - log_reference[there])).sum())
