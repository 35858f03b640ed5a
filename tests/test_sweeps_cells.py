"""What becomes of single cells: judged, tried again, set aside with a reason, shown while they run."""

from __future__ import annotations

import io
import json

import pytest
from distributed import LocalCluster
from rich.console import Console

from qshield_qiskit.robustness.verdict.evidence import Effort
from qshield_qiskit.sweeps import sweep as sweeps
from qshield_qiskit.sweeps.grid import expand
from qshield_qiskit.sweeps.live import MOST_ROWS, table, watching
from qshield_qiskit.sweeps.sweep import Sweep, plan_sweep, run_sweep
from qshield_qiskit.sweeps.work import work_on
from qshield_qiskit.training.history import HISTORY

SMALL = (
    "model.backbone=dnn",
    "model.branch=none",
    "data.train_images=100",
    "data.test_images=20",
    "training.epochs=6",  # a verdict needs an image that is right, whatever random numbers a GPU draws
    "training.learning_rate=0.01",
    "verdict.images=3",
    "sweep.attacks={weak: [attack=fgsm]}",
)
LITTLE = Effort(steps=10, restarts=1, targets=1, proposals=5, probed=1, walked=0)
BROKEN = ("dataset.file=no.npz", "sweep.verdict=none")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder that holds runs/."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def scheduler():
    """A dask scheduler with one worker, in this process."""
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        yield cluster.scheduler_address


def test_a_cell_is_judged_once_and_as_thoroughly_as_was_asked(here, monkeypatch):
    for effort in ("QUICK", "FULL"):  # soon done, whatever they are called
        monkeypatch.setattr(f"qshield_qiskit.robustness.verdict.{effort}", LITTLE)
    records, verdicts = [], []
    for thorough in ("none", "quick", "quick", "full", "quick"):
        (cell,) = expand("digits", [*SMALL, f"sweep.verdict={thorough}"])[1]
        records.append(work_on(cell, here / "sweep", here))
        assert records[-1]["state"] == "done", records[-1]
        kept = here / "sweep" / records[-1]["run"] / "verdict.json"
        verdicts.append(json.loads(kept.read_text()) if kept.is_file() else None)
    none, quick, again, full, less = verdicts
    assert none is None and "verdict" not in records[0]
    assert (quick, full) == (again, less), "what was judged is not judged again, and full is as good as quick"
    assert (quick["quick"], full["quick"]) == (True, False)
    for record, found in zip(records[1:], verdicts[1:], strict=True):
        failed = [check["name"] for check in found["checks"] if check["passed"] is False]
        assert (record["verdict"], record["failed_checks"]) == (found["verdict"], failed)
        assert record["quick"] == found["quick"]
        assert record["seconds"] == pytest.approx(records[0]["seconds"] + found["seconds"])
    assert len({record["run"] for record in records}) == 1, "a verdict asks for no other training"


def test_what_failed_is_tried_again_if_that_is_asked_for(here, scheduler):
    sweep = plan_sweep("digits", [*SMALL, *BROKEN])
    for attempts, retry_failed in ((1, False), (1, False), (2, True)):
        run_sweep(sweep, scheduler=scheduler, retry_failed=retry_failed)
        (record,) = sweep.records()
        assert (record["state"], record["attempts"]) == ("failed", attempts)
        assert "no.npz" in record["failure"]["reason"]


def dies(*arguments):
    raise RuntimeError("it was killed\nagain and again")


def sees_another_folder(cell, folder, working_directory):
    return work_on(cell, folder.parent / "elsewhere", working_directory)


@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        (dies, "it was killed again and again"),
        (sees_another_folder, "its worker does not write to this folder"),
    ],
)
def test_a_cell_that_its_worker_could_not_set_aside_is_set_aside_for_it(
    here, scheduler, monkeypatch, worker, reason
):
    monkeypatch.setattr(sweeps, "work_on", worker)
    sweep, watched = plan_sweep("digits", [*SMALL, *BROKEN]), []
    run_sweep(sweep, scheduler=scheduler, watch=lambda now: watched.append(now.records()[0]["state"]))
    (record,) = sweep.records()
    assert (record["state"], record["doing"]) == ("failed", None)
    assert record["failure"] == {"doing": "start", "reason": reason, "traceback": ""}
    assert watched[-1] == "failed"


def shown(sweep: Sweep) -> list[str]:
    """The table's lines, words alone."""
    console = Console(file=io.StringIO(), width=200)
    console.print(table(sweep, 65.4))
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_the_table_says_what_each_cell_is_at_and_came_to(here):
    sweep = plan_sweep("digits", [*SMALL, "seed=0,1,2,3,4"])
    figures = {
        "odr": 0.915,
        "worst_case": {"weak": 0.5, "strong": 0.75},
        "verdict": "suspect",
        "seconds": 61.2,
    }
    records = [
        {"state": "done", **figures},
        {"state": "failed", "failure": {"doing": "verdict 3/14"}, "odr": 0.9},
        {"state": "running", "doing": "train", "run": "runs/one"},
        {"state": "running", "doing": "weak: fgsm"},
    ]
    for cell, record in zip(sweep.cells, records, strict=False):
        sweep.folder.write_record(cell.digest, record)
    history = sweep.folder.path / "runs" / "one" / HISTORY
    history.parent.mkdir(parents=True)
    history.write_text("epoch\n1\n2\n")
    assert shown(sweep) == [
        "digits: 1 waiting, 2 running, 1 done, 1 failed",
        "cell state ODR % worst case % verdict seconds",
        "seed 0 done 91.5 50.0 / 75.0 suspect 61",
        "seed 1 failed: verdict 3/14 90.0",
        "seed 2 train, epoch 3",
        "seed 3 weak: fgsm",
        "seed 4 waiting",
        "65 s; Ctrl-C stops it, the same command goes on",
    ]
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    with watching(console) as watch:
        watch(sweep)
    assert "suspect" in console.file.getvalue()


def test_a_table_of_many_cells_shows_what_runs_and_what_failed_first(here):
    sweep = plan_sweep("digits", [*SMALL, f"seed={','.join(map(str, range(MOST_ROWS + 5)))}"])
    for position, record in {
        3: {"state": "done"},
        MOST_ROWS + 1: {"state": "failed", "failure": {"doing": "train"}},
        MOST_ROWS + 2: {"state": "running", "doing": "weak"},
    }.items():
        sweep.folder.write_record(sweep.cells[position].digest, record)
    lines = shown(sweep)
    assert lines[2:6] == [
        f"seed {MOST_ROWS + 2} weak",
        f"seed {MOST_ROWS + 1} failed: train",
        "seed 3 done",
        "seed 0 waiting",
    ]
    assert len(lines) == 2 + MOST_ROWS + 1
    assert lines[-1].startswith("5 more cells; 65 s")
