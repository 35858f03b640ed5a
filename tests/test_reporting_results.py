"""Results that are kept: ASR on common images, the worst case of a preset, and the table for people."""

import json

import numpy as np
import pytest
from robust_run import write_run
from typer.testing import CliRunner

from qshield_qiskit.cli import app
from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.commands import robustness_commands
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.plates import Plate
from qshield_qiskit.reporting.results import results, to_json, write_results
from qshield_qiskit.reporting.results_table import markdown, reporting
from qshield_qiskit.reporting.robustness import read_run
from qshield_qiskit.reporting.style import new_figure
from qshield_qiskit.reporting.sweep_report import Report, keep_sweep_results


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


def test_an_outcome_that_is_missing_is_not_left_out_of_the_worst_case(tmp_path):
    run = attacked(tmp_path / "a")
    (tmp_path / "a/outcomes/pgd-linf-0.1.npz").unlink()
    with pytest.raises(
        InputError, match=r"outcomes/pgd-linf-0.1.npz: missing; make it anew with: qshield attack"
    ):
        results([read_run(run.folder)], ["a"])


def test_medians_are_of_the_images_that_the_table_is_about(tmp_path):
    first, second = attacked(tmp_path / "a", seed=0), attacked(tmp_path / "b", seed=1)
    items = [item for item in results([first, second], ["a", "b"]) if item["preset"] == "paper"]
    common = arrays(first, "pgd").correct & arrays(second, "pgd").correct
    for item, run in zip(items, (first, second), strict=True):
        outcomes = arrays(run, "deepfool")
        fooled = outcomes.fooled & common
        assert item["median_norm"]["deepfool"]["value"] == np.median(outcomes.norms["l2"][fooled])
        assert fooled.sum() < outcomes.fooled.sum()


def test_two_recipes_of_one_name_are_told_apart(tmp_path):
    paths = [(f"{epochs}-{seed}", epochs, seed) for epochs in (3, 5) for seed in (0, 1)]
    runs = [
        attacked(
            tmp_path / name, seed=seed, dotted=[f"training.epochs={epochs}", f"training.threads={seed + 1}"]
        )
        for name, epochs, seed in paths
    ]
    items = [item for item in results(runs, list("abcd")) if item["preset"] == "paper"]
    short, long = items[0]["recipe"], items[2]["recipe"]
    assert [item["recipe"] for item in items] == [short, short, long, long] != [short] * 4
    text = markdown("Digits", items)
    headings = [f"hqcnn-full, settings {recipe}, seed {seed}" for recipe in (short, long) for seed in (0, 1)]
    assert " | ".join(headings) in text
    assert "2 seeds. A full report would" in reporting(items)
    assert "settings" not in markdown("Digits", items[:2])


def test_commands_make_what_was_made(tmp_path):
    run = write_run(tmp_path / "a")
    rows = json.loads((run / "robustness.json").read_text())
    options = {"steps": 3, "random_start": False}
    rows[1] |= {"options": options, "preset": "paper"}
    rows.append(rows[0] | {"backend": "mine", "backend_options": "level=3 shots=100", "options": {}})
    (run / "robustness.json").write_text(json.dumps(rows))
    commands = robustness_commands(read_run(RunFolder(run)))
    (pgd,) = [line for line in commands if "attack.options" in line]
    assert "attack=pgd " in pgd
    assert "attack.preset=paper attack.options.steps=3 attack.options.random_start=false" in pgd
    (other,) = [line for line in commands if "backend=mine" in line and "attack=" in line]
    assert other.endswith("backend=mine backend.options.level=3 backend.shots=100")


def test_both_files_say_the_same(tmp_path):
    run = attacked(tmp_path / "a")
    commands = ["; ".join(["qshield train digits", *robustness_commands(run)])]
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


