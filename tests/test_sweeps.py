"""Whole sweeps in processes of their own: what they leave behind, and that kill -9 loses nothing that was finished."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner
from waiting import wait_until

from qshield_qiskit.cli import app
from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.judgement import attack_run
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.recording import read_outcome, read_rows
from qshield_qiskit.reporting.sweep_folder import SweepFolder
from qshield_qiskit.reporting.sweep_plates import sweep_plates
from qshield_qiskit.reporting.sweep_results import from_parquet, gather
from qshield_qiskit.reporting.sweep_table import sheets
from qshield_qiskit.runs import load_run
from qshield_qiskit.training import history

SMALL = (
    "model.backbone=dnn",
    "data.train_images=200",
    "data.test_images=40",
    "training.epochs=4",
    "circuit.num_qubits=2",
    "attack.images=30",
)
GROUPS = "sweep.attacks={weak: [attack=fgsm], strong: ['attack=pgd,mim', attack.options.steps=5]}"


def sweep(folder, *words, groups=GROUPS):
    command = [sys.executable, "-m", "qshield_qiskit", "sweep", "digits", *SMALL, groups, *words]
    return subprocess.Popen(
        [*command, "sweep.verdict=none"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finished(process, status=0):
    out, err = process.communicate(timeout=240)
    assert process.returncode == status, err
    return out, err


AXES = (
    "sweep.axes={seed: [0, 1], model: {twin: [model.branch=none], hybrid: [backend=aer_ideal], "
    "broken: [dataset.file=no.npz]}}"
)


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Hybrid and twin under two seeds, and a cell that cannot be: there are no million training images."""
    folder = tmp_path_factory.mktemp("sweep")
    out, err = finished(sweep(folder, AXES, "--json", "--workers", "1"), status=1)
    return SweepFolder(folder / "runs" / "sweeps" / "digits"), json.loads(out), err


def test_every_cell_is_done_or_set_aside_with_its_reason(swept):
    folder, summary, _ = swept
    assert (summary["cells"], summary["done"]) == (6, 4)
    assert [failure["cell"] for failure in summary["failed"]] == ["seed 0, broken", "seed 1, broken"]
    for failure in summary["failed"]:
        assert "no.npz" in failure["reason"]
        assert failure["doing"] == "train"
        assert "Traceback" in failure["traceback"]
    assert Path(summary["results"]) == folder.path / "results.parquet"
    assert not list(folder.path.rglob("*.part"))


def test_what_is_done_to_a_run_later_changes_nothing_in_the_sweep(swept):
    folder, _, _ = swept
    before = gather(folder)
    record = next(
        r for r in (folder.record(c["digest"]) for c in folder.plan["cells"]) if r["state"] == "done"
    )
    run = load_run(folder.path / record["run"])
    rows = read_rows(run.folder)
    attack_run(run, ["attack=fgsm", "attack.images=20"])
    assert [row["n"] for row in read_rows(run.folder) if row["attack"] == "fgsm"] == [20]
    try:
        assert gather(folder) == before
    finally:
        run.folder.write_json("robustness.json", rows)


def test_the_results_are_one_parquet_file_with_a_row_a_cell_and_attack(swept):
    folder, _, _ = swept
    rows = from_parquet(folder.path / "results.parquet")
    done = [(row["cell"], row["group"], row["attack"]) for row in rows if row["state"] == "done"]
    attacks = [
        ("weak", "fgsm"),
        ("weak", "worst_case"),
        ("strong", "pgd"),
        ("strong", "mim"),
        ("strong", "worst_case"),
    ]
    labels = ["seed 0, twin", "seed 0, hybrid", "seed 1, twin", "seed 1, hybrid"]
    assert done == [(label, *attack) for label in labels for attack in attacks]
    assert [row["state"] for row in rows if row["attack"] is None] == ["failed", "failed"]
    for row in rows:
        if row["attack"] in {None, "worst_case"}:
            continue
        run = RunFolder(folder.path / row["run"])
        kept = {item["attack"]: item for item in read_rows(run)}[row["attack"]]
        assert (row["attacked"], row["fooled"], row["asr_own"]) == (
            kept["attacked"],
            kept["fooled"],
            kept["asr"],
        )
        outcome = read_outcome(run, kept)
        assert row["fooled_by_image"] == (outcome["fooled"] & outcome["correct"]).tolist()
        assert row["seconds"] > 0
        assert row["odr"] == run.read_json("metrics.json", "")["odr"]


