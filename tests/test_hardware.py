"""A trained run on a device: submit, be killed, go on, fetch; against the stand-in of IBM's service."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
import torch
from ibm_standin import TOKEN, Fault, StandInDevice
from typer.testing import CliRunner
from waiting import wait_until

from qshield_qiskit import QuantumLayer, assembly, catalog, evaluation, hardware, judgement, runs
from qshield_qiskit.cli import app
from qshield_qiskit.config import load_settings
from qshield_qiskit.devices import local
from qshield_qiskit.devices.jobs import submission
from qshield_qiskit.devices.jobs.cost import Limits
from qshield_qiskit.devices.jobs.ledger import Ledger
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import BudgetSpent, InputError
from qshield_qiskit.sweeps.grid import expand
from qshield_qiskit.training.figures import classify

SMALL = ("data.train_images=200", "data.test_images=40", "training.epochs=2", "circuit.num_qubits=2")
ON_DEVICE = ("backend=ibm_standin", "backend.shots=200", "evaluation.images=8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return runs.train(load_settings("digits", [*SMALL, f"runs={folder}"])).folder.path


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """The run, with a ledger and a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QSHIELD_LEDGER", raising=False)
    return runs.load_run(trained)


def qshield(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_submit_watch_and_evaluate(standin, run, tmp_path):
    service = standin()
    path = run.folder.path
    dry = qshield("submit", path, *ON_DEVICE, "--dry-run")
    assert dry.exit_code == 0, dry.output
    for figure in (
        "8 sets of angles",
        "200 shots",
        "1,600 executions",
        "two-qubit gates",
        "of the device's time",
    ):
        assert figure in dry.stdout
    assert service.submissions == 0
    assert not (tmp_path / "runs" / "jobs.sqlite").exists()  # a dry run writes nothing

    unasked = qshield("submit", path, *ON_DEVICE)
    assert (unasked.exit_code, service.submissions) == (2, 0)
    assert "--yes" in unasked.stderr

    sent = qshield("submit", path, *ON_DEVICE, "--yes", "--json")
    assert sent.exit_code == 0, sent.output
    assert [job["state"] for job in json.loads(sent.stdout)["jobs"]] == ["submitted"]
    assert qshield("jobs", "watch").exit_code == 0

    figures = json.loads(qshield("evaluate", path, *ON_DEVICE, "--json").stdout)
    assert (figures["n"], figures["shots"], service.submissions) == (8, 200, 1)
    assert figures["primitive"]["resilience_level"] == 1
    again = json.loads(qshield("evaluate", path, *ON_DEVICE, "--json").stdout)
    assert again["odr"] == figures["odr"]
    assert service.submissions == 1
    fresh = qshield("evaluate", path, *ON_DEVICE, "--json", "--fresh", "--yes")
    assert (fresh.exit_code, service.submissions) == (0, 2)


@pytest.mark.parametrize("delay", [0.0, 0.8])
def test_kill_and_go_on(standin, run, tmp_path, delay):
    """Killed while the job waits in the queue, the same command fetches that job and sends no other."""
    service = standin(held=True)
    command = [sys.executable, "-m", "qshield_qiskit", "evaluate", str(run.folder.path), *ON_DEVICE, "--yes"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ.copy()
    )
    wait_until(lambda: service.submissions, process)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert service.submissions == 1
    service.queue.release()
    figures = evaluation.evaluate(run, ON_DEVICE)
    assert (figures["n"], service.submissions) == (8, 1)


def test_the_least_busy_device_stays_the_same_one(standin, run):
    service = standin([StandInDevice("ibm_one"), StandInDevice("ibm_two")])
    dotted = ("backend=ibm_runtime", *ON_DEVICE[1:])
    plan, model = hardware.submit_run(run, dotted)
    first = model.backend.name
    service.devices[first].queue_length = 99  # now another one would be chosen
    assert catalog.load_backend("ibm_runtime", 2).name != first
    assert evaluation.evaluate(run, dotted)["calibration"]["device"] == first
    assert service.submissions == len(plan.jobs) == 1


def test_what_the_ledger_has_needs_no_service(standin, run):
    service = standin()
    figures = evaluation.evaluate(run, ON_DEVICE)
    service.stop()
    kept = evaluation.evaluate(run, ON_DEVICE)
    assert kept["odr"] == figures["odr"]
    with pytest.raises(InputError, match="cannot be reached"):
        evaluation.evaluate(run, (*ON_DEVICE, "evaluation.images=9"))


def test_a_calibration_that_could_not_be_had_is_told_when_jobs_are_sent_for_an_earlier_one(standin, run):
    service = standin()
    said = []
    evaluation.evaluate(run, ON_DEVICE, terms=Terms(say=said.append))
    earlier = service.devices["ibm_standin"].calibration().taken_at
    service.devices["ibm_standin"].recalibrate()
    service.plan.faults.append(Fault("GET /backends*", "500", times=999))
    evaluation.evaluate(run, ON_DEVICE, terms=Terms(say=said.append))
    assert not [line for line in said if "laid out" in line], "what the ledger has is not sent"
    settings = run.config.model_copy(
        update={"backend": run.config.backend.model_copy(update={"name": "ibm_standin"})}
    )
    model = assembly.on_backend(run.model, settings, run.purpose, Terms(say=said.append))
    service.plan.faults.clear()
    with assembly.conversation(model):
        classify(model, torch.rand(3, 1, 8, 8), 3)
    (line,) = [line for line in said if "laid out" in line]
    assert f"for that of {earlier:%Y-%m-%d %H:%M}" in line


def test_a_new_calibration_pays_for_nothing_twice(standin, run):
    service = standin(faults=[Fault("POST /jobs", "recalibrate")])
    hardware.submit_run(run, ON_DEVICE)
    assert evaluation.evaluate(run, ON_DEVICE)["n"] == 8
    assert service.submissions == 1
    (job,) = Ledger().jobs()
    assert job.calibration != job.calibration_at_run


def test_a_budget_keeps_what_there_is(standin, run, monkeypatch):
    service = standin()
    monkeypatch.setattr(submission, "Limits", lambda: Limits(executions=800))
    found = evaluation.evaluate(run, (*ON_DEVICE, "backend.max_qpu_seconds=4"))
    assert (found["n"], service.submissions) == (4, 1)
    assert "backend.max_qpu_seconds=4 is reached" in found["stopped"]
    whole = evaluation.evaluate(run, (*ON_DEVICE, "backend.max_qpu_seconds=60"))
    assert (whole["n"], service.submissions) == (8, 2)
    assert "stopped" not in whole


def test_an_attack_on_a_device_goes_on_where_it_was(standin, run):
    """Black-box, by queries; interrupted, the same command replays its answers from the ledger."""
    service = standin()
    dotted = ("backend=ibm_standin", "backend.shots=50", "attack=square", "attack.options.proposals=4")
    dotted = (*dotted, "attack.images=20", "attack.epsilon=0.1")
    first = judgement.attack_run(run, dotted, terms=Terms())
    sent = service.submissions
    assert first[0]["queries"] > 1
    assert sent > 3
    second = judgement.attack_run(run, dotted)
    assert service.submissions == sent
    assert [row["fooled"] for row in first] == [row["fooled"] for row in second]


def test_a_comparison_asks_before_it_pays_and_pays_once(standin, run):
    service = standin()
    words = ("compare", run.folder.path, "backend=aer_noisy,ibm_standin", "attack=fgsm", "attack.images=4")
    unasked = qshield(*words, "backend.shots=100")
    assert (unasked.exit_code, service.submissions) == (2, 0)
    assert "--yes" in unasked.stderr
    asked = qshield(*words, "backend.shots=100", "--yes")
    assert (asked.exit_code, service.submissions) == (0, 1), asked.output
    assert not any(session["accepting_jobs"] for session in service.sessions.values())
    assert qshield(*words, "backend.shots=100").exit_code == 0
    assert service.submissions == 1


def test_an_attack_on_a_device_pays_for_no_verdict_and_a_verdict_asks(standin, run):
    service = standin()
    device = ("backend=ibm_standin", "backend.shots=50", "attack.images=20", "attack.epsilon=0.1")
    words = ("attack", run.folder.path, *device, "attack=square", "attack.options.proposals=1")
    attacked = qshield(*words, "--yes")
    assert attacked.exit_code == 0, attacked.output
    assert "verdict  none of this device" in attacked.stdout
    sent = service.submissions
    assert sent < 20  # a quick verdict takes hundreds
    judged = qshield("verdict", run.folder.path, "--quick", *device, "verdict.images=20")
    assert (judged.exit_code, service.submissions) == (2, sent)
    assert "--yes" in judged.stderr


def test_a_certificate_on_a_device_asks_before_it_pays(standin, run):
    service = standin()
    words = ("certify", run.folder.path, "backend=ibm_standin", "backend.shots=50", "certificate=smoothing")
    words = (*words, "certificate.images=2", "certificate.n=3", "certificate.n0=2")
    unasked = qshield(*words)
    assert (unasked.exit_code, service.submissions) == (2, 0)
    assert "--yes" in unasked.stderr
    assert qshield(*words, "--yes").exit_code == 0
    assert service.submissions > 0
    assert not any(session["accepting_jobs"] for session in service.sessions.values())


def test_an_attack_ends_with_the_budget_and_goes_on_with_a_higher_one(standin, run):
    service = standin()
    dotted = ("backend=ibm_standin", "backend.shots=50", "attack=square", "attack.options.proposals=6")
    dotted = (*dotted, "attack.images=20", "attack.epsilon=0.05")
    (cut, _) = judgement.attack_run(run, (*dotted, "backend.max_qpu_seconds=7"))
    assert service.submissions == 3  # two seconds and some each
    assert "backend.max_qpu_seconds=7 is reached" in cut["weak"]
    (whole, _) = judgement.attack_run(run, (*dotted, "backend.max_qpu_seconds=60"))
    assert whole["weak"] is None
    assert whole["queries"] > cut["queries"]
    sent = service.submissions
    (again, _) = judgement.attack_run(run, dotted)
    assert (again["fooled"], service.submissions) == (whole["fooled"], sent)


def test_a_file_that_builds_a_device_asks_before_it_pays_and_has_the_runs_purpose(standin, run, tmp_path):
    service = standin()
    (tmp_path / "backends").mkdir()
    (tmp_path / "backends" / "mine.py").write_text(
        '"""A device, twirled."""\n'
        "from qshield_qiskit.devices import ibm\n\n\n"
        "def build(num_qubits, max_qpu_seconds=None):\n"
        '    return ibm.build("standin", num_qubits, twirling=True, max_qpu_seconds=max_qpu_seconds)\n'
    )
    on_mine = ("backend=mine", *ON_DEVICE[1:])
    unasked = qshield("evaluate", run.folder.path, *on_mine)
    assert (unasked.exit_code, service.submissions) == (2, 0)
    assert "--yes" in unasked.stderr
    assert qshield("evaluate", run.folder.path, *on_mine, "--yes").exit_code == 0
    assert [job.purpose for job in Ledger().jobs()] == [run.purpose]
    assert judgement.standing_verdict(run, ["backend=mine"]) is None
    with pytest.raises(InputError, match="in a sweep nobody is asked"):
        expand("digits", ["backend=mine", "seed=0,1"])
    with pytest.raises(InputError, match="a device has no gradient"):
        judgement.attack_run(run, ["attack.bpda=mine", "attack=fgsm", "attack.images=4"])
    assert service.submissions == 1


def test_training_on_a_device_asks_before_it_pays_and_counts_its_own_jobs(standin, run):
    service = standin()
    words = [
        *("train", "digits", *SMALL, "data.train_images=24", "training.epochs=1", "training.batch_size=16"),
        *("backend=ibm_standin", "backend.shots=20", "backend.gradient=spsa", "training.trains=circuit"),
        *("data.validation_fraction=0", "data.test_images=4", f"training.start_from={run.folder.path}"),
    ]
    unasked = qshield(*words)
    assert (unasked.exit_code, service.submissions) == (2, 0)
    assert "--yes" in unasked.stderr
    asked = qshield(*words, "--yes", "--json")
    assert asked.exit_code == 0, asked.output
    jobs = Ledger().jobs()
    assert len(jobs) == service.submissions > 2
    assert {job.purpose for job in jobs} == {runs.load_run("last").purpose}


def test_a_training_that_a_budget_stopped_is_kept_and_gone_on_with(standin, run, tmp_path):
    service = standin()
    words = [
        *SMALL,
        "data.train_images=24",
        "training.epochs=1",
        "training.batch_size=16",
        f"runs={tmp_path}/new",
    ]
    words += ["data.validation_fraction=0", "data.test_images=4", "training.trains=circuit"]
    words += ["backend=ibm_standin", "backend.shots=20", "backend.max_qpu_seconds=3"]
    words += [f"training.start_from={run.folder.path}"]
    with pytest.raises(BudgetSpent, match=r"qshield train --resume .* backend\.max_qpu_seconds=<more>"):
        runs.train(load_settings("digits", words))
    (folder,) = (tmp_path / "new" / "digits").iterdir()
    stopped = runs.load_run(folder)
    assert (service.submissions, {job.purpose for job in Ledger().jobs()}) == (1, {stopped.purpose})
    went_on = qshield("train", "--resume", folder, "backend.max_qpu_seconds=60", "--yes", "--json")
    assert went_on.exit_code == 0, went_on.output
    jobs = Ledger().jobs()
    assert {job.purpose for job in jobs} == {stopped.purpose}
    assert service.submissions == len(jobs) == len({(job.pub, job.draw, job.start) for job in jobs})
    sent = service.submissions
    runs.train(load_settings("digits", [*words, "backend.max_qpu_seconds=60"]))
    assert service.submissions == sent, "an uninterrupted training asks the very same"
    refused = qshield("train", "--resume", folder, "seed=1")
    assert refused.exit_code == 2
    assert "backend.max_qpu_seconds" in refused.stderr


def test_a_training_that_never_sent_a_job_leaves_nothing_behind(standin, run, tmp_path):
    standin()
    words = [*SMALL, "backend=ibm_standin", "backend.max_qpu_seconds=0.5", f"runs={tmp_path}/new"]
    with pytest.raises(BudgetSpent):
        runs.train(load_settings("digits", words))
    assert not list((tmp_path / "new" / "digits").iterdir())


def test_white_box_by_spsa_on_a_device(standin, run):
    service = standin()
    dotted = (
        "backend=ibm_standin",
        "backend.shots=50",
        "attack=fgsm",
        "attack.images=10",
        "attack.epsilon=0.3",
    )
    (row, _) = judgement.attack_run(run, dotted)
    assert row["gradients"] > 0
    sizes = [job.sets for job in Ledger().jobs()]
    assert 2 * row["attacked"] in sizes  # SPSA: two sets of angles for each image
    assert service.submissions == len(sizes)


def test_the_token_is_nowhere(standin, run, tmp_path, caplog):
    standin(faults=[Fault("GET /jobs/*", "500"), Fault("POST /jobs", "429")])
    with caplog.at_level("DEBUG"):
        printed = [
            qshield("submit", run.folder.path, *ON_DEVICE, "--yes").output,
            qshield("evaluate", run.folder.path, *ON_DEVICE).output,
            qshield("jobs", "list").output,
            qshield("doctor").output,
        ]
    assert all(TOKEN not in text for text in [*printed, caplog.text])
    files = [path for folder in (tmp_path, run.folder.path) for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".sqlite" for path in files)
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_a_gradient_is_one_submission(monkeypatch):
    """24 weights, 12 inputs, 4 qubits, a batch of 8, under fake_torino."""
    template = catalog.load_circuit("full", 4, reps=2)
    layer = QuantumLayer(template, catalog.load_backend("fake_torino", 4), shots=100)
    sent = []
    honest = local.submit
    monkeypatch.setattr(
        local, "submit", lambda pub, *more, **others: sent.append(pub) or honest(pub, *more, **others)
    )
    x = torch.rand(8, template.num_inputs, requires_grad=True)
    y = layer(x)
    assert len(sent) == 1
    y.square().sum().backward()
    assert [len(pub.values) for pub in sent] == [8, 2 * 8 * (12 + 24)]
    assert x.grad.abs().max() > 0 and layer.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("dotted", "message"),
    [
        (
            ["backend=aer_noisy"],
            "expected a device of IBM's, such as backend=ibm_runtime; what runs on this machine",
        ),
        (["backend=ibm_nowhere"], "ibm_nowhere"),
        (["backend=ibm_standin", "backend.dynamical_decoupling=XY5"], "expected null or XX, XpXm, XY4"),
        (["backend=ibm_standin", "backend.calibration=x"], "declares no setting 'calibration'"),
        (["backend=ibm_standin", "evaluation.images=41"], "digits has 40 test images"),
    ],
)
def test_what_cannot_be_submitted_is_one_line(standin, run, dotted, message):
    standin()
    result = qshield("submit", run.folder.path, *dotted, "--yes")
    assert result.exit_code == 2
    assert re.search(re.escape(message), " ".join(result.stderr.split()))


def test_a_snapshot_says_what_a_device_would_cost(run):
    dry = qshield(
        "submit", run.folder.path, "backend=fake_manila", "evaluation.images=10", "--dry-run", "--json"
    )
    cost = json.loads(dry.stdout)["cost"]
    assert (cost["sets"], cost["shots"]) == (10, 4096)
    assert 0 < cost["fidelity"] < 1
