r"""Jacobians of a circuit from runs at shifted angles: which angles to run, and what to make of the figures.

Building and combining are apart from running, so that a whole gradient is one PUB. Angles are those of single gates
(see `occurrences`), in which every outcome is a sinusoid of period 2 pi.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class JacobianEstimate(Protocol):
    """A way of estimating a Jacobian from runs at other angles."""

    def angles(self, at: Array, columns: Sequence[int], generator: np.random.Generator) -> Array:
        """Give the angles to run, (R, T), for angles (B, T) and the columns that are differentiated."""
        ...

    def jacobian(
        self, outputs: Array, at: Array, columns: Sequence[int], generator: np.random.Generator
    ) -> Array:
        """Combine outputs (R, O) at those angles into (B, O, T), 0 in the other columns.

        The generator is in the state in which `angles` found it.
        """
        ...


@dataclass(frozen=True)
class ParameterShift:
    r"""The parameter-shift rule, exact up to shot noise; where noise is sampled by trajectories, nearly so.

        dy/da_k = (y(a_k + pi/2) - y(a_k - pi/2)) / 2,

    2 T sets of angles for each image.

    References:
        Mitarai et al., "Quantum circuit learning", arXiv 1803.00745 (2018); Schuld et al., arXiv 1811.11184 (2018).
    """

    def angles(self, at: Array, columns: Sequence[int], generator: np.random.Generator) -> Array:
        """Give every angle shifted both ways: (2 K B, T), column by column, the plus before the minus."""
        shifted = np.repeat(at[None], 2 * len(columns), axis=0)  # (2 K, B, T)
        for i, column in enumerate(columns):
            shifted[2 * i, :, column] += math.pi / 2
            shifted[2 * i + 1, :, column] -= math.pi / 2
        return shifted.reshape(-1, at.shape[1])

    def jacobian(
        self, outputs: Array, at: Array, columns: Sequence[int], generator: np.random.Generator
    ) -> Array:
        """Take half the differences."""
        pairs = outputs.reshape(len(columns), 2, len(at), outputs.shape[1])  # (K, 2, B, O)
        jacobian = np.zeros((len(at), pairs.shape[-1], at.shape[1]))
        jacobian[:, :, list(columns)] = ((pairs[:, 0] - pairs[:, 1]) / 2).transpose(1, 2, 0)
        return jacobian


@dataclass(frozen=True)
class SimultaneousPerturbation:
    r"""SPSA: all angles move at once, each by plus or minus c.

        dy/da_k  ~  mean over draws of  (y(a + c d) - y(a - c d)) / (2 c d_k),    d_k = +1 or -1,

    2 S sets of angles for each image, however many angles there are. Unbiased up to O(c^2); its variance grows with
    their number and falls with S.

    Args:
        draws: Number of draws S.
        step: Step c in radians.

    References:
        Spall, IEEE Transactions on Automatic Control 37 (1992).
    """

    draws: int = 1
    step: float = 0.2

    def angles(self, at: Array, columns: Sequence[int], generator: np.random.Generator) -> Array:
        """Give every draw's two sets: (2 S B, T)."""
        steps = self.step * self._signs(at, columns, generator)  # (S, B, T)
        return np.stack([at + steps, at - steps], axis=1).reshape(-1, at.shape[1])

    def jacobian(
        self, outputs: Array, at: Array, columns: Sequence[int], generator: np.random.Generator
    ) -> Array:
        """Average the differences, each over the signs of its draw."""
        signs = self._signs(at, columns, generator)
        pairs = outputs.reshape(self.draws, 2, len(at), outputs.shape[1])  # (S, 2, B, O)
        slopes = (pairs[:, 0] - pairs[:, 1]) / (2 * self.step)
        jacobian: Array = np.einsum("sbo,sbt->bot", slopes, signs) / self.draws  # 1 / d = d
        return jacobian

    def _signs(self, at: Array, columns: Sequence[int], generator: np.random.Generator) -> Array:
        signs = np.zeros((self.draws, *at.shape))
        signs[:, :, list(columns)] = generator.choice([-1.0, 1.0], (self.draws, len(at), len(columns)))
        return signs
