"""Square in the L2 norm; ART's own divides by the size that a new patch should get."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators import BaseEstimator, NeuralNetworkMixin
from numpy.typing import NDArray

from qshield_qiskit.robustness.attacks.victim import Images

TILES = 5
"""Patches along a side of the image at the start."""

SMALLEST_PATCH = 3
"""Side of the last patches."""

HALVINGS = (0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8)
"""After these shares of the proposals the area of the patches is halved."""


class SquareSearchL2(EvasionAttack):  # type: ignore[misc]
    """Random search that moves the perturbation's energy from one window to another, as long as the margin falls.

    Args:
        estimator: ART's view of a classifier.
        eps: Radius of the ball.
        max_iter: Number of proposals.
        p_init: Share of the pixels that the first patches cover.

    References:
        Andriushchenko et al., "Square attack", arXiv 1912.00049 (2019), algorithm 3.
    """

    attack_params: ClassVar[list[str]] = [*EvasionAttack.attack_params, "eps", "max_iter", "p_init"]
    _estimator_requirements = (BaseEstimator, NeuralNetworkMixin)

    def __init__(self, estimator: Any, *, eps: float, max_iter: int, p_init: float) -> None:
        super().__init__(estimator=estimator)
        self.eps, self.max_iter, self.p_init = eps, max_iter, p_init

    def generate(self, x: Images, y: Any = None, **ignored: Any) -> Images:
        """Perturb images (B, C, H, W) with one-hot labels (B, K)."""
        labels = np.argmax(y, axis=1)
        best = x.copy()
        margin = self._margins(x, labels)
        for number in range(self.max_iter + 1):
            left = np.flatnonzero(margin > 0)
            if not len(left):
                break
            delta = (
                _tiled(x[left]) if number == 0 else self._moved(best[left] - x[left], number / self.max_iter)
            )
            proposal = self._inside(x[left], delta)
            found = self._margins(proposal, labels[left])
            better = found < margin[left]
            best[left[better]], margin[left[better]] = proposal[better], found[better]
        return best

    def _margins(self, images: Images, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give by how much the right logit leads, (B,); not above 0 where it does not."""
        logits = self.estimator.predict(images)
        own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        np.put_along_axis(logits, labels[:, None], -np.inf, axis=1)
        margins: NDArray[np.float32] = own - logits.max(axis=1)
        return margins

    def _moved(self, delta: Images, progress: float) -> Images:
        """Take the energy of two windows, and what the ball has left, for a new patch in the first of them."""
        channels, height, width = delta.shape[1:]
        area = self.p_init / 2 ** sum(progress > share for share in HALVINGS)
        side = max(round(math.sqrt(area * height * width)), SMALLEST_PATCH)
        side = min(side + 1 - side % 2, height, width)
        first, second = (_window(height, width, side) for _ in range(2))
        unused = np.maximum(self.eps**2 - _norm(delta, (1, 2, 3)) ** 2, 0)
        both = np.zeros((1, 1, height, width), dtype=bool)
        both[first] = both[second] = True
        energy = _norm(delta * both, (2, 3)) ** 2 + unused / channels  # of each channel
        signs = np.random.choice([-1, 1], size=(len(delta), channels, 1, 1))
        old = delta[first]
        patch = signs * _bump(side) + old / np.maximum(_norm(old, (2, 3)), 1e-9)
        delta = delta.copy()
        delta[second] = 0
        delta[first] = patch / np.maximum(_norm(patch, (2, 3)), 1e-9) * np.sqrt(energy)
        return delta

    def _inside(self, x: Images, delta: Images) -> Images:
        """Scale a perturbation to the sphere, and cut it off at the bounds, which makes it no larger."""
        low, high = self.estimator.clip_values
        scaled = self.eps * delta / np.maximum(_norm(delta, (1, 2, 3)), 1e-9)
        images: Images = np.clip(x + scaled, low, high).astype(np.float32)
        return images


def _tiled(x: Images) -> Images:
    """Cover images with patches side by side."""
    delta = np.zeros_like(x)
    side = max(min(x.shape[2:]) // TILES, 2)
    for top in range(0, x.shape[2] - side + 1, side):
        for left in range(0, x.shape[3] - side + 1, side):
            signs = np.random.choice([-1, 1], size=(*x.shape[:2], 1, 1))
            delta[..., top : top + side, left : left + side] = signs * _bump(side)
    return delta


def _window(height: int, width: int, side: int) -> tuple[Any, ...]:
    top, left = np.random.randint(0, height - side + 1), np.random.randint(0, width - side + 1)
    return np.index_exp[..., top : top + side, left : left + side]


def _bump(side: int) -> NDArray[np.float64]:
    """Make a patch of norm 1: two halves of opposite sign, each falling off from its middle; upright or lying."""
    half = np.zeros((side // 2, side))
    row, column = side // 4, side // 2
    for ring in range(side // 2):
        rows = slice(max(row - ring, 0), row + ring + 1)
        half[rows, max(column - ring, 0) : column + ring + 1] += 1 / (ring + 1) ** 2
    patch = np.zeros((side, side))
    patch[: side // 2], patch[side // 2 : 2 * (side // 2)] = half, -half
    patch /= np.linalg.norm(patch)
    patch *= np.random.choice([-1, 1])
    return patch.T if np.random.rand() > 0.5 else patch


def _norm(delta: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    norm: NDArray[Any] = np.sqrt(np.square(delta).sum(axis=axes, keepdims=True))
    return norm