def test_asr_is_on_the_images_that_every_model_of_the_seed_classifies_correctly(swept):
    rows = [
        row for row in from_parquet(swept[0].path / "results.parquet") if row["attack"] and row["seed"] == 0
    ]
    common = np.logical_and.reduce([row["correct_by_image"] for row in rows])
    for row in rows:
        assert row["common_images"] == common.sum() > 0
        assert row["asr"] == pytest.approx(np.asarray(row["fooled_by_image"])[common].mean())
    worst = {row["cell"]: row for row in rows if (row["group"], row["attack"]) == ("strong", "worst_case")}
    members = [row for row in rows if row["group"] == "strong" and row["attack"] != "worst_case"]
    for cell, row in worst.items():
        fooled = [one["fooled_by_image"] for one in members if one["cell"] == cell]
        assert row["fooled_by_image"] == np.logical_or.reduce(fooled).tolist()
        assert wilson_interval(row["fooled"], row["attacked"])[0] <= row["asr_own"]


def test_a_second_call_repeats_nothing_and_still_reports_the_failures(swept):
    folder, first, _ = swept
    before = {path: path.stat().st_mtime_ns for path in (folder.path / "runs").rglob("*") if path.is_file()}
    out, _ = finished(sweep(folder.path.parents[2], AXES, "--json"), status=1)
    assert json.loads(out) == first
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_cell_whose_run_was_moved_away_is_run_again(swept, tmp_path):
    shutil.copytree(swept[0].path, tmp_path / "runs" / "sweeps" / "digits")
    folder = SweepFolder(tmp_path / "runs" / "sweeps" / "digits")
    moved, kept = (cell for cell in folder.plan["cells"] if cell["label"].endswith("hybrid"))
    before = {cell["label"]: folder.record(cell["digest"]) for cell in (moved, kept)}
    shutil.move(folder.path / before[moved["label"]]["run"], tmp_path / "elsewhere")
    out, _ = finished(sweep(tmp_path, AXES, "--json", "--workers", "1"), status=1)
    assert json.loads(out)["done"] == 4
    assert folder.record(kept["digest"]) == before[kept["label"]]
    again = folder.record(moved["digest"])
    assert (again["state"], again["attempts"], again["odr"]) == ("done", 1, before[moved["label"]]["odr"])
    assert again["run"] != before[moved["label"]]["run"]


