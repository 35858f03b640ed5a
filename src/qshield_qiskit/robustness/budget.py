"""Attacks that may end early: what was seen of success until a budget was spent."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from qshield_qiskit.errors import BudgetSpent
from qshield_qiskit.robustness.outcome import sizes

TOLERANCE = 1e-6
"""By how much rounding may leave the ball or the bounds."""

EXACT = "donot_use_mm_for_euclid_dist"
"""How distances are taken: by products of matrices short ones cancel, and the nearest may be another."""


class QueriesSpent(BudgetSpent):
    """An attack has put as many images to the model as it may."""


class Sighting(NamedTuple):
    """What a budget leaves of an attack on B images."""

    examples: Tensor  # (B, C, H, W): the best example of each image, else the image itself
    fooled: Tensor  # (B,), whether an example was seen
    predicted: Tensor  # (B,), the class that the model gave it; -1 without one


class Watch:
    """Remember the best adversarial example of every image among the images that an attack puts to the model.

    Library attacks hand over their examples at their end only, and not at all when they are cut short. Which image an
    example belongs to is told by distance: the nearest one, or all that are equally near.

    Args:
        images: (B, C, H, W), [0, 1]: what is attacked.
        classes: (B,), the class to leave, or to arrive at.
        norm: "linf", "l2" or "l0": the norm of the ball.
        epsilon: Radius of the ball; None for a minimum-norm attack, of which the smallest example in L2 is kept.
        targeted: Whether `classes` are to be arrived at.
    """

    def __init__(
        self, images: Tensor, classes: Tensor, norm: str, epsilon: float | None, *, targeted: bool
    ) -> None:
        self._images, self._classes = images.detach().float().cpu(), classes.cpu()
        self._norm, self._epsilon, self._targeted = norm, epsilon, targeted
        self._examples = self._images.clone()
        self._size = torch.full((len(images),), torch.inf)
        self._predicted = torch.full((len(images),), -1)

    def look(self, queried: Tensor, logits: Tensor) -> None:
        """Take note of images (Q, C, H, W) and what the model made of them, (Q, K)."""
        queried, predicted = queried.detach().float().cpu(), logits.detach().argmax(1).cpu()
        flat, images = queried.flatten(1), self._images.flatten(1)
        distances = torch.cdist(flat, images, compute_mode=EXACT)  # (Q, B), L2
        # Equal images have the same distance, and own an example together.
        rows, owners = torch.nonzero(distances == distances.amin(1, keepdim=True), as_tuple=True)
        won = (predicted[rows] == self._classes[owners]) == self._targeted
        won &= ((flat.amin(1) >= -TOLERANCE) & (flat.amax(1) <= 1 + TOLERANCE))[rows]
        if self._epsilon is not None:
            extent = sizes(self._images[owners], queried[rows])[self._norm]
            won &= extent <= self._epsilon * (1 + TOLERANCE) + TOLERANCE
        for row, owner in zip(rows[won].tolist(), owners[won].tolist(), strict=True):
            if distances[row, owner] < self._size[owner]:
                self._size[owner] = distances[row, owner]
                self._examples[owner], self._predicted[owner] = queried[row], predicted[row]

    def seen(self) -> Sighting:
        """Give what has been found so far."""
        return Sighting(self._examples, self._predicted >= 0, self._predicted)
