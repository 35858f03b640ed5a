"""Unseen attacks: the choice is made without them, and on other images than the trial."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from qshield_qiskit.cli import app
from qshield_qiskit.errors import InputError
from qshield_qiskit.studies.unseen import hold_out_each, table


def row(defence, attack, fooled, *, kind=None, correct=None, seed=0, group=None):
    fooled = np.asarray(fooled, bool)
    correct = np.ones(len(fooled), bool) if correct is None else np.asarray(correct, bool)
    return {
        "digest": f"{defence}-{seed}",
        "choices": json.dumps({"defence": defence, "seed": str(seed)}),
        "defence": kind or defence,
        "seed": seed,
        "group": group or attack,
        "attack": attack,
        "n": len(fooled),
        "correct_by_image": correct.tolist(),
        "fooled_by_image": (fooled & correct).tolist(),
    }


ALL, NO = [1] * 8, [0] * 8
EVEN, ODD = [1, 0] * 4, [0, 1] * 4


def test_a_defence_is_chosen_without_the_attack_and_tried_on_other_images():
    rows = [
        *(row("none", name, ALL) for name in ("square", "mim", "pgd")),
        row("noise", "square", NO),
        row("noise", "mim", NO),
        row("noise", "pgd", ODD),
        row("trades", "square", [1, 0, 0, 0] * 2),
        row("trades", "mim", [1, 0, 0, 0] * 2),
        row("trades", "pgd", NO),
    ]
    found = {trial.attack: trial for trial in hold_out_each(rows)}
    # On the even images noise is never fooled, so it is chosen whatever is held out; on the odd ones PGD fools it.
    assert {trial.unseen for trial in found.values()} == {"noise"}
    assert found["pgd"].asr_unseen == found["pgd"].asr_seen == 1.0
    assert found["square"].asr_unseen == 0.0
    assert found["square"].asr_undefended == 1.0


def test_an_attack_held_out_has_no_say_in_the_choice():
    rows = [
        row("noise", "square", NO),
        row("noise", "mim", ALL),
        row("trades", "square", EVEN),
        row("trades", "mim", NO),
    ]
    found = {trial.attack: trial for trial in hold_out_each(rows)}
    assert (found["mim"].unseen, found["mim"].asr_unseen) == ("noise", 1.0)
    assert (found["square"].unseen, found["square"].asr_unseen) == ("trades", 0.0)


def test_what_a_training_consists_of_is_not_unseen_to_it():
    rows = [
        *(row("none", name, ALL) for name in ("pgd", "fgsm")),
        *(row("pgd 0.1", name, NO, kind="pgd") for name in ("pgd", "fgsm")),
        *(row("fast", name, EVEN) for name in ("pgd", "fgsm")),
    ]
    found = {trial.attack: trial for trial in hold_out_each(rows)}
    assert found["pgd"].unseen in {"none", "fast"}
    assert found["fgsm"].unseen == "pgd 0.1"
    assert {trial.seen for trial in found.values()} == {"pgd 0.1"}


def test_where_every_defence_consists_of_the_attack_the_study_says_so():
    rows = [row(name, "pgd", NO, kind="pgd") for name in ("16/255", "32/255")]
    rows += [row(name, "square", NO, kind="pgd") for name in ("16/255", "32/255")]
    with pytest.raises(InputError, match="attack pgd: every defence here is trained with it"):
        hold_out_each(rows)


def test_clean_accuracy_counts_in_the_choice():
    dull = [0, 0, 0, 0, 0, 0, 1, 1]
    rows = [row("noise", name, NO, correct=dull) for name in ("square", "mim")]
    rows += [row("trades", name, [1, 0, 0, 0, 0, 0, 0, 0]) for name in ("square", "mim")]
    assert {trial.unseen for trial in hold_out_each(rows)} == {"trades"}


def test_the_table_has_the_gap_and_its_interval_over_seeds():
    rows = [
        each
        for seed in (0, 1)
        for each in (
            row("noise", "square", NO, seed=seed),
            row("noise", "mim", ALL, seed=seed),
            row("trades", "square", [1] + [0] * 7, seed=seed),
            row("trades", "mim", NO, seed=seed),
        )
    ]
    sheet = table(hold_out_each(rows), rows)
    by_attack = {cells[0]: cells for cells in sheet.rows}
    assert by_attack["mim"][2:6] == ["100.0 ± 0.0", "0.0 ± 0.0", "+100.0", "+100.0 to +100.0"]
    with pytest.raises(InputError, match="1 defences and 2 attacks"):
        hold_out_each(rows[:2])


def test_the_study_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = [
        *("model.backbone=mlp", "model.branch=none", "data.train_images=200", "training.epochs=3", "seed=0"),
        *("attack.images=20", "defence=none,pgd 32/255"),
        "sweep.attacks={FGSM: [attack=fgsm], PGD: [attack=pgd, attack.options.steps=10]}",
    ]
    shown = CliRunner().invoke(app, ["study", "unseen", *small, "--json"])
    assert shown.exit_code == 0, shown.output
    facts = json.loads(shown.stdout)
    trials = {trial["attack"]: trial for trial in facts["trials"]}
    assert trials["PGD"]["unseen"] == "none"  # the other is trained by it
    assert trials["PGD"]["asr_unseen"] == trials["PGD"]["asr_undefended"]
    assert all(0 <= trial["asr_seen"] <= 1 for trial in trials.values())
    assert "| FGSM |" in (tmp_path / "runs/sweeps/unseen/unseen.md").read_text()
