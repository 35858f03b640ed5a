"""Results that are kept: ASR on common images, the worst case of a preset, and the table for people."""

import json

import numpy as np
import pytest
from robust_run import write_run

from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.results import attack_commands, results, write_results
from qshield_qiskit.reporting.results_table import markdown, reporting
from qshield_qiskit.reporting.robustness import read_run


def attacked(path, **settings):
    write_run(path, **settings)
    rows = json.loads((path / "robustness.json").read_text())
    for row in rows:
        row["presets"] = ["paper", "standard"] if row["attack"] == "fgsm" else ["paper"]
        if row["epsilon"] not in {0.1, None}:
            row["presets"] = []
    (path / "robustness.json").write_text(json.dumps(rows))
    return read_run(RunFolder(path))


def arrays(run, attack):
    row = next(r for r in run.rows if r.figures["attack"] == attack and r.figures["epsilon"] in {0.1, None})
    return row.outcomes


def test_asr_is_on_the_images_that_every_model_classifies_correctly(tmp_path):
    first, second = attacked(tmp_path / "a", seed=0), attacked(tmp_path / "b", seed=1)
    items = [item for item in results([first, second], ["train a", "train b"]) if item["preset"] == "paper"]
    common = arrays(first, "pgd").correct & arrays(second, "pgd").correct
    assert [item["common_images"] for item in items] == [common.sum()] * 2
    for item, run in zip(items, (first, second), strict=True):
        for attack in ("fgsm", "pgd", "deepfool"):
            assert item["asr"][attack] == arrays(run, attack).fooled[common].mean()
        worst = arrays(run, "fgsm").fooled | arrays(run, "pgd").fooled  # deepfool has no ball
        assert item["worst_case_asr"] == pytest.approx(worst[common].mean())
        low, high = item["worst_case_interval"]
        assert low <= item["worst_case_asr"] <= high


def test_items_are_the_contract(tmp_path):
    items = results([attacked(tmp_path / "a", seed=3)], ["qshield train digits seed=3"])
    needed = "dataset model defence backend epsilon seed n odr asr worst_case_asr verdict command"
    for item in items:
        assert set(needed.split()) <= set(item)
        assert (item["dataset"], item["model"], item["seed"]) == ("digits", "hqcnn-full", 3)
        assert item["command"] == "qshield train digits seed=3"


def test_defences_are_told_apart(tmp_path):
    runs = [
        attacked(tmp_path / "none"),
        attacked(tmp_path / "pgd", dotted=["training.defence=pgd", "training.defence.epsilon=0.14"]),
    ]
    items = [item for item in results(runs, ["a", "b"]) if item["preset"] == "paper"]
    assert [item["defence"] for item in items] == ["none", "pgd"]
    assert "| | hqcnn-full, seed 0 | hqcnn-full by pgd, seed 0 |" in markdown("Digits", items)
    older = tmp_path / "older"
    config = attacked(older).config
    start, end = config.index("  defence:"), config.index("  patience:")
    (older / "config.yaml").write_text(config[:start] + config[end:])  # from before there were defences
    assert results([read_run(RunFolder(older))], ["c"])[0]["defence"] == "none"


def test_both_files_say_the_same(tmp_path):
    run = attacked(tmp_path / "a")
    commands = ["; ".join(["qshield train digits", *attack_commands(run)])]
    items = results([run], commands)
    written = write_results(tmp_path / "kept" / "digits", "Digits", items)
    assert [path.name for path in written] == ["digits.json", "digits.md"]
    for kept, item in zip(json.loads(written[0].read_text()), items, strict=True):
        assert kept["asr"] == pytest.approx(item["asr"], abs=1e-5)
        assert (kept["epsilon"], kept["command"]) == (item["epsilon"], item["command"])
    text = written[1].read_text()
    assert text == markdown("Digits", items)
    assert "qshield attack last attack=paper attack.epsilon=0.1 attack.images=60" in text
    item = next(item for item in items if item["preset"] == "paper")
    assert f"{100 * item['asr']['pgd']:.1f} (" in text
    assert item["verdict"] in text
    assert "DeepFool, minimum L2 |" in text


def test_a_run_without_a_ball_is_refused_in_one_line(tmp_path):
    run = attacked(tmp_path / "a", attacks=[("deepfool", "l2", None, 0.9)])
    with pytest.raises(InputError, match="no attack within a sup-norm ball yet; make one with"):
        results([run], ["-"])


def test_a_curve_gives_an_item_for_each_epsilon(tmp_path):
    items = results([attacked(tmp_path / "a")], ["-"])
    assert np.allclose(sorted(i["epsilon"] for i in items if i["preset"] is None), [0.02, 0.05, 0.15])


def test_an_attack_of_two_presets_counts_in_both(tmp_path):
    items = results([attacked(tmp_path / "a")], ["-"])
    by_preset = {item["preset"]: item for item in items}
    assert by_preset["paper"]["asr"]["fgsm"] == by_preset["standard"]["asr"]["fgsm"]
    assert set(by_preset["standard"]["asr"]) == {"fgsm"}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "1 seed; it lacks 3 seeds of every model, 1,000 images"),
        ({"n": 1000, "seeds": (0, 1, 2)}, "3 seeds"),
        ({"n": 1000, "seeds": (0, 1, 2), "verdict": None}, "3 seeds; it lacks a verdict on every model"),
    ],
)
def test_a_table_says_what_it_lacks(tmp_path, changes, says):
    (item,) = [i for i in results([attacked(tmp_path / "a")], ["-"]) if i["preset"] == "paper"]
    seeds = changes.pop("seeds", (0,))
    assert reporting([item | changes | {"seed": seed} for seed in seeds]).endswith(says)


def test_blocks_keep_backends_and_image_sets_apart(tmp_path):
    write_run(tmp_path / "a")
    rows = json.loads((tmp_path / "a" / "robustness.json").read_text())
    for row in rows:
        row["presets"] = ["paper"]
    other = [row | {"backend": "aer_ideal"} for row in rows if row["attack"] == "fgsm"]
    fewer = [row | {"image_set": "else"} for row in rows if row["attack"] == "pgd" and row["epsilon"] == 0.1]
    (tmp_path / "a" / "robustness.json").write_text(json.dumps([*rows, *other, *fewer]))
    items = [i for i in results([read_run(RunFolder(tmp_path / "a"))], ["-"]) if i["epsilon"] == 0.1]
    assert [(i["backend"], set(i["asr"]) >= {"pgd", "fgsm"}) for i in items] == [
        ("aer_noisy", True),
        ("aer_ideal", False),
        ("aer_noisy", False),
    ]
    assert [i["verdict"] is None for i in items] == [False, True, False]
