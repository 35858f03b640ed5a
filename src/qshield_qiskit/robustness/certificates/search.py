"""The largest radius at which a bound still holds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

CLOSE_ENOUGH = 1.07
"""The search ends when a radius that fails is at most this many times one that holds."""

STEP = 1.6
"""Factor between trials as long as all of them hold, or all fail."""

SMALLEST = 1e-6
"""Radii below this are not looked for."""


def largest_radius(
    margin: Callable[[float], float], guess: float, most: float, known: Mapping[float, float] | None = None
) -> float:
    """Find the largest radius at which a margin is positive; balls are nested, so it holds at all smaller ones.

    Args:
        margin: A bound of the margin; as a rule, the larger the radius the smaller it is.
        guess: Where to begin.
        most: The largest radius of interest.
        known: Margins that are known already, by radius.

    Returns:
        A radius at which the margin was seen to be positive, 0 if there was none.

    >>> 0.36 < largest_radius(lambda radius: 1 - radius - 4 * radius**2, 0.1, 10.0) <= 0.39
    True
    """
    seen = dict(known or {})
    holds = max((radius for radius, value in seen.items() if value > 0), default=0.0)
    fails = min((radius for radius, value in seen.items() if value <= 0 and radius > holds), default=math.inf)
    while holds < most and fails > SMALLEST and fails > CLOSE_ENOUGH * holds:
        if holds == 0:
            radius = min(guess, most) if math.isinf(fails) else fails / STEP
        elif math.isinf(fails):
            radius = min(most, holds * STEP)
        else:
            radius = math.sqrt(holds * fails)
        if margin(radius) > 0:
            holds = radius
        else:
            fails = radius
    return holds