@pytest.mark.parametrize("name", ["../../escaped", "", "/tmp/x"])
def test_a_sweep_s_name_stays_in_the_folder_of_sweeps(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(app, ["sweep", "digits", "--name", name])
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert f"--name {name or repr(name)}: expected a folder's name" in refused.stderr
    assert not list(tmp_path.iterdir())


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks at processes as Linux shows them")
def test_kill_9_of_a_worker_and_of_the_whole_command_loses_nothing_finished(tmp_path):
    groups = "sweep.attacks={all: ['attack=fgsm,square', attack.options.proposals=4000]}"
    long = (
        "training.epochs=150",
        "training.patience=150",
        "model.branch=none",
        "--workers",
        "1",
    )
    process = sweep(tmp_path, *long, groups=groups)
    root = SweepFolder(tmp_path / "runs" / "sweeps" / "digits")

    def state():
        records = list((root.path / "cells").glob("*.json"))
        return json.loads(records[0].read_text()) if records else {}

    def epochs():
        run = state().get("run")
        path = root.path / (run or "") / history.HISTORY
        return history.read(path) if run and path.is_file() else []

    wait_until(lambda: len(epochs()) >= 3, process)
    first_worker = int(state()["worker"].split(":")[1])
    os.kill(first_worker, signal.SIGKILL)
    seen = epochs()

    def first_attack():  # one of two attacks is finished, in another worker
        path = root.path / state()["run"] / "robustness.json"
        return path.is_file() and [row["attack"] for row in json.loads(path.read_text())] == ["fgsm"]

    wait_until(first_attack, process)
    assert state()["attempts"] == 2
    surely = seen[:-1]  # of the last one the state may not have been written yet; then it is run again
    assert epochs()[: len(surely)] == surely  # gone on with, not begun again: the seconds would differ
    assert [row.epoch for row in epochs()] == list(range(1, 151))
    second_worker = int(state()["worker"].split(":")[1])
    assert second_worker != first_worker
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not alive(second_worker))
    run = root.path / state()["run"]
    assert state()["state"] == "running"
    kept = [path for path in run.rglob("*") if path.is_file() and path.name != "robustness.json"]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert {"metrics.json", "model.safetensors"} <= {path.name for path in kept}

    out, err = finished(sweep(tmp_path, *long, groups=groups))
    assert state()["state"] == "done"
    assert {path: path.stat().st_mtime_ns for path in kept if path.suffix != ".part"} == {
        path: when for path, when in before.items() if path.suffix != ".part"
    }
    assert [row["attack"] for row in json.loads((run / "robustness.json").read_text())] == [
        "fgsm",
        "square",
        "worst_case",
    ]
    assert "1 of 1 cells done" in out
    assert "done" in err


def test_its_report_has_figures_tables_and_what_failed(swept):
    folder = swept[0].path
    shown = CliRunner().invoke(app, ["report", str(folder), "--json"])
    assert shown.exit_code == 0, shown.output
    tables = {table["title"]: table for table in json.loads(shown.stdout)["tables"]}
    overview = tables["digits: 4 of 6 cells done, 2 failed"]
    assert [row[:2] for row in overview["rows"]] == [["twin", "0, 1"], ["hybrid", "0, 1"], ["broken", "none"]]
    assert [row[0] for row in tables["Second branch against none"]["rows"]] == ["hybrid", "hybrid"]
    assert "no.npz" in tables["Failed, and set aside"]["rows"][0][1]
    page = (folder / "report.html").read_text()
    assert "no.npz" in page and "Second branch against none" in page
    assert "## Failed, and set aside" in (folder / "report.md").read_text()
    figures = [Path(file) for file in json.loads(shown.stdout)["figures"]]
    assert [file.name for file in figures] == [
        f"{name}.{kind}" for name in ("worst_case", "hybrid_less_twin") for kind in ("png", "svg")
    ]
    assert all(file.parent == folder / "figures" and file.is_file() for file in figures)
    assert page.count('src="data:image/svg+xml;base64,') == 2
    assert page.index("<img") < page.index("<table")
    assert "](<figures/hybrid_less_twin.svg>)" in (folder / "report.md").read_text()
    mixed = CliRunner().invoke(app, ["report", str(folder), "last"])
    assert mixed.exit_code == 2 and "one sweep" in mixed.stderr


def test_its_results_can_be_kept(swept, tmp_path):
    folder, kept = swept[0].path, tmp_path / "kept" / "digits"
    shown = CliRunner().invoke(app, ["report", str(folder), "--results", str(kept), "--json"])
    assert shown.exit_code == 0, shown.output
    items = json.loads(kept.with_suffix(".json").read_text())
    rows = from_parquet(folder / "results.parquet")
    done = {(row["model"], row["seed"], row["common_images"]) for row in rows if row["state"] == "done"}
    assert {(item["model"], item["seed"], item["common_images"]) for item in items} == done
    in_table = {(row["model"], row["seed"], row["group"], row["attack"]): row["asr"] for row in rows}
    asr = {
        (item["model"], item["seed"], item["group"], attack): value
        for item in items
        for attack, value in (item["asr"] | {"worst_case": item["worst_case_asr"]}).items()
    }
    assert {key[2:] for key in asr} == {
        *(("weak", attack) for attack in ("fgsm", "worst_case")),
        *(("strong", attack) for attack in ("pgd", "mim", "worst_case")),
    }
    for key, value in asr.items():
        assert value == pytest.approx(in_table[key], abs=1e-5)
    text = kept.with_suffix(".md").read_text()
    assert "## Second branch against none" in text and "](<digits/worst_case.svg>)" in text
    assert (kept / "worst_case.svg").is_file()
    assert json.loads(shown.stdout)["results"][:2] == [f"{kept}.json", f"{kept}.md"]
    refused = CliRunner().invoke(app, ["report", "--paper", "digits", "--results", str(kept)])
    assert refused.exit_code == 2 and "leave --paper out" in refused.stderr


