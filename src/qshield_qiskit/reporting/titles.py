"""Names of attacks, norms and radii as papers write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

ATTACKS = {
    "fgsm": "FGSM",
    "pgd": "PGD",
    "apgd": "APGD",
    "apgd_dlr": "APGD-DLR",
    "mim": "MIM",
    "vmi_fgsm": "VMI-FGSM",
    "cw": "C&W",
    "cw_l2": "C&W",
    "cw_linf": "C&W",
    "deepfool": "DeepFool",
    "one_pixel": "One pixel",
    "square": "Square",
    "square_l2": "Square",
    "hopskipjump": "HopSkipJump",
    "boundary": "Boundary",
    "ensemble": "Ensemble",
    "worst_case": "Worst case",
}
NORMS = {"linf": "L∞", "l2": "L2", "l1": "L1", "l0": "L0"}


def attack_title(attack: str) -> str:
    """Write an attack's name as papers do."""
    return ATTACKS.get(attack, attack.replace("_", " "))


def radius_title(epsilon: float) -> str:
    """Write a radius as it was typed: in steps of eight-bit pixels where that is shorter.

    >>> radius_title(8 / 255), radius_title(0.1), radius_title(1.0)
    ('8/255', '0.1', '1')
    """
    steps = round(255 * epsilon)
    is_step = abs(255 * epsilon - steps) < 1e-6 and 0 < steps < 255
    return f"{steps}/255" if is_step and len(f"{epsilon:g}") > 5 else f"{epsilon:g}"


def ball_title(norm: str, epsilon: float | None) -> str:
    """Write what a perturbation is held to.

    >>> ball_title("linf", 8 / 255), ball_title("l2", None)
    ('L∞ ≤ 8/255', 'minimum L2')
    """
    return (
        f"minimum {norm_title(norm)}" if epsilon is None else f"{norm_title(norm)} ≤ {radius_title(epsilon)}"
    )


def weak_notes(reasons: Mapping[str, str]) -> list[str]:
    """Say, under a table, why the figures of attacks that are marked by a star are too low.

    >>> weak_notes({"pgd": "10 steps are too few"})
    ['* PGD is too weak: 10 steps are too few.']
    """
    return [f"* {attack_title(name)} is too weak: {why.rstrip('.')}." for name, why in reasons.items()]


def norm_title(norm: str) -> str:
    """Write a norm's name as papers do."""
    return NORMS.get(norm, norm)


def span(counts: Sequence[int]) -> str:
    """Write ascending counts of images: the number if it is one, else the least and the most."""
    return "0" if not counts else str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
