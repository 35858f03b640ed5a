"""What the tables of a sweep are made of: one figure a seed, each ball for itself, and only what belongs together."""

from __future__ import annotations

import json

import numpy as np
import pytest
from robust_run import write_run

from qshield_qiskit.config import load_settings
from qshield_qiskit.reporting.paper.ours import Ours
from qshield_qiskit.reporting.sweep_folder import RUNS, SweepFolder
from qshield_qiskit.reporting.sweep_lines import WORST_CASE, Line, attacks_of
from qshield_qiskit.reporting.sweep_results import SCHEMA, gather
from qshield_qiskit.reporting.sweep_table import sheets


def row(attack, asr, *, epsilon=0.1, norm="linf", seed=0, group="g", model="CNN", weak=None, **choices):
    name = json.dumps({"model": model, **choices})
    given = {
        "sweep": "s", "cell": model, "digest": f"{name} {seed}", "choices": name, "state": "done", "dataset": "mnist",
        "line": name, "twin": name, "branch": "none", "model": "cnn", "seed": seed, "odr": 0.9, "group": group,
        "attack": attack, "norm": norm, "epsilon": epsilon, "asr": asr, "asr_own": asr, "n": 10, "common_images": 9,
        "weak": weak, "threads": 1,
    }  # fmt: skip
    return dict.fromkeys(SCHEMA.names) | given


def table(rows):
    return next(sheet for sheet in sheets(rows) if sheet.title.startswith("ASR"))


def test_radii_are_columns_and_no_seeds():
    rows = [row("pgd", asr, epsilon=epsilon) for epsilon, asr in ((0.1, 0.2), (0.2, 0.6))]
    rows += [row("pgd", asr, epsilon=epsilon, seed=1) for epsilon, asr in ((0.1, 0.4), (0.2, 0.8))]
    sheet = table([*rows, row(WORST_CASE, 0.6, epsilon=0.2), row(WORST_CASE, 0.8, epsilon=0.2, seed=1)])
    assert sheet.headings == ["", "PGD, L∞ ≤ 0.1", "PGD, L∞ ≤ 0.2", "Worst case, L∞ ≤ 0.2"]
    assert [cell.partition(" ")[0] for cell in sheet.rows[0][1:]] == ["30.0", "70.0", "70.0"]
    assert sheet.title == "ASR %, attacks g"
    largest = Line("CNN", rows).attacks("g", "pgd")
    assert [(found["seed"], found["epsilon"]) for found in largest] == [(0, 0.2), (1, 0.2)]


@pytest.mark.parametrize(
    ("norm", "epsilon", "title", "heading"),
    [
        ("linf", 8 / 255, "ASR %, attacks g, L∞ ≤ 8/255", "APGD"),
        ("l2", 0.6, "ASR %, attacks g, L2 ≤ 0.6", "APGD"),
        ("l0", None, "ASR %, attacks g", "APGD, minimum L0"),
    ],
)
def test_a_table_says_which_ball_it_is_of(norm, epsilon, title, heading):
    sheet = table([row("apgd", 0.5, norm=norm, epsilon=epsilon)])
    assert (sheet.title, sheet.headings[1]) == (title, heading)


def test_two_attacks_of_one_name_are_told_apart():
    rows = [row("cw_l2", 1.0, norm="l2", epsilon=None), row("cw_linf", 1.0, epsilon=None), row("fgsm", 0.1)]
    assert table(rows).headings[1:] == ["C&W, minimum L2", "C&W, minimum L∞", "FGSM"]
    assert len(attacks_of(rows, "g")) == 3


def test_a_star_is_explained_by_its_own_reason():
    sheet = table([row("square", 0.2, weak="attack.max_queries=500 is spent; go on with a larger one")])
    assert sheet.headings[1] == "Square *"
    assert sheet.notes == ["* Square is too weak: attack.max_queries=500 is spent; go on with a larger one."]


def test_the_papers_tables_never_mix_two_models_of_a_name():
    rows = [row("pgd", 0.9, training="Standard"), row("pgd", 0.1, training="PGD")]
    parts = {ours.part: ours for ours in Ours.parts(rows, "qshield sweep x")}
    assert set(parts) == {"Standard", "PGD"}
    assert parts["PGD"].attacks("g", "pgd")("CNN") == [0.1]
    assert parts["PGD"].title("MNIST") == "MNIST; here: PGD"
    assert [ours.part for ours in Ours.parts([row("pgd", 0.5, seed=seed) for seed in (0, 1)], "c")] == [""]


def test_a_run_that_was_killed_as_it_was_made_is_passed_over(tmp_path):
    sweep = SweepFolder(tmp_path)
    for name in ("20260101-000000-0-abc", "20260102-000000-0-abc"):
        (tmp_path / RUNS / name).mkdir(parents=True)
    assert sweep.run("abc") is None
    (tmp_path / RUNS / "20260102-000000-0-abc" / "config.yaml").write_text("seed: 0\n")
    assert sweep.run("abc").path.name == "20260102-000000-0-abc"


def test_images_of_a_targeted_class_stay_common_to_the_untargeted_attacks(tmp_path):
    sweep = SweepFolder(tmp_path)
    run = write_run(tmp_path / RUNS / "a", [("pgd", "linf", 0.1, 0.5), ("fgsm", "linf", 0.1, 0.5)])
    metrics = json.loads((run / "metrics.json").read_text())
    metrics |= dict.fromkeys(("train_accuracy", "train_seconds", "inference_seconds"), 1.0)
    (run / "metrics.json").write_text(json.dumps(metrics))
    free, targeted = json.loads((run / "robustness.json").read_text())
    with np.load(run / targeted["outcomes"]) as stored:
        arrays = dict(stored)
    elsewhere = arrays["correct"] & (arrays["label"] != 3)
    np.savez(run / targeted["outcomes"], **(arrays | {"correct": elsewhere}))
    settings = load_settings("digits").model_dump(mode="json")
    cell = {"digest": "d", "label": "c", "settings": settings, "choices": {}, "twin": "t", "line": "l"}
    sweep.write_plan({"name": "s", "command": "qshield sweep s", "cells": [cell]})
    rows = {"free": [free], "targeted": [targeted | {"target": "3"}]}
    sweep.write_record("d", {"state": "done", "run": f"{RUNS}/a", "rows": rows})
    found = {(row["group"], row["target"]): row["common_images"] for row in gather(sweep)}
    assert found == {("free", None): arrays["correct"].sum(), ("targeted", "3"): elsewhere.sum()}
    assert arrays["correct"].sum() > elsewhere.sum()