WORST, LESS_TWINS = "Worst-case attack success", "Models less their twins"


@pytest.mark.parametrize(
    ("seeds", "branches", "headings", "interval"),
    [
        ({0, 1}, {"none", "circuit"}, [WORST, LESS_TWINS], "95 % over seeds"),
        ({0}, {"none", "circuit"}, [WORST, LESS_TWINS], "95 % over images, one seed"),
        ({0, 1}, {"circuit"}, [WORST], "95 % over seeds"),
        ({0, 1}, {"none"}, [WORST], "95 % over seeds"),
        ({0, 1}, set(), [], ""),
    ],
)
def test_figures_are_drawn_of_what_there_is(swept, seeds, branches, headings, interval):
    rows = from_parquet(swept[0].path / "results.parquet")
    kept = [
        row
        for row in rows
        if row["seed"] in seeds and (row["branch"] in branches or row["state"] == "failed")
    ]
    plates = sweep_plates(kept)
    assert list(plates) == headings
    if WORST in plates:
        assert interval in {text.get_text() for text in plates[WORST].figure.legends[0].get_texts()}
        titles = [axes.get_title(loc="left") for axes in plates[WORST].figure.axes]
        assert titles == ["weak", "strong"]
        of_l2 = sweep_plates([row | {"norm": row["norm"] and "l2"} for row in kept])
        for heading in headings:
            for shown, ball in ((plates, "L∞ ≤ 32/255"), (of_l2, "L2 ≤ 32/255")):
                assert all(ball in axes.get_xlabel() for axes in shown[heading].figure.axes)


def test_the_figures_show_the_figures_of_the_tables(swept):
    rows = from_parquet(swept[0].path / "results.parquet")
    plates = sweep_plates(rows)
    overview = {row[0]: row[3:5] for row in sheets(rows)[0].rows}
    paired = {
        row[1]: row[4:6]
        for row in next(s for s in sheets(rows) if s.title == "Second branch against none").rows
    }
    for position, group in enumerate(("weak", "strong")):
        axes = plates[WORST].figure.axes[position]
        means = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
        for mean, model in zip(means, ("twin", "hybrid"), strict=True):
            assert overview[model][position].startswith(f"{100 * mean:.1f} ±")
        axes = plates[LESS_TWINS].figure.axes[position]
        (mean,) = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
        low, high = next(line.get_xdata() for line in axes.lines if line.get_marker() == "|")
        assert paired[group] == [f"{100 * mean:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"]


@pytest.mark.parametrize(
    ("masked", "worst", "difference"),
    [
        ("hybrid", ["twin", "hybrid\nMASKING DETECTED"], ["hybrid\nMASKING DETECTED"]),
        ("twin", ["twin\nMASKING DETECTED", "hybrid"], ["hybrid\nMASKING DETECTED"]),
        (None, ["twin", "hybrid"], ["hybrid"]),
    ],
)
def test_a_difference_is_worth_what_the_worse_of_two_verdicts_is_worth(swept, masked, worst, difference):
    rows = [
        row | {"verdict": "masking detected" if masked in row["cell"].split(", ") else "no masking detected"}
        for row in from_parquet(swept[0].path / "results.parquet")
    ]
    plates = sweep_plates(rows)
    for heading, names in ((WORST, worst), (LESS_TWINS, difference)):
        labels = plates[heading].figure.axes[0].get_yticklabels()
        assert [label.get_text() for label in labels] == names
