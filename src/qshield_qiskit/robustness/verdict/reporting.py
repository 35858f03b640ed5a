"""How figures should be reported: a check on tables, not on a single call."""

from __future__ import annotations

from qshield_qiskit.robustness.verdict.check import Check, does_not_apply

ENOUGH_IMAGES = 1000
ENOUGH_SEEDS = 3


def single_call() -> Check:
    """Say that one call is no table."""
    return does_not_apply("reporting", "this is one model; a table is checked where it is made")


def reporting(*, worst_case: bool, same_images: bool, num_images: int, num_seeds: int) -> Check:
    """Check a table of several runs.

    Args:
        worst_case: Whether it gives the worst case per image.
        same_images: Whether all models were attacked on the same images.
        num_images: Number of images; intervals are given in any case.
        num_seeds: Least number of seeds of a model.
    """
    lacks = [
        what
        for what, there in (
            ("the worst case per image", worst_case),
            ("the same images for all models", same_images),
            (f"{ENOUGH_SEEDS} seeds", num_seeds >= ENOUGH_SEEDS),
        )
        if not there
    ]
    says = f"{num_images} images, {num_seeds} seed{'s' * (num_seeds != 1)}, with Wilson intervals"
    return Check(
        "reporting",
        False,
        not lacks,
        float(num_seeds),
        float(ENOUGH_SEEDS),
        says + (f"; it lacks {', '.join(lacks)}" if lacks else ""),
    )
