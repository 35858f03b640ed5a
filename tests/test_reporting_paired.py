"""Intervals over seeds, and the paired test: held to closed forms and to scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from qshield_qiskit.intervals import t_interval
from qshield_qiskit.reporting.paired import compare_pairs, holm, sign_flip_p


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_the_interval_over_seeds_is_students(values):
    if np.ptp(values) < 1e-9:
        return
    expected = stats.t.interval(
        0.95, len(values) - 1, np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))
    )
    assert t_interval(values) == pytest.approx(expected)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 10))
def test_one_seed_gives_mcnemars_exact_test(first_only, second_only, ties):
    differences = np.array([1] * first_only + [-1] * second_only + [0] * ties)
    discordant = first_only + second_only
    expected = stats.binomtest(first_only, discordant).pvalue if discordant else 1.0
    assert sign_flip_p(differences) == pytest.approx(expected)


@given(st.lists(st.integers(-3, 3), min_size=2, max_size=9))
def test_several_seeds_give_the_exact_permutation_test_over_images(differences):
    ours, theirs = np.maximum(differences, 0), np.maximum(np.negative(differences), 0)
    expected = stats.permutation_test(
        (ours, theirs),
        lambda one, other: abs(np.sum(one) - np.sum(other)),
        permutation_type="samples",  # swaps the two of a pair
        n_resamples=np.inf,
        alternative="greater",
        vectorized=False,
    )
    assert sign_flip_p(np.array(differences)) == pytest.approx(expected.pvalue)


def test_an_image_counts_once_however_many_seeds_saw_it():
    both = np.ones(6, bool)
    lost, kept = np.array([1, 1, 1, 1, 1, 0], bool), np.zeros(6, bool)
    one = compare_pairs([(both, lost, kept)])
    three = compare_pairs([(both, lost, kept)] * 3)
    assert one.p == pytest.approx(2 / 2**5)
    assert three.p == pytest.approx(one.p)  # three times the same is no more evidence about images
    assert (three.first_only, three.images, three.seeds) == (15, 18, 3)
    assert one.interval is None
    assert three.interval == pytest.approx((5 / 6, 5 / 6))


def test_only_images_that_both_get_right_are_compared():
    both = np.array([1, 1, 0, 0], bool)
    found = compare_pairs([(both, np.array([1, 0, 1, 1], bool), np.array([0, 0, 0, 0], bool))])
    assert (found.first_only, found.second_only, found.images) == (1, 0, 2)
    assert found.difference == pytest.approx(0.5)
    assert compare_pairs([(~both & both, both, both)]) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holms_correction_is_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