@pytest.mark.parametrize(
    ("name", "kept"), [("linf-0.05", "linf-0.05"), ("digits.json", "digits"), ("digits.md", "digits")]
)
def test_a_name_loses_no_more_than_an_ending_of_ours(tmp_path, name, kept):
    assert [path.name for path in write_results(tmp_path / name, "T", [])] == [f"{kept}.json", f"{kept}.md"]
    plate = Plate("a", new_figure(2)[0], "what it shows", "how to read it")
    report = Report("T", [], [], "qshield sweep", {"A": plate})
    files = keep_sweep_results(report, [], tmp_path / "sweep" / name)
    there = [path.relative_to(tmp_path / "sweep").as_posix() for path in files]
    assert there == [f"{kept}.json", f"{kept}.md", f"{kept}/a.png", f"{kept}/a.svg"]
    assert f"(<{kept}/a.svg>)" in files[1].read_text()


def test_results_that_cannot_be_written_are_refused_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--results .*file/kept: File exists; give a name in a folder"):
        write_results(tmp_path / "file" / "kept", "T", [])


def test_a_share_of_no_image_is_null(tmp_path):
    runs = [attacked(tmp_path / name) for name in "ab"]
    for run, kept in zip(runs, (slice(30), slice(30, None)), strict=True):
        for row in run.rows:
            changed = np.zeros(60, bool)
            changed[kept] = row.outcomes.correct[kept]
            row.outcomes.correct[:] = changed
    items = results(runs, ["a", "b"])
    assert not any(item["common_images"] for item in items)

    def refuse(constant):
        pytest.fail(f"{constant} is no JSON")

    kept = json.loads(to_json(items), parse_constant=refuse)
    assert all(item["worst_case_asr"] is None for item in kept)
    text = markdown("Digits", items)
    assert "no common image" in text and "nan" not in text


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


def test_the_commands_say_how_each_block_was_made(tmp_path):
    run = attacked(tmp_path / "a", dotted=["attack.max_queries=500"])
    path = tmp_path / "a" / "robustness.json"
    rows = [row for row in json.loads(path.read_text()) if row["norm"] == "linf" or row["epsilon"] is None]
    rows = [row | {"max_queries": 500} for row in rows if row["presets"]]
    elsewhere = {"backend": "aer_ideal", "backend_options": "shots=100", "eot": 10, "bpda": "aer_noisy"}
    rows += [
        row | elsewhere | {"epsilon": 0.05, "max_queries": None} for row in rows if row["attack"] == "pgd"
    ]
    rows += [row | {"presets": [], "target": "3"} for row in rows[:1]]
    path.write_text(json.dumps(rows))
    other = "attack.eot=10 attack.bpda=aer_noisy attack.max_queries=null backend=aer_ideal backend.shots=100"
    assert robustness_commands(read_run(run.folder)) == [
        "qshield attack last attack=paper attack.epsilon=0.1 attack.images=60",
        "qshield attack last attack=standard attack.epsilon=0.1 attack.images=60",
        f"qshield attack last attack=paper attack.epsilon=0.05 attack.images=60 {other}",
        "qshield attack last attack=fgsm attack.norm=linf attack.epsilon=0.1 attack.images=60 attack.target=3",
        "qshield verdict last attack.epsilon=0.05 attack.eot=10 backend=aer_ideal backend.shots=100",
        "qshield verdict last attack.epsilon=0.1",
    ]


def changed(run, of, **changes):
    """The same run with one row more, like the one of an attack but for some figures and outcomes."""
    path = run.folder.path
    rows = json.loads((path / "robustness.json").read_text())
    row = next(row for row in rows if row["attack"] == of and row["epsilon"] == 0.1)
    with np.load(path / row["outcomes"]) as stored:
        arrays = dict(stored)
    arrays["fooled"] = changes.pop("fooled") & arrays["correct"]
    np.savez(path / "outcomes" / "more.npz", **arrays)
    new = row | changes | {"outcomes": "outcomes/more.npz", "fooled": int(arrays["fooled"].sum())}
    (path / "robustness.json").write_text(json.dumps([*rows, new]))
    return read_run(run.folder)


