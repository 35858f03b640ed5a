"""One check of the verdict, and how the checks decide together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MASKING = "masking detected"
SUSPECT = "suspect"
CLEAR = "no masking detected"

POINT = 0.01
"""Share of the images that a check lets pass."""


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes:
        name: Its name, snake case.
        hard: Whether failing it alone means that gradients are masked.
        passed: None where it does not apply, and then it does not count.
        figure: What was measured.
        threshold: What the figure is held against.
        says: One sentence.
    """

    name: str
    hard: bool
    passed: bool | None
    figure: float | None
    threshold: float | None
    says: str


def all_but_one(share: float, n: int) -> float:
    """Give a share of n that is never missed by one image alone, which may be chance, nor by rounding.

    >>> round(all_but_one(0.01, 1000), 6), round(all_but_one(0.01, 20), 6)
    (0.01, 0.05)
    """
    return max(share, 1 / max(1, n)) + 1e-9


def decide(checks: Sequence[Check]) -> str:
    """Give the verdict: a hard failure detects masking, a soft one is suspect; nothing proves robustness."""
    failed = [check for check in checks if check.passed is False]
    if any(check.hard for check in failed):
        return MASKING
    return SUSPECT if failed else CLEAR


def does_not_apply(name: str, why: str, *, hard: bool = False) -> Check:
    """Make a check that does not count."""
    return Check(name, hard, None, None, None, why)
