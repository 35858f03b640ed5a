"""Reading what attacks left, and the arithmetic of comparing models, against tables worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from robust_run import WORST, write_run

from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.comparison import (
    Share,
    compare,
    curves,
    main_epsilons,
    own_share,
    subjects,
)
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.robustness import Key, read_run


def run_of(path, rows):
    """A run from tables: attack, norm, epsilon, and for each image (index, correct, fooled)."""
    write_run(path, [(*row[:3], 0.5) for row in rows], n=4)
    items = json.loads((path / "robustness.json").read_text())
    for item, (*_, table) in zip(items, rows, strict=True):
        index, correct, fooled = np.array(table).T
        nothing = np.full(len(index), np.nan, np.float32)
        np.savez(
            path / item["outcomes"],
            index=index,
            correct=correct.astype(bool),
            fooled=fooled.astype(bool),
            l0=nothing,
            l2=nothing,
            linf=nothing,
        )
        item |= {"n": len(index), "attacked": int(correct.sum()), "fooled": int(fooled.sum())}
    (path / "robustness.json").write_text(json.dumps(items))
    return read_run(RunFolder(path))


def test_reading(tmp_path):
    run = read_run(RunFolder(write_run(tmp_path / "digits" / "now-0", n=40)), "what it is")
    assert run.name == "digits/now-0"
    assert run.own_backend == "aer_noisy"
    assert run.verdict["verdict"] == "no masking detected"
    for row in run.rows:
        assert row.outcomes.fooled.sum() == row.figures["fooled"]
        assert row.outcomes.correct.sum() == row.figures["attacked"]
        assert row.examples is None or row.examples.clean.shape == row.examples.adversarial.shape


def test_a_single_model_is_judged_on_its_own_images(tmp_path):
    table = [(0, 1, 1), (1, 1, 0), (2, 0, 0), (3, 1, 1)]
    models = subjects([run_of(tmp_path / "a", [("pgd", "linf", 0.1, table)])])
    assert [model.label for model in models] == [""]
    assert compare(models)[0].shares == (Share(2, 3),)


def test_asr_on_common_images(tmp_path):
    first = run_of(
        tmp_path / "a",
        [
            ("pgd", "linf", 0.1, [(0, 1, 1), (1, 1, 0), (2, 0, 0), (3, 1, 1), (5, 1, 1)]),
            ("fgsm", "linf", 0.1, [(0, 1, 0)]),
        ],
    )
    second = run_of(
        tmp_path / "b", [("pgd", "linf", 0.1, [(3, 1, 0), (2, 1, 1), (1, 1, 1), (0, 0, 0), (7, 1, 1)])]
    )
    compared = {attack.key.attack: attack.shares for attack in compare(subjects([first, second]))}
    # Both classify images 1 and 3 correctly: the first loses 3, the second 1.
    assert compared["pgd"] == (Share(1, 2), Share(1, 2))
    assert compared["fgsm"] == (Share(0, 1), None)


def test_models_without_a_common_image(tmp_path):
    first = run_of(tmp_path / "a", [("pgd", "linf", 0.1, [(0, 1, 1)])])
    second = run_of(tmp_path / "b", [("pgd", "linf", 0.1, [(1, 1, 1)])])
    assert compare(subjects([first, second]))[0].shares == (Share(0, 0), Share(0, 0))
    assert (Share(0, 0).low, Share(0, 0).high) == (0, 1)


def test_other_radii_and_norms_are_not_compared(tmp_path):
    first = run_of(tmp_path / "a", [("pgd", "linf", 0.1, [(0, 1, 1)])])
    second = run_of(tmp_path / "b", [("pgd", "linf", 0.2, [(0, 1, 1)]), ("pgd", "l2", 0.1, [(0, 1, 1)])])
    assert [attack.shares.count(None) for attack in compare(subjects([first, second]))] == [1, 1, 1]


def test_the_most_successful_of_several_ways_stands_for_an_attack(tmp_path):
    run = run_of(tmp_path / "a", [("pgd", "linf", 0.1, [(0, 1, 1), (1, 1, 0)])])
    weaker = dict(run.rows[0].figures) | {"fooled": 0, "parameters": {"steps": 1}}
    rows = [weaker, dict(run.rows[0].figures), weaker]
    (tmp_path / "a" / "robustness.json").write_text(json.dumps(rows))
    (model,) = subjects([read_run(RunFolder(tmp_path / "a"))])
    assert [own_share(row) for row in model.strongest.values()] == [Share(1, 2)]


def test_each_backend_is_a_model_of_its_own_and_the_verdict_is_about_the_trained_one(tmp_path):
    write_run(tmp_path / "a", WORST)
    items = json.loads((tmp_path / "a" / "robustness.json").read_text())
    items.append(items[0] | {"backend": "aer_ideal"})
    (tmp_path / "a" / "robustness.json").write_text(json.dumps(items))
    own, other = subjects([read_run(RunFolder(tmp_path / "a"))])
    assert (own.backend, other.backend) == ("aer_noisy", "aer_ideal")
    assert (own.verdict_words, other.verdict_words) == ("no masking detected within 0.1", "no verdict yet")


def test_curves_share_their_images_and_begin_at_clean_accuracy(tmp_path):
    rows = [
        ("pgd", "linf", 0.2, [(0, 1, 1), (1, 1, 1), (2, 0, 0)]),
        ("pgd", "linf", 0.1, [(0, 1, 0), (1, 1, 1), (2, 0, 0), (3, 1, 0)]),
        ("fgsm", "linf", 0.1, [(0, 1, 0)]),
    ]
    (curve,) = curves(subjects([run_of(tmp_path / "a", rows)]))  # one radius is no curve
    assert curve.epsilons == (0.0, 0.1, 0.2)
    assert curve.shares == (Share(2, 3), Share(1, 3), Share(0, 3))


def test_a_worst_case_of_other_attacks_is_no_point_of_the_same_curve(tmp_path):
    rows = [("worst_case", "linf", epsilon, [(0, 1, 0), (1, 1, 1)]) for epsilon in (0.1, 0.2, 0.3, 0.4)]
    run_of(tmp_path / "a", rows)
    items = json.loads((tmp_path / "a" / "robustness.json").read_text())
    members = [["pgd", "fgsm"], ["fgsm", "pgd", "pgd"], ["pgd"], ["apgd", "fgsm", "pgd"]]
    items = [
        item | {"parameters": {"attacks": attacks}} for item, attacks in zip(items, members, strict=True)
    ]
    (tmp_path / "a" / "robustness.json").write_text(json.dumps(items))
    (curve,) = curves(subjects([read_run(RunFolder(tmp_path / "a"))]))
    assert curve.epsilons == (0.0, 0.1, 0.2)


def test_fewer_images_of_a_test_set_are_the_first_ones_of_more(tmp_path):
    first = run_of(tmp_path / "a", [("pgd", "linf", 0.1, [(0, 1, 1), (1, 1, 0), (2, 1, 1)])])
    run_of(tmp_path / "b", [("pgd", "linf", 0.1, [(0, 1, 0), (1, 1, 1)])])
    (row,) = json.loads((tmp_path / "b" / "robustness.json").read_text())
    (tmp_path / "b" / "robustness.json").write_text(json.dumps([row | {"image_set": "89abcdef"}]))
    second = read_run(RunFolder(tmp_path / "b"))
    assert compare(subjects([first, second]))[0].shares == (Share(1, 2), Share(1, 2))


def test_worst_cases_of_other_attacks_are_not_compared(tmp_path):
    members = {"a": ["pgd", "fgsm"], "b": ["fgsm", "pgd"], "c": ["apgd", "square"]}
    for name, attacks in members.items():
        run_of(tmp_path / name, [("worst_case", "linf", 0.1, [(0, 1, 1)])])
        (row,) = json.loads((tmp_path / name / "robustness.json").read_text())
        row |= {"parameters": {"attacks": attacks}}
        (tmp_path / name / "robustness.json").write_text(json.dumps([row]))
    models = subjects([read_run(RunFolder(tmp_path / name)) for name in members])
    same, other = compare(models)
    assert (same.shares, other.shares) == ((Share(1, 1), Share(1, 1), None), (None, None, Share(1, 1)))
    assert [same.title, other.title] == [
        "Worst case, L∞ ≤ 0.1, of FGSM and PGD",
        "Worst case, L∞ ≤ 0.1, of APGD and Square",
    ]
    assert [attack.title for attack in compare(models[:2])] == ["Worst case, L∞ ≤ 0.1"]


def test_the_main_radius_is_the_verdicts(tmp_path):
    attacks = [("pgd", "linf", e, 0.5) for e in (0.05, 0.1, 0.3)] + [("fgsm", "linf", 0.3, 0.5)]
    judged = read_run(RunFolder(write_run(tmp_path / "a", attacks)))
    unjudged = read_run(RunFolder(write_run(tmp_path / "b", attacks, verdict=None)))
    assert main_epsilons(subjects([judged])) == {"linf": 0.1}
    assert main_epsilons(subjects([unjudged])) == {"linf": 0.3}


def test_a_worst_case_comes_last_in_its_ball():
    keys = [
        Key(attack, norm, epsilon, None, False)
        for attack, norm, epsilon in [
            ("cw", "l2", None),
            ("worst_case", "linf", 0.1),
            ("pgd", "l2", 1.0),
            ("pgd", "linf", 0.2),
            ("pgd", "linf", 0.1),
        ]
    ]
    titles = [key.title for key in sorted(keys, key=Key.place)]
    assert titles == [
        "PGD, L∞ ≤ 0.1",
        "Worst case, L∞ ≤ 0.1",
        "PGD, L∞ ≤ 0.2",
        "PGD, L2 ≤ 1",
        "C&W, minimum L2",
    ]


def test_missing_outcomes_leave_a_comparison_but_not_the_run(tmp_path):
    run = read_run(RunFolder(write_run(tmp_path / "a", WORST)))
    (tmp_path / "a" / run.rows[0].figures["outcomes"]).unlink()
    other = read_run(RunFolder(write_run(tmp_path / "b", WORST)))
    shares = compare(subjects([run, other]))[0].shares
    assert shares[0] is None and shares[1].n > 0
    assert compare(subjects([run]))[0].shares[0].n > 0


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: (path / "robustness.json").unlink(), "make it with: qshield attack"),
        (lambda path: (path / "robustness.json").write_text("[{"), "damaged"),
        (lambda path: (path / "robustness.json").write_text("[]"), "no rows"),
        (lambda path: (path / "robustness.json").write_text('[{"attack": "pgd"}]'), "without norm"),
        (lambda path: (path / "verdict.json").write_text("{"), "qshield verdict"),
    ],
)
def test_missing_and_damaged_files_say_what_to_type(tmp_path, spoil, says):
    path = write_run(tmp_path / "a", WORST)
    spoil(path)
    with pytest.raises(InputError, match=says):
        read_run(RunFolder(path))


@pytest.mark.parametrize("pickled", [False, True])
def test_damaged_outcomes_are_wrong_input_and_never_unpickled(tmp_path, pickled):
    run = read_run(RunFolder(write_run(tmp_path / "a", WORST)))
    path = tmp_path / "a" / run.rows[0].figures["outcomes"]
    if pickled:
        np.savez(path, index=np.array([{}], dtype=object))
    else:
        path.write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(InputError, match="make it anew with: qshield attack"):
        assert run.rows[0].outcomes
