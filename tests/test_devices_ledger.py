"""The ledger: what goes in comes out, each answer has one row, and nobody's file is spoilt."""

import itertools
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from submitting import processes

from qshield_qiskit.devices.jobs.draws import Draws
from qshield_qiskit.devices.jobs.job import SAME_ANGLE, Ask
from qshield_qiskit.devices.jobs.ledger import BudgetReached, Ledger, default_path
from qshield_qiskit.devices.jobs.ownership import LEASE_SECONDS, is_running, this_process
from qshield_qiskit.devices.jobs.schema import APPLICATION, SCHEMA, VERSION
from qshield_qiskit.devices.primitives import PrimitiveOptions
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.pub import Pub

COST = {"seconds": 3.0}


def ask(values=None, draw=0, purpose="runs/a", observables=None, options=None, shots=100) -> Ask:
    x = ParameterVector("x", 2)
    circuit = QuantumCircuit(2)
    circuit.rx(x[0], 0)
    circuit.cx(0, 1)
    circuit.ry(x[1], 1)
    values = np.zeros((4, 2)) if values is None else values
    pub = Pub(circuit, tuple(x), values, observables, shots)
    return Ask(pub, "ibm_standin", options or PrimitiveOptions(), draw, purpose)


def begin(ledger: Ledger, job, **settings):
    circuit = QuantumCircuit(2, name="isa")
    settings = {"purpose": job.purpose, **settings}
    return ledger.begin(job, circuit, calibration="2026-01-01", layout=(3, 4), cost=COST, **settings)


@pytest.fixture
def ledger(tmp_path):
    ledger = Ledger(tmp_path / "jobs.sqlite")
    yield ledger
    ledger.close()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=npst.arrays(np.float64, st.tuples(st.integers(1, 9), st.just(2)), elements=st.floats(-1e3, 1e3)),
    cut=st.integers(0, 8),
)
def test_angles_circuits_and_results_come_back_bit_by_bit(tmp_path, values, cut):
    ledger = Ledger(tmp_path / f"{np.random.default_rng().integers(1 << 60)}.sqlite")
    bounds = sorted({0, min(cut, len(values)), len(values)})
    parts = list(itertools.pairwise(bounds))
    asked = ask(values)
    jobs = ledger.plan(asked, parts)
    assert [(job.start, job.stop) for job in jobs] == parts
    for job in jobs:
        assert ledger.values(job).tobytes() == values[job.start : job.stop].tobytes()
        assert ledger.circuit(job) is None
        sent = begin(ledger, job)
        assert (sent.layout, sent.cost, sent.expected_seconds) == ((3, 4), COST, 3.0)
        assert ledger.circuit(job) == QuantumCircuit(2, name="isa")
        ledger.submitted(job, f"id{job.number}")
        assert ledger.finish(job, {"figures": values[job.start : job.stop] ** 2})
        ledger.remark(job, usage=2.5, calibration_at_run=None)
        assert not ledger.finish(job, {"figures": -values}), "a result is stored once"
        assert ledger.results(job)["figures"].tobytes() == (values[job.start : job.stop] ** 2).tobytes()
    ledger.close()
    again = Ledger(ledger.path)
    assert [job.state for job in again.known(asked)] == ["done"] * len(parts)
    assert again.spent("runs/a", "ibm_standin") == 2.5 * len(parts)
    again.close()


def test_the_same_pub_has_one_row_and_another_draw_shots_options_or_device_has_its_own(ledger):
    (job,) = ledger.plan(ask(), [(0, 4)])
    assert ledger.plan(ask(purpose="another"), [(0, 4)]) == [job]
    assert ledger.plan(ask(options=PrimitiveOptions(resilience_level=0)), [(0, 4)]) == [job], (
        "the Sampler knows no resilience level"
    )
    others = [
        ask(draw=1),
        ask(shots=101),
        ask(values=np.ones((4, 2))),
        ask(options=PrimitiveOptions(twirling=True)),
        replace(ask(), backend="ibm_other"),
        ask(observables=(SparsePauliOp("ZZ"),)),
        ask(observables=(SparsePauliOp("ZZ"),), options=PrimitiveOptions(resilience_level=0)),
    ]
    numbers = [ledger.plan(other, [(0, 4)])[0].number for other in others]
    assert len({job.number, *numbers}) == 1 + len(others)


