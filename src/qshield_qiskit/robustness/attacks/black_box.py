"""Attacks by scores alone: Square and one pixel."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from art.attacks.evasion import PixelAttack
from art.attacks.evasion.pixel_threshold import differential_evolution
from pydantic import Field
from scipy.special import log_softmax

from qshield_qiskit.robustness.attacks.base import Attack, Norm, Steps, Task
from qshield_qiskit.robustness.attacks.square_search import SquareSearch, SquareSearchL2, SquareSearchLInf
from qshield_qiskit.robustness.attacks.victim import Images


class Square(Attack):
    """Random search with square patches; it needs no gradient, so it does not mind if they are masked.

    References:
        Andriushchenko et al., "Square attack", arXiv 1912.00049 (2019).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf",)
    white_box: ClassVar[bool] = False
    can_target: ClassVar[bool] = False
    search: ClassVar[type[SquareSearch]] = SquareSearchLInf
    """What proposes its patches."""

    proposals: Steps = 1000
    """Patches that are tried."""
    initial_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """Share of the pixels that the first patches cover."""

    def generate(self, task: Task) -> Images:
        """Run it on the whole batch."""
        search = self.search(
            task.victim(),
            eps=task.radius,
            max_iter=self.proposals,
            p_init=self.initial_fraction,
            steady=task.is_answered_alike(),
        )
        return search.generate(task.images, task.one_hot)


class SquareL2(Square):
    """Square in the L2 norm."""

    norms: ClassVar[tuple[Norm, ...]] = ("l2",)
    search: ClassVar[type[SquareSearch]] = SquareSearchL2


class PixelSearch(PixelAttack):  # type: ignore[misc]
    """ART's pixel attack with a population of one's choice; ART's own is 400.

    Args:
        classifier: ART's view of a classifier.
        population: Candidates in a generation, about.
        **settings: Those of `PixelAttack`.
    """

    def __init__(self, classifier: Any, *, population: int, **settings: Any) -> None:
        super().__init__(classifier, es=1, **settings)
        self.population = population

    def generate(self, x: Images, y: Any = None, **ignored: Any) -> Images:
        """Search image by image, (B, C, H, W) with one-hot labels, or targets, (B, K); ART's own refuses K = 2."""
        self.rescale = True  # it counts in [0, 255]
        found = []
        for image, label in zip(255 * x, np.argmax(y, axis=1), strict=True):
            success, changed = self._attack(image, label, self.th)
            found.append(changed if success else image)
        images: Images = np.stack(found).astype(np.float32) / np.float32(255)
        return images

    def _attack(self, image: Any, target_class: Any, limit: int) -> tuple[bool, Any]:
        """Evolve the pixels of one image, in [0, 255]."""
        bounds, _ = self._get_bounds(image, limit)

        def score(candidates: Any) -> Any:
            images = self.rescale_input(self._perturb_image(candidates, image))
            scores = log_softmax(self.estimator.predict(images), axis=1)[:, target_class]
            return -scores if self.targeted else scores

        found = differential_evolution(
            score,
            bounds,
            maxiter=self.max_iter,
            popsize=max(2, self.population // len(bounds)),
            recombination=1,
            atol=-1,
            callback=lambda candidate, convergence: self._attack_success(candidate, image, target_class),
            polish=False,
        ).x
        return self._attack_success(found, image, target_class), self._perturb_image(found, image)[0]


class OnePixel(Attack):
    """Change a few pixels at will, by differential evolution.

    References:
        Su et al., "One pixel attack for fooling deep neural networks", arXiv 1710.08864 (2017).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("l0",)
    bounded: ClassVar[bool] = False
    white_box: ClassVar[bool] = False

    pixels: Steps = 1
    """Number of pixels."""
    steps: Steps = 30
    """Generations."""
    population: Steps = 100
    """Candidates in a generation."""

    def generate(self, task: Task) -> Images:
        """Search image by image; pixels that were not chosen keep their value to the bit."""
        attack = PixelSearch(
            task.victim(),
            population=self.population,
            th=self.pixels,
            max_iter=self.steps,
            targeted=task.targeted,
        )
        with np.errstate(divide="ignore"):  # where all candidates are alike
            found = attack.generate(task.images, task.one_hot).astype(np.float32)
        changed = np.abs(found - task.images) > 1e-6
        return np.where(changed, found, task.images)
