"""Worst cases: which attacks are counted together, and what of theirs counts."""

from __future__ import annotations

import pytest

from qshield_qiskit.reporting.recording import fooled_by_any, largest_ball


def row(attack, norm="linf", epsilon=0.1):
    return {"attack": attack, "norm": norm, "epsilon": epsilon}


@pytest.mark.parametrize(
    ("rows", "chosen"),
    [
        ([], []),
        ([row("carlini_wagner", "l2", None)], []),
        ([row("fgsm"), row("pgd"), row("square")], ["fgsm", "pgd", "square"]),
        ([row("fgsm"), row("pgd", epsilon=0.2)], ["pgd"]),
        ([row("pgd"), row("apgd", "l2", 1.5), row("one_pixel", "l0", 1)], ["pgd"]),
        ([row("fgsm", "l2", 0.5), row("apgd", "l2", 1.5)], ["apgd"]),
        ([row("pgd"), row("carlini_wagner", "l2", None), row("worst_case")], ["pgd"]),
    ],
)
def test_the_largest_ball_of_the_sup_norm_is_counted_or_else_of_another(rows, chosen):
    found = largest_ball(rows)
    assert [one["attack"] for one in found] == chosen
    assert len({(one["norm"], one["epsilon"]) for one in found}) <= 1


def test_an_image_counts_if_it_was_classified_correctly_every_time():
    correct, fooled = fooled_by_any(
        [
            ([True, True, True, False], [True, False, False, False]),
            ([True, True, False, True], [False, False, True, True]),
        ]
    )
    assert correct.tolist() == [True, True, False, False]
    assert fooled.tolist() == [True, False, False, False]
