"""The paper's tables beside ours, and a sweep's own: every figure where it belongs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from qshield_qiskit import catalog
from qshield_qiskit.cli import app
from qshield_qiskit.config.defence import number
from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.paper.claims import claims_sheet
from qshield_qiskit.reporting.paper.ours import Ours
from qshield_qiskit.reporting.paper.published import content, published
from qshield_qiskit.reporting.paper.tables import paper_sheets
from qshield_qiskit.reporting.sheet import Sheet
from qshield_qiskit.reporting.sweep_lines import compare_with_twins
from qshield_qiskit.reporting.sweep_results import SCHEMA, from_parquet, to_parquet
from qshield_qiskit.reporting.sweep_table import sheets
from qshield_qiskit.robustness.attacks import choose
from qshield_qiskit.sweeps.grid import expand

MODELS = ["DNN", "CNN", "HQCNN-None", "HQCNN-Linear", "HQCNN-Star", "HQCNN-Full"]
ATTACKS = ["fgsm", "pgd", "apgd", "vmi_fgsm", "cw_l2", "deepfool", "one_pixel", "square"]
DATASETS = ["mnist", "organamnist", "cifar10"]


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_published_figure_is_there(dataset):
    paper = published(dataset)
    assert list(paper.models) == MODELS
    assert list(paper.attacks) == ATTACKS
    for model in paper.models.values():
        assert list(model["asr"]) == list(model["attack_seconds"]) == ATTACKS
        assert all(
            0 <= share <= 1 for share in (*model["asr"].values(), model["odr"], model["train_accuracy"])
        )
    assert "2604.10933" in content()["source"]


@pytest.mark.parametrize("dataset", DATASETS)
def test_our_grids_are_the_papers_models_attacks_and_radius(dataset):
    paper = published(dataset)
    _, cells = expand(f"paper/{dataset}", ["seed=0"])
    assert [cell.choices["model"] for cell in cells] == MODELS
    for cell in cells:
        attack = cell.settings.attack
        assert max(attack.radii()) == pytest.approx(number(paper.epsilon))
        options = dict(
            word.removeprefix("attack.options.").split("=")
            for word in cell.attacks["paper"]
            if "options" in word
        )
        chosen = choose("paper", attack.preset, {k: int(v) for k, v in options.items()}, 10)
        assert list(chosen) == ATTACKS
        for name, parameters in paper.attacks.items():
            ours = chosen[name].model_dump()
            for key, value in parameters.items():
                known = number(value)
                assert ours.get(key, known) == pytest.approx(known), (name, key)


def test_the_papers_own_figures_bear_out_the_largest_claim_and_not_the_cheapest():
    rows = {row[0]: row[1] for row in claims_sheet(published("cifar10"), Ours([], "")).rows}
    assert "-95.71 %: square, HQCNN-Linear" in rows["ASR down by up to 95.71 % on CIFAR-10"]
    assert "99.06 %" in rows["ODR 99.06 % on MNIST"]
    assert "85,338 s" in rows["adversarial example generation up to 85,000 s"]
    assert "+3,457 %" in rows["attack cost + 35 %"]  # 35.6 times the CNN's


def row(model, attack, group="paper", seed=0, *, fooled, seconds=1.0, branch="none", correct=None, **more):
    fooled = np.asarray(fooled, bool)
    correct = np.ones(len(fooled), bool) if correct is None else np.asarray(correct, bool)
    shares = {"asr": fooled[correct].mean(), "asr_own": fooled[correct].mean()}
    return dict.fromkeys(SCHEMA.names) | {
        "sweep": "paper/mnist",
        "cell": f"{model}, seed {seed}",
        "digest": f"{model}{seed}",
        "choices": json.dumps({"model": model, "seed": str(seed)}),
        "state": "done",
        "dataset": "mnist",
        "model": model,
        "branch": branch,
        "twin": "a",
        "line": model,
        "seed": seed,
        "threads": 1,
        "odr": 0.9 + 0.01 * seed,
        "train_seconds": 9.0,
        "inference_seconds": 1.0,
        "verdict": "suspect" if seed else "no masking detected",
        "group": group,
        "attack": attack,
        "epsilon": 0.125,
        "n": len(fooled),
        "image_set": "x",
        "attacked": int(correct.sum()),
        "fooled": int(fooled.sum()),
        "common_images": int(correct.sum()),
        "seconds": seconds,
        "correct_by_image": correct.tolist(),
        "fooled_by_image": (fooled & correct).tolist(),
        **shares,
        **more,
    }


def cells(sheet: Sheet, label: str, part: str) -> list[str]:
    """Find a row by its label below the heading of a part."""
    place = next(position for position, heading in sheet.parts.items() if heading.startswith(part))
    return next(list(cells) for cells in sheet.rows[place:] if cells[0] == label)


def test_ours_stand_beside_the_papers():
    ours = Ours(
        [
            row("CNN", "square", fooled=[1, 1, 0, 0], seconds=2.0),
            row("CNN", "square", seed=1, fooled=[1, 0, 0, 0], seconds=4.0),
            row("HQCNN-Full", "square", fooled=[1, 0, 0, 0], seconds=6.0, weak="its steps"),
            row("HQCNN-Full", "square", "full strength", fooled=[1, 1, 1, 1], seconds=9.0),
        ],
        "",
    )
    accuracy, attacks, cost, claims = paper_sheets(published("mnist"), ours)
    assert cells(accuracy, "published", "Clean")[1:3] == ["97.1", "99.2"]
    assert cells(accuracy, "ours", "Clean")[2] == "90.5 ± 6.4"  # half of 12.7 x 0.01 / sqrt 2 x sqrt 2
    assert cells(accuracy, "ours", "Cost")[2] == "10.0"
    assert cells(attacks, "ours, its parameters", "Square *") == [
        "ours, its parameters",
        "",
        "37.5 ± 158.8",
        "",
        "",
        "",
        "25.0",
    ]
    assert cells(attacks, "ours, full strength", "Square")[6] == "100.0"
    assert cells(attacks, "published", "Square")[6] == "5.7"
    assert cells(cost, "Square", "Seconds for the attack, ours")[2] == "3.00"
    assert cells(cost, "Square", "Relative to the CNN of the same run, ours")[6] == "2.00"
    assert cells(cost, "Square", "Relative to the CNN of the same run, published")[6] == "246.83"
    claimed = {cells[0]: cells[2:] for cells in claims.rows}
    assert claimed["ODR 99.06 % on MNIST"][0] == "90.00 % (CNN 90.50 %)"
    assert claimed["ODR 79.59 % on CIFAR-10"] == ["", ""]
    assert claimed["ASR down by up to 95.71 % on CIFAR-10"][0] == "MNIST: -33.33 %: square, HQCNN-Full"
    of_cifar = {cells[0]: cells[2:] for cells in claims_sheet(published("cifar10"), ours).rows}
    assert of_cifar["ASR down by up to 95.71 % on CIFAR-10"][0] == "-33.33 %: square, HQCNN-Full"
    assert of_cifar["ODR 99.06 % on MNIST"] == ["", ""]


def test_the_notes_say_what_ours_are_of():
    bounded = [row("CNN", "mim", "full strength", fooled=[1, 0], defence="pgd")]
    minimal = [row("CNN", "cw_linf", "full strength", fooled=[1, 1], defence="none", epsilon=None)]
    accuracy, attacks, *_ = paper_sheets(published("mnist"), Ours([*bounded, *minimal], ""))
    assert "Full strength also runs MIM: part of the worst case." in attacks.notes
    assert any(
        "Ours were trained with defence none or pgd, the paper's with none" in note for note in accuracy.notes
    )
    accuracy, *_ = paper_sheets(published("mnist"), Ours(minimal, ""))
    assert any("None was trained with a defence." in note for note in accuracy.notes)


def test_a_claim_says_nothing_of_a_group_that_was_not_run():
    ours = Ours([row(model, "square", fooled=[1, 0]) for model in ("CNN", "HQCNN-Full")], "")
    claimed = {cells[0]: cells[2:] for cells in claims_sheet(published("mnist"), ours).rows}
    assert claimed["ODR 99.06 % on MNIST"] == ["90.00 % (CNN 90.00 %)", ""]


def test_the_worst_verdict_over_seeds_stands_under_both_columns():
    rows = [
        row("CNN", "worst_case", group, seed, fooled=[1, 0])
        for group in ("paper", "full strength")
        for seed in (0, 1)
    ]
    _, attacks, _, _ = paper_sheets(published("mnist"), Ours(rows, ""))
    verdicts = [cells for cells in attacks.rows if cells[0] == "verdict on it"]
    assert [cells[2] for cells in verdicts] == ["suspect", "suspect"]


def test_without_a_sweep_the_paper_stands_alone_and_says_how_to_join_it():
    accuracy, attacks, _, _ = paper_sheets(
        published("organamnist"), Ours([], "qshield sweep paper/organamnist")
    )
    assert "make them with: qshield sweep paper/organamnist" in " ".join(accuracy.notes)
    assert {cells[0] for cells in attacks.rows} == {"published"}


def test_hybrids_are_held_against_the_twin_of_their_seed():
    twin = [row("CNN", "worst_case", seed=seed, fooled=[1, 1, 1, 0, 0, 0, 0, 0]) for seed in (0, 1)]
    correct = [1, 1, 1, 1, 1, 1, 1, 0]
    hybrid = [
        row(
            "HQCNN",
            "worst_case",
            seed=seed,
            fooled=[0, 0, 0, 0, 0, 0, 1, 1],
            correct=correct,
            branch="circuit",
        )
        for seed in (0, 1)
    ]
    ((line, other, group, found),) = compare_with_twins([*twin, *hybrid])
    assert (line.label, other.label, group, found.seeds, found.images) == ("HQCNN", "CNN", "paper", 2, 14)
    assert (found.first_only, found.second_only) == (2, 6)
    assert found.difference == pytest.approx((1 - 3) / 7)
    assert found.p == pytest.approx(stats.binomtest(1, 4).pvalue)
    titles = [sheet.title for sheet in sheets([*twin, *hybrid])]
    assert "Second branch against none" in titles


def test_rows_survive_parquet(tmp_path):
    rows = [row("CNN", "square", fooled=[1, 0], failed_checks=["budget"])]
    (tmp_path / "r.parquet").write_bytes(to_parquet(rows))
    assert from_parquet(tmp_path / "r.parquet") == rows
    (tmp_path / "r.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"^[^\n]*not a readable Parquet file[^\n]*$"):
        from_parquet(tmp_path / "r.parquet")


def test_a_sheet_in_markdown_and_html_escapes_what_it_shows():
    sheet = Sheet("T", ["", "a|b"], [["<x>", "1"]], ["* n & m"], parts={0: "p"})
    assert "a\\|b" in sheet.to_markdown() and "\n\\* n & m\n" in sheet.to_markdown()
    assert "&lt;x&gt;" in sheet.to_html() and "* n &amp; m" in sheet.to_html()


def test_the_report_of_the_paper_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, ["report", "--paper", "cifar10", "--output", "paper.html"])
    assert shown.exit_code == 0, shown.output
    assert "79.6" in shown.stdout and "-95.71 %" in shown.stdout
    assert "<h1>" in (tmp_path / "paper.html").read_text()
    assert "| published |" in (tmp_path / "paper.md").read_text()
    wrong = CliRunner().invoke(app, ["report", "--paper", "svhn"])
    assert wrong.exit_code == 2
    assert "mnist" in wrong.stderr
    assert not any(catalog.find("experiments")[name].origin == "here" for name in ("paper/mnist",))
