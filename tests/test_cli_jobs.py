"""qshield jobs: what is known, without a network; and what the service says, against the stand-in."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from hearing import COMMAND
from ibm_standin import INSTANCE, TOKEN, Fault
from submitting import executor, pub, start
from waiting import wait_until

from qshield_qiskit.cli import app
from qshield_qiskit.devices.jobs.ledger import Ledger


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("QSHIELD_LEDGER", str(tmp_path / "jobs.sqlite"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "jobs.sqlite"


@pytest.fixture
def qshield(capsys):
    def call(*words, status=0):
        with pytest.raises(SystemExit) as end:
            app(list(words), prog_name="qshield")
        said = capsys.readouterr()
        assert end.value.code == status, said.err
        assert TOKEN not in said.out + said.err
        refused = said.err.startswith("error: ")
        assert refused or status != 2
        assert not refused or said.err.count("\n") == 1
        return said.err if refused else said.out

    return call


def submit(ledger, **settings):
    with executor(ledger, **settings) as device, device.submitting():
        device.run(pub())


def listed(qshield, *words, **settings):
    return json.loads(qshield("jobs", *words, "--json", **settings))["jobs"]


def test_without_a_ledger_there_are_no_jobs_and_no_file_is_made(qshield, ledger):
    for command in ("list", "fetch", "watch"):
        assert listed(qshield, command) == []
    assert "no job is called 'x'" in qshield("jobs", "show", "x", status=2)
    assert not ledger.exists()


def test_jobs_alone_lists_them_as_json_too(qshield, ledger):
    assert json.loads(qshield("jobs", "--json"))["jobs"] == []


def test_list_and_show_need_no_network(standin, qshield, ledger):
    service = standin()
    with executor(ledger) as device:
        device.run(pub())
    service.stop()
    jobs = listed(qshield, "list")
    assert [(job["state"], job["start"], job["stop"]) for job in jobs] == [("done", 0, 2), ("done", 2, 4)]
    assert [job["job_id"] for job in jobs] == list(service.jobs)
    assert listed(qshield, "list", "--state", "failed") == []
    assert listed(qshield, "list", jobs[1]["tag"][:14]) == [jobs[1]]
    shown = json.loads(qshield("jobs", "show", jobs[0]["job_id"], "--json"))
    assert np.allclose(np.sum(shown["results"]["figures"], axis=1), 1)
    text = qshield("jobs", "show", jobs[0]["tag"])
    for part in (
        jobs[0]["job_id"],
        "ibm_standin",
        "runs/a",
        "figures (2, 4)",
        "depth",
        "QPU seconds",
        "3, 4",
    ):
        assert part in text
    table = qshield("jobs", "list")
    assert table == qshield("jobs")
    assert table.count("done") == 2


def test_fetch_brings_in_what_is_done_and_waits_for_nothing(standin, qshield, ledger):
    service = standin(held=True)
    submit(ledger)
    assert [job["state"] for job in listed(qshield, "fetch")] == ["submitted"] * 2
    service.queue.release()
    assert [job["state"] for job in listed(qshield, "watch", "--seconds", "0.1")] == ["done"] * 2
    assert [job["usage_seconds"] for job in listed(qshield, "list")] == [
        job.seconds for job in service.jobs.values()
    ]
    requests = len(service.requests)
    with executor(ledger) as device:
        assert np.allclose(device.run(pub()).sum(1), 1)
    assert len(service.requests) == requests, "all is in the ledger"


def test_watch_ends_with_1_if_a_job_failed(standin, qshield, ledger):
    standin(faults=[Fault("POST /jobs", "fails", says="out of [tune]")])
    submit(ledger)
    jobs = listed(qshield, "watch", "--seconds", "0.1", status=1)
    assert [job["state"] for job in jobs] == ["failed", "done"]
    assert "out of [tune]" in jobs[0]["error"]
    assert "out of [tune]" in qshield("jobs", "show", jobs[0]["tag"])


def test_fetch_finds_a_job_whose_id_was_never_written(standin, qshield, ledger):
    service = standin()
    process = start(service.environment, ledger, "accepted")
    process.join(60)
    assert [job["state"] for job in listed(qshield, "list")] == ["submitting", "planned"]
    (job,) = listed(qshield, "watch", "--seconds", "0.1")
    assert (job["state"], job["job_id"]) == ("done", next(iter(service.jobs)))


def test_a_job_that_never_arrived_is_left_to_the_command_that_wanted_it(standin, qshield, ledger):
    service = standin()
    process = start(service.environment, ledger, "written down")
    process.join(60)
    (job,) = listed(qshield, "watch", "--seconds", "0.1")
    assert (job["state"], job["owner"]) == ("submitting", None)
    with executor(ledger) as device:
        device.run(pub())
    assert service.submissions == 2


def test_cancel_is_told_to_the_service_and_written_down(standin, qshield, ledger):
    service = standin(held=True)
    submit(ledger)
    first, second = listed(qshield, "list")
    (cancelled,) = listed(qshield, "cancel", first["tag"])
    assert (cancelled["state"], cancelled["usage_seconds"]) == ("cancelled", 0.0)
    assert [job.state for job in service.jobs.values()] == ["Cancelled", "Queued"]
    service.queue.release()
    listed(qshield, "watch", second["tag"], "--seconds", "0.1")
    assert listed(qshield, "cancel", "--all") == []
    assert [job["state"] for job in listed(qshield, "list")] == ["cancelled", "done"]
    with executor(ledger) as device:
        assert np.allclose(device.run(pub()).sum(1), 1)
    assert service.submissions == 3


def test_a_lost_job_is_cancelled_on_whichever_instance_it_was_taken(standin, qshield, ledger, monkeypatch):
    closed, other = (INSTANCE.replace("instance", name) for name in ("closed", "other"))
    service = standin(held=True, closed_instances=[closed], open_instances=[other])
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    start({**service.environment, "QISKIT_IBM_INSTANCE": ""}, ledger, "accepted").join(60)
    (sent,) = service.jobs.values()
    assert sent.instance == INSTANCE
    cancelled = listed(qshield, "cancel", "--all")
    assert [job["job_id"] for job in cancelled] == [sent.id, None]
    assert sent.state == "Cancelled"


def test_what_has_ended_cannot_be_cancelled_and_is_fetched(standin, qshield, ledger):
    service = standin()
    submit(ledger)
    wait_until(lambda: all(job.state == "Completed" for job in service.jobs.values()))
    assert [job["state"] for job in listed(qshield, "cancel", "--all")] == ["done", "done"]


def test_a_job_that_was_never_sent_is_cancelled_without_a_network(standin, qshield, ledger):
    service = standin()
    process = start(service.environment, ledger, "planned")
    process.join(60)
    service.stop()
    assert [job["state"] for job in listed(qshield, "cancel", "--all")] == ["cancelled", "cancelled"]
    assert listed(qshield, "fetch") == []


def test_a_job_that_the_service_does_not_know_is_told_and_can_be_cancelled(standin, qshield, ledger):
    service = standin(held=True)
    submit(ledger)
    service.queue.jobs.clear()
    line = qshield("jobs", "fetch", status=2)
    assert "QISKIT_IBM_INSTANCE" in line
    assert "qshield jobs cancel qshield-" in line
    assert [job["state"] for job in listed(qshield, "cancel", "--all")] == ["cancelled", "cancelled"]


def test_a_finished_job_that_the_service_has_forgotten_stands_in_nobodys_way(standin, qshield, ledger):
    service = standin(held=True)
    submit(ledger)
    first, second = Ledger(ledger).jobs()
    Ledger(ledger).finish(first, {"figures": np.ones((4, 4))})  # and its charge was never asked for
    service.queue.jobs.pop(first.job_id)
    service.queue.release()
    watched = listed(qshield, "watch", "--seconds", "0.1")
    assert {job["tag"]: job["state"] for job in watched} == {first.tag: "done", second.tag: "done"}


def test_refusals_are_one_line(standin, qshield, ledger, monkeypatch):
    service = standin(held=True)
    submit(ledger)
    assert "say --all" in qshield("jobs", "cancel", status=2)
    assert "2 jobs are called" in qshield("jobs", "show", "qshield", status=2)
    assert "No such command" in qshield("jobs", "eat", status=2)
    assert "such state" in qshield("jobs", "list", "--state", "lost", status=2)
    monkeypatch.setenv("QISKIT_IBM_TOKEN", "wrong")
    assert "QISKIT_IBM_TOKEN" in qshield("jobs", "fetch", status=2)
    monkeypatch.setenv("QISKIT_IBM_TOKEN", TOKEN)
    service.stop()
    assert "cannot be reached" in qshield("jobs", "fetch", status=1)
    ledger.write_bytes(b"no ledger" * 1000)
    assert "not a database" in qshield("jobs", "list", status=2)


def test_watch_is_stopped_by_the_keyboard_and_nothing_is_lost(standin, qshield, ledger):
    service = standin(held=True)
    submit(ledger)
    command = [sys.executable, "-c", COMMAND, "jobs", "watch", "--seconds", "0.1"]
    environment = {**os.environ, **service.environment, "QSHIELD_LEDGER": str(ledger)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        first = next(iter(service.jobs))
        wait_until(lambda: service.asked("GET", f"/jobs/{first}") >= 3, process)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode in {1, 130}
    assert "Traceback" not in said
    with Ledger(ledger) as opened:
        assert [job.state for job in opened.jobs()] == ["submitted"] * 2