def test_an_attack_that_was_run_again_with_less_takes_nothing_away(tmp_path):
    run = attacked(tmp_path / "a")
    (before,) = [item for item in results([run], ["-"]) if item["preset"] == "paper"]
    fooled = np.zeros(len(arrays(run, "pgd").index), bool)
    fooled[np.flatnonzero(arrays(run, "pgd").correct & ~arrays(run, "pgd").fooled)[:1]] = True
    again = changed(run, "pgd", parameters={"steps": 1}, fooled=fooled)
    (after,) = [item for item in results([again], ["-"]) if item["preset"] == "paper"]
    assert after["asr"] == before["asr"]
    worst = arrays(run, "pgd").fooled | arrays(run, "fgsm").fooled | fooled
    assert after["worst_case_asr"] == pytest.approx(worst[arrays(run, "pgd").correct].mean())


def test_models_of_two_data_sets_share_no_table(tmp_path):
    runs = [attacked(tmp_path / "a"), attacked(tmp_path / "b", dotted=["dataset.file=mine.npz"])]
    items = [item for item in results(runs, ["a", "b"]) if item["preset"] == "paper"]
    assert [item["dataset"] for item in items] == ["digits", "mine.npz"]
    assert [item["common_images"] for item in items] == [
        int(arrays(run, "pgd").correct.sum()) for run in runs
    ]
    assert "## mine.npz, preset `paper`, L∞ ≤ 0.1" in markdown("Both", items)


def test_columns_of_two_backends_are_told_apart_and_only_one_has_the_clean_accuracy(tmp_path):
    run = changed(attacked(tmp_path / "a"), "pgd", backend="aer_ideal", fooled=np.zeros(60, bool))
    items = [item for item in results([run], ["-"]) if item["preset"] == "paper"]
    text = markdown("Digits", items)
    assert "| | hqcnn-full, on aer_noisy, seed 0 | hqcnn-full, on aer_ideal, seed 0 |" in text
    assert [item["odr"] is None for item in items] == [False, True]
    assert "| not measured |" in text


def test_the_report_of_two_data_sets_is_refused_in_one_line(tmp_path):
    runs = [attacked(tmp_path / "a"), attacked(tmp_path / "b", dotted=["dataset.file=mine.npz"])]
    refused = CliRunner().invoke(app, ["report", *(str(run.folder.path) for run in runs)])
    assert refused.exit_code == 2
    assert refused.stderr == (
        "error: runs of digits and mine.npz: models are compared on the same images; report each by itself\n"
    )


def test_the_report_of_two_test_splits_is_refused_in_one_line(tmp_path):
    runs = [attacked(tmp_path / "a"), attacked(tmp_path / "b", dotted=["data.test_images=100"])]
    refused = CliRunner().invoke(app, ["report", *(str(run.folder.path) for run in runs)])
    assert refused.exit_code == 2
    assert refused.stderr == (
        "error: runs with data.test_images=null and data.test_images=100: models are compared on the same images; "
        "report each by itself\n"
    )


def test_a_quick_verdict_is_called_quick_and_a_star_is_explained(tmp_path):
    run = attacked(tmp_path / "a")
    (item,) = [item for item in results([run], ["-"]) if item["preset"] == "paper"]
    said = item | {"verdict_quick": True, "too_weak": {"pgd": "attack.max_queries=5 is spent"}}
    text = markdown("Digits", [said])
    assert f"**{item['verdict']}** (quick)" in text
    assert "\\* PGD is too weak: attack.max_queries=5 is spent." in text
    assert "(quick)" not in markdown("Digits", [item | {"verdict_quick": False}])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "1 seed. A full report would have 3 seeds of every model and attack 1,000 images"),
        ({"n": 1000, "seeds": (0, 1, 2)}, "3 seeds"),
        (
            {"n": 1000, "seeds": (0, 1, 2), "verdict": None},
            "3 seeds. A full report would have a verdict on every model",
        ),
        (
            {"verdict": None},
            "1 seed. A full report would have 3 seeds of every model, have a verdict on every model and attack "
            "1,000 images",
        ),
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
