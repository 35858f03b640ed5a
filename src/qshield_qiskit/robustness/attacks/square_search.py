"""Square's random searches; ART's own never reaches the last row and column, and in L2 divides by the wrong size."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from art.attacks.attack import EvasionAttack
from art.estimators import BaseEstimator, NeuralNetworkMixin
from numpy.typing import NDArray

from qshield_qiskit.robustness.attacks.victim import Images

TILES = 5
"""Patches along a side of the image at the start, in L2."""

SMALLEST_PATCH = 3
"""Side of the last patches, in L2."""

HALVINGS = (0.001, 0.005, 0.02, 0.1, 0.2, 0.4, 0.6, 0.8)
"""After these shares of the proposals the area of the patches is halved."""


class SquareSearch(EvasionAttack):  # type: ignore[misc]
    """Random search that changes one window at a time, as long as the margin falls.

    Args:
        estimator: ART's view of a classifier.
        eps: Radius of the ball.
        max_iter: Number of proposals.
        p_init: Share of the pixels that the first patches cover.
        steady: Whether the model answers alike every time. Else the best images are put to it anew beside every
            proposal: a lucky draw would be believed for ever.

    References:
        Andriushchenko et al., "Square attack", arXiv 1912.00049 (2019), algorithm 1.
    """

    attack_params: ClassVar[list[str]] = [*EvasionAttack.attack_params, "eps", "max_iter", "p_init", "steady"]
    _estimator_requirements = (BaseEstimator, NeuralNetworkMixin)

    def __init__(
        self, estimator: Any, *, eps: float, max_iter: int, p_init: float, steady: bool = True
    ) -> None:
        super().__init__(estimator=estimator)
        self.eps, self.max_iter, self.p_init, self.steady = eps, max_iter, p_init, steady

    def generate(self, x: Images, y: Any = None, **ignored: Any) -> Images:
        """Perturb images (B, C, H, W) with one-hot labels (B, K)."""
        labels = np.argmax(y, axis=1)
        best = x.copy()
        margin = self._margins(x, labels)
        for number in range(self.max_iter + 1):
            if number and not self.steady:
                margin = self._margins(best, labels)
            left = np.flatnonzero(margin > 0)
            if not len(left):
                break
            if number == 0:
                proposal = self._first(x[left])
            else:
                share = self.p_init / 2 ** sum(number / self.max_iter > after for after in HALVINGS)
                proposal = self._next(x[left], best[left], share)
            found = self._margins(proposal, labels[left])
            better = found < margin[left]
            best[left[better]], margin[left[better]] = proposal[better], found[better]
        return best

    @abstractmethod
    def _first(self, x: Images) -> Images:
        """Perturb images (B, C, H, W) everywhere, to begin with."""

    @abstractmethod
    def _next(self, x: Images, best: Images, share: float) -> Images:
        """Perturb the best of images in another window as well, of a share of the pixels."""

    def _margins(self, images: Images, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give by how much the right logit leads, (B,); not above 0 where it does not."""
        logits = self.estimator.predict(images)
        own = np.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
        np.put_along_axis(logits, labels[:, None], -np.inf, axis=1)
        margins: NDArray[np.float32] = own - logits.max(axis=1)
        return margins

    def _inside(self, images: Any) -> Images:
        """Cut images off at the bounds."""
        cut: Images = np.clip(images, *self.estimator.clip_values).astype(np.float32)
        return cut


class SquareSearchLInf(SquareSearch):
    """Windows are moved to one side of the ball or the other, each channel as a whole; stripes come first.

    References:
        Andriushchenko et al., arXiv 1912.00049 (2019), algorithm 2.
    """

    def _first(self, x: Images) -> Images:
        """Move every column, in each channel."""
        return self._inside(x + self.eps * _signs(len(x), x.shape[1], 1, x.shape[3]))

    def _next(self, x: Images, best: Images, share: float) -> Images:
        """Move a window; where it lies on the drawn side already, to the other."""
        channels, height, width = x.shape[1:]
        window = _window(height, width, *_sides(height, width, share))
        signs = _signs(len(x), channels, 1, 1)
        idle = (best[window] == self._inside(x[window] + self.eps * signs)).all(axis=(1, 2, 3), keepdims=True)
        proposal = best.copy()
        proposal[window] = self._inside(x[window] + self.eps * np.where(idle, -signs, signs))
        return proposal


class SquareSearchL2(SquareSearch):
    """The perturbation's energy is moved from one window to another.

    References:
        Andriushchenko et al., arXiv 1912.00049 (2019), algorithm 3.
    """

    def _first(self, x: Images) -> Images:
        """Cover images with patches side by side."""
        return self._on_sphere(x, _tiled(x))

    def _next(self, x: Images, best: Images, share: float) -> Images:
        """Move energy."""
        return self._on_sphere(x, self._moved(best - x, share))

    def _moved(self, delta: Images, share: float) -> Images:
        """Take the energy of two windows, and what the ball has left, for a new patch in the first of them."""
        channels, height, width = delta.shape[1:]
        side = max(round(math.sqrt(share * height * width)), SMALLEST_PATCH)
        side = min(side + 1 - side % 2, height, width)
        first, second = (_window(height, width, side, side) for _ in range(2))
        unused = np.maximum(self.eps**2 - _norm(delta, (1, 2, 3)) ** 2, 0)
        both = np.zeros((1, 1, height, width), dtype=bool)
        both[first] = both[second] = True
        energy = _norm(delta * both, (2, 3)) ** 2 + unused / channels  # of each channel
        old = delta[first]
        patch = _signs(len(delta), channels, 1, 1) * _bump(side) + old / np.maximum(_norm(old, (2, 3)), 1e-9)
        delta = delta.copy()
        delta[second] = 0
        delta[first] = patch / np.maximum(_norm(patch, (2, 3)), 1e-9) * np.sqrt(energy)
        return delta

    def _on_sphere(self, x: Images, delta: Images) -> Images:
        """Scale a perturbation to the sphere, and cut it off at the bounds, which makes it no larger."""
        return self._inside(x + self.eps * delta / np.maximum(_norm(delta, (1, 2, 3)), 1e-9))


def _tiled(x: Images) -> Images:
    """Cover images with patches side by side."""
    delta = np.zeros_like(x)
    side = min(max(min(x.shape[2:]) // TILES, 2), *x.shape[2:])
    for top in range(0, x.shape[2] - side + 1, side):
        for left in range(0, x.shape[3] - side + 1, side):
            delta[..., top : top + side, left : left + side] = _signs(*x.shape[:2], 1, 1) * _bump(side)
    return delta


def _signs(*shape: int) -> NDArray[np.float32]:
    """Draw -1 and 1."""
    return np.random.choice(np.array([-1, 1], dtype=np.float32), size=shape)


def _sides(height: int, width: int, share: float) -> tuple[int, int]:
    """Give the sides of a square of a share of the pixels; of an oblong where the image is too narrow for one."""
    side = max(round(math.sqrt(share * height * width)), 1)
    return min(max(side, round(side**2 / width)), height), min(max(side, round(side**2 / height)), width)


def _window(height: int, width: int, rows: int, columns: int) -> tuple[Any, ...]:
    """Draw a place for a window of so many rows and columns, the last of each included."""
    top, left = np.random.randint(0, height - rows + 1), np.random.randint(0, width - columns + 1)
    return np.index_exp[..., top : top + rows, left : left + columns]


def _bump(side: int) -> NDArray[np.float64]:
    """Make a patch of norm 1: two halves of opposite sign, each falling off from its middle; upright or lying."""
    if side == 1:  # which has no halves
        return np.ones((1, 1))
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