def test_a_planned_pub_keeps_its_parts_whatever_the_limits_are_later(ledger):
    first = ledger.plan(ask(), [(0, 3), (3, 4)])
    assert ledger.plan(ask(), [(0, 4)]) == first


def test_a_failed_or_cancelled_job_is_replaced_and_kept(ledger):
    first, second = ledger.plan(ask(), [(0, 3), (3, 4)])
    begin(ledger, first)
    ledger.submitted(first, "id")
    ledger.give_up(first, "failed", "out of tune")
    ledger.remark(first, usage=0.5, calibration_at_run=None)
    again, same = ledger.plan(ask(), [(0, 4)])
    assert (again.state, again.attempt, again.start, again.stop) == ("planned", 1, 0, 3)
    assert again.tag != first.tag
    assert same == second
    assert ledger.read(first).error == "out of tune"
    assert ledger.spent("runs/a", "ibm_standin") == 0.5


def test_a_job_is_begun_by_one_of_two_who_try(ledger):
    (job,) = ledger.plan(ask(), [(0, 4)])
    other = Ledger(ledger.path)
    begun = begin(ledger, job)
    assert begun.owner == this_process()
    assert begin(other, job) is None
    assert other.adopt(job) is None, "this process is still at it"
    other.release(job, refused=True)
    assert ledger.read(job) == begun, "who does not hold it lets nothing go"
    ledger.release(begun)
    adopted = other.adopt(job)
    assert adopted.owner == this_process()
    assert ledger.adopt(job) is None
    assert begin(ledger, job) is None, "what it remembers of the job is out of date"
    again = begin(other, adopted)
    assert again.state == "submitting"
    other.release(again, refused=True)
    assert ledger.read(job).state == "planned"
    other.close()


def test_what_another_process_has_begun_is_not_dropped(ledger):
    job, other = ledger.plan(ask(), [(0, 2), (2, 4)])
    begin(Ledger(ledger.path), job)
    assert not ledger.drop(job), "what it remembers of the job is out of date"
    ledger.submitted(job, "d1abc")
    assert (ledger.read(job).state, ledger.read(job).job_id) == ("submitted", "d1abc")
    assert ledger.drop(other)
    assert (ledger.read(other).state, ledger.read(other).usage_seconds) == ("cancelled", 0.0)


def begin_and_wait(path, begun):
    begin(Ledger(path), Ledger(path).known(ask())[0])
    begun.set()
    time.sleep(60)


def test_whoever_was_killed_holds_nothing(ledger):
    (job,) = ledger.plan(ask(), [(0, 4)])
    begun = processes().Event()
    process = processes().Process(target=begin_and_wait, args=(ledger.path, begun))
    process.start()
    assert begun.wait(60)
    held = ledger.read(job)
    assert is_running(held.owner)
    assert held.is_held
    assert ledger.adopt(job) is None
    process.kill()
    process.join()
    assert is_running(held.owner) is False
    assert ledger.adopt(job).owner == this_process()


def test_a_process_of_another_machine_holds_a_job_for_a_while(ledger):
    (job,) = ledger.plan(ask(), [(0, 4)])
    sent = begin(ledger, job)
    elsewhere = replace(sent, owner="another-host:1:1")
    assert is_running(elsewhere.owner) is None
    assert elsewhere.is_held
    earlier = datetime.now(UTC) - timedelta(seconds=LEASE_SECONDS + 1)
    assert not replace(elsewhere, claimed_at=earlier.isoformat()).is_held


def test_a_number_that_another_process_has_now_does_not_count():
    host, pid, started = this_process().rsplit(":", 2)
    assert is_running(f"{host}:{pid}:{started}")
    assert is_running(f"{host}:{pid}:1{started}") is False


def test_a_process_of_another_container_cannot_be_seen_from_here():
    host, pid, started = this_process().rsplit(":", 2)
    name, namespace = host.rsplit("/", 1)
    assert is_running(f"{name}/{int(namespace) + 1}:{pid}:{started}") is None
    assert is_running(f"{name}:{pid}:{started}") is None, "as an earlier version named it"


def test_who_sends_a_job_pays_for_it(ledger):
    first, second = ledger.plan(ask(purpose="runs/a"), [(0, 2), (2, 4)])
    begin(ledger, first, purpose="runs/b", limit=4.0)
    assert (ledger.spent("runs/a", "ibm_standin"), ledger.spent("runs/b", "ibm_standin")) == (0.0, 3.0)
    with pytest.raises(BudgetReached):
        begin(ledger, second, purpose="runs/b", limit=4.0)
    begin(ledger, second, limit=4.0)
    assert ledger.read(second).purpose == "runs/a"


