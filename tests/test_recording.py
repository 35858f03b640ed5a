"""Worst cases: which attacks are counted together, and what of theirs counts."""

from __future__ import annotations

import numpy as np
import pytest

from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.recording import (
    BALL,
    fooled_by_any,
    largest_ball,
    put_row,
    put_worst_cases,
    read_outcome,
    write_arrays,
)


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


def test_a_weaker_attack_that_comes_later_takes_nothing_from_the_worst_case(tmp_path):
    folder = RunFolder(tmp_path)

    def attack_with(steps, fooled, image_set="ab"):
        outcome = f"outcomes/pgd-{steps}-{image_set}.npz"
        count = len(fooled)
        arrays = {"index": np.arange(count), "label": np.zeros(count), "clean": np.zeros(count)}
        write_arrays(folder, outcome, arrays | {"correct": np.ones(count, bool), "fooled": np.array(fooled)})
        one = {**dict.fromkeys(BALL), **row("pgd"), "parameters": {"steps": steps}, "max_queries": None}
        costs = dict.fromkeys(("queries", "gradients", "seconds", "seconds_per_image"), 1.0)
        put_row(folder, one | costs | {"image_set": image_set, "outcomes": outcome})
        (worst,) = put_worst_cases(folder, [one | costs | {"image_set": image_set, "outcomes": outcome}])
        return worst["fooled"], worst["attacked"]

    assert attack_with(10, [True, True, True, False]) == (3, 4)
    assert attack_with(10, [True, True], image_set="cd") == (2, 2)  # replaces the row of the same parameters
    assert attack_with(1, [False, False, True, False]) == (3, 4)
    assert attack_with(2, [False, False, False, True]) == (4, 4)


def test_an_outcome_that_is_gone_is_missed_in_one_line(tmp_path):
    with pytest.raises(InputError, match=r"outcomes/a.npz: missing or damaged .*qshield attack"):
        read_outcome(RunFolder(tmp_path), {"outcomes": "outcomes/a.npz"})


def test_an_image_counts_if_it_was_classified_correctly_every_time():
    correct, fooled = fooled_by_any(
        [
            ([True, True, True, False], [True, False, False, False]),
            ([True, True, False, True], [False, False, True, True]),
        ]
    )
    assert correct.tolist() == [True, True, False, False]
    assert fooled.tolist() == [True, False, False, False]