def test_the_budget_counts_what_is_promised_and_what_is_charged(ledger):
    jobs = ledger.plan(ask(), [(0, 1), (1, 2), (2, 3), (3, 4)])
    begin(ledger, jobs[0], limit=6.0)
    begin(ledger, jobs[1], limit=6.0)
    with pytest.raises(BudgetReached) as stop:
        begin(ledger, jobs[2], limit=6.0)
    assert stop.value.spent == 6.0
    assert ledger.read(jobs[2]).state == "planned"
    ledger.finish(jobs[0], {"figures": np.zeros(1)})
    ledger.remark(jobs[0], usage=1.0, calibration_at_run=None)
    assert begin(ledger, jobs[2], limit=7.0) is not None
    (other,) = ledger.plan(ask(draw=1, purpose="runs/b"), [(0, 4)])
    assert begin(ledger, other, limit=3.0) is not None, "another purpose has a budget of its own"


def test_a_late_answer_does_not_undo_a_result(ledger):
    (job,) = ledger.plan(ask(), [(0, 4)])
    begin(ledger, job)
    ledger.submitted(job, "first")
    ledger.submitted(job, "second")
    assert ledger.read(job).job_id == "first"
    ledger.finish(job, {"figures": np.ones(1)})
    ledger.give_up(job, "cancelled")
    ledger.release(job)
    assert ledger.read(job).state == "done"


def test_draws_of_one_pub_are_counted_and_a_replay_walks_the_same_ones(ledger):
    draws = Draws(ledger, "runs/a", "ibm_standin")
    assert [draws.next(ask()).draw for _ in range(3)] == [0, 1, 2]
    assert draws.next(ask(shots=7)).draw == 0
    with draws.not_counted():
        assert draws.next(ask()).draw == 3
    assert draws.next(ask()).draw == 3
    assert Draws(ledger, "runs/a", "ibm_standin").next(ask()).draw == 0


def test_a_fresh_start_goes_beyond_what_is_stored_and_survives_a_crash(ledger):
    for draw in range(2):
        ledger.plan(ask(draw=draw), [(0, 4)])
    crashed = Draws(ledger, "runs/a", "ibm_standin", fresh=True)
    first = crashed.next(ask())
    assert first.draw == 2
    ledger.plan(first, [(0, 4)])
    again = Draws(ledger, "runs/a", "ibm_standin", fresh=True)
    assert again.next(ask()).draw == 2, "an unfinished fresh start goes on"
    again.finish()
    assert Draws(ledger, "runs/a", "ibm_standin").next(ask()).draw == 2, "later commands stay with it"
    assert Draws(ledger, "runs/a", "ibm_standin", fresh=True).next(ask()).draw == 3
    assert Draws(ledger, "runs/b", "ibm_standin").next(ask()).draw == 0, "other purposes are not concerned"


def test_a_plain_command_ends_a_fresh_start_only_if_it_came_upon_all_of_it(ledger):
    fresh = Draws(ledger, "runs/a", "ibm_standin", fresh=True)
    for asked in (ask(), ask(), ask(shots=7)):
        ledger.plan(fresh.next(asked), [(0, 4)])
    plain = Draws(ledger, "runs/a", "ibm_standin")
    for asked in (ask(), ask(shots=7)):
        plain.next(asked)
    plain.finish()
    assert Draws(ledger, "runs/a", "ibm_standin", fresh=True).next(ask()).draw == 0, (
        "one draw was not asked for"
    )
    plain.next(ask())
    plain.finish()
    assert Draws(ledger, "runs/a", "ibm_standin", fresh=True).next(ask()).draw == 2


def test_jobs_are_found_by_tag_id_number_or_beginning(ledger):
    jobs = ledger.plan(ask(), [(0, 2), (2, 4)])
    begin(ledger, jobs[0])
    ledger.submitted(jobs[0], "d1abc")
    for name in (jobs[0].tag, jobs[0].tag[:16], jobs[0].short_tag[:8], "d1abc", "d1a", str(jobs[0].number)):
        assert ledger.find(name).number == jobs[0].number
    for name, says in (
        ("nothing", "no job is called"),
        ("qshield-", "2 jobs are called"),
        ("", "2 jobs are called"),
    ):
        with pytest.raises(InputError, match=says):
            ledger.find(name)


def test_the_ledger_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.delenv("QSHIELD_LEDGER", raising=False)
    assert default_path() == Path("runs/jobs.sqlite")
    monkeypatch.setenv("QSHIELD_LEDGER", str(tmp_path / "new" / "mine.sqlite"))
    Ledger().close()
    assert (tmp_path / "new" / "mine.sqlite").is_file()


def make_newer(path):
    Ledger(path).close()
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def make_foreign(path):
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE birds (name)")


def make_damaged(path):
    ledger = Ledger(path)
    for draw in range(50):
        ledger.plan(ask(np.random.default_rng(draw).normal(size=(4, 2)), draw), [(0, 4)])
    ledger.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)


def test_an_earlier_versions_ledger_keeps_its_answers_and_learns_the_new_ones_angles(tmp_path):
    path = tmp_path / "jobs.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(SCHEMA)
        db.execute(f"PRAGMA application_id = {APPLICATION}")
        db.execute("PRAGMA user_version = 1")
    with Ledger(path) as ledger:
        (job,) = ledger.plan(ask(), [(0, 4)])
    with Ledger(path) as again, closing(sqlite3.connect(path)) as db:
        assert again.known(ask()) == [job]
        assert db.execute("PRAGMA user_version").fetchone()[0] == VERSION
        assert again.recognised(ask(np.full((4, 2), 1e-7))).key == ask().key


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=npst.arrays(np.float64, st.just((4, 2)), elements=st.floats(-7, 7)),
    moved=npst.arrays(np.float64, st.just((4, 2)), elements=st.floats(-2e-4, 2e-4)),
)
def test_a_pub_is_recognised_by_every_single_angle(tmp_path, values, moved):
    with Ledger(tmp_path / f"{np.random.default_rng().integers(1 << 60)}.sqlite") as ledger:
        ledger.plan(ask(values), [(0, 1), (1, 4)])
        found = ledger.recognised(ask(values + moved))
        distance = np.abs(values + moved - values).max()
        assert (found.key == ask(values).key) == (distance <= SAME_ANGLE)
        for other in (ask(values + moved, shots=7), replace(ask(values + moved), backend="ibm_other")):
            assert ledger.recognised(other).key == other.key


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (
            lambda path: path.write_text("not a database, but long enough to look like one" * 50),
            "not a database",
        ),
        (make_foreign, "another program's database"),
        (make_newer, "newer QShield .schema 99"),
        (make_damaged, "cannot be used"),
        (lambda path: path.mkdir(), "cannot be used"),
    ],
    ids=["no database", "foreign", "newer", "damaged", "folder"],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line_and_left_alone(tmp_path, spoil, says):
    path = tmp_path / "jobs.sqlite"
    spoil(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InputError, match=says) as refusal:
        ledger = Ledger(path)
        try:
            ledger.jobs()
        finally:
            ledger.close()
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)
    if before is not None:
        assert path.read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_ledger_that_may_not_be_written_is_refused(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be used"):
        Ledger(tmp_path / "jobs.sqlite")
    tmp_path.chmod(0o700)


def test_a_damaged_result_is_refused_in_one_line(ledger):
    (job,) = ledger.plan(ask(), [(0, 4)])
    begin(ledger, job)
    ledger.finish(job, {"figures": np.ones(9)})
    with closing(sqlite3.connect(ledger.path)) as db, db:
        db.execute("UPDATE jobs SET results = substr(results, 1, 40), circuit = x'00'")
    with pytest.raises(InputError, match=f"result of job {job.tag} is damaged"):
        ledger.results(job)
    with pytest.raises(InputError, match=f"circuit of job {job.tag} cannot be read"):
        ledger.circuit(job)


def open_and_plan(path, ready, found):
    ready.wait()
    ledger = Ledger(path)
    found.put([job.tag for draw in range(20) for job in ledger.plan(ask(draw=draw), [(0, 2), (2, 4)])])


def test_many_processes_open_a_new_ledger_at_once(tmp_path):
    ready, found = processes().Barrier(3), processes().Queue()
    arguments = (tmp_path / "jobs.sqlite", ready, found)
    running = [processes().Process(target=open_and_plan, args=arguments) for _ in range(3)]
    for process in running:
        process.start()
    said = [found.get(timeout=60) for _ in running]
    for process in running:
        process.join()
    assert said[0] == said[1] == said[2]
    assert len(set(said[0])) == 40
