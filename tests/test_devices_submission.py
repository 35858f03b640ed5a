"""No job is lost and none is sent twice, whatever is killed, lost, refused or late."""

import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ibm_standin import TOKEN, Fault, StandInDevice
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp, Statevector
from submitting import MOMENTS, WAITING, backend, executor, processes, pub, start
from waiting import wait_until

from qshield_qiskit.devices import primitives
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.jobs.cost import Cost, Limits, Rate, rate
from qshield_qiskit.devices.jobs.ledger import Ledger
from qshield_qiskit.devices.jobs.outcomes import BudgetSpent, JobsLost
from qshield_qiskit.devices.laying_out import laid_out, on_device, start_layout
from qshield_qiskit.devices.primitives import PrimitiveOptions
from qshield_qiskit.devices.snapshot import fake_device, take_snapshot
from qshield_qiskit.errors import InputError

IMPATIENT = replace(WAITING, sending=0.5, outage=0.5)
OBSERVABLES = (SparsePauliOp("ZI"), SparsePauliOp(["IZ", "XX"], [1.0, 0.5]))


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "jobs.sqlite"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What the PUB comes to when nothing goes wrong; the stand-in's draws are the same each time."""
    from ibm_standin import IBMStandIn, use

    folder = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch, IBMStandIn() as service:
        use(service, patch, folder)
        with executor(folder / "jobs.sqlite") as device:
            figures = device.run(pub())
        assert service.submissions == 2
    return figures


def states(ledger):
    opened = Ledger(ledger)
    found = [job.state for job in opened.jobs()]
    opened.close()
    return found


def test_frequencies_come_back_in_order_and_the_same_pub_is_not_sent_again(standin, ledger):
    service = standin()
    with executor(ledger, limits=None) as device:
        figures = device.run(pub(shots=4000))
    assert figures.shape == (4, 4)
    exact = [Statevector(pub().circuit.assign_parameters(row)).probabilities() for row in pub().values]
    assert np.abs(figures - exact).max() < 0.12  # the device's errors, and 4000 shots'
    sent = service.submissions
    with executor(ledger, purpose="another") as device:  # smaller limits now: the parts stay as they are
        assert (device.run(pub(shots=4000)) == figures).all()
    assert service.submissions == sent


def test_expectation_values_are_those_of_the_users_qubits(standin, ledger):
    standin([StandInDevice(snapshot="fake_manila")])
    asked = pub(observables=OBSERVABLES, shots=4000)
    with executor(ledger, options=PrimitiveOptions(resilience_level=1), limits=None) as device:
        figures = device.run(asked)
    exact = [
        [Statevector(asked.circuit.assign_parameters(row)).expectation_value(o).real for o in OBSERVABLES]
        for row in asked.values
    ]
    assert np.abs(figures - exact).max() < 0.12
    (job,) = device.ledger.jobs()
    assert device.ledger.results(job)["standard_errors"].shape == (4, 2)


@pytest.mark.parametrize("moment", MOMENTS)
def test_after_a_kill_the_same_call_goes_on(standin, ledger, undisturbed, moment):
    service = standin()
    process = start(service.environment, ledger, moment)
    process.join(60)
    assert process.exitcode == -9
    with executor(ledger) as device:
        figures = device.run(pub())
    assert service.submissions == 2
    assert (figures == undisturbed).all()
    assert states(ledger) == ["done", "done"]


def test_killed_again_and_again_at_any_time(standin, ledger, undisturbed):
    """After so many more requests each time: before anything is sent, in between, and while it waits in the queue."""
    service, sent = standin(held=True), []
    for more in (1, 12, 19, 21, 25, 32):
        process, enough = start(service.environment, ledger), len(service.requests) + more
        wait_until(lambda enough=enough: len(service.requests) >= enough)
        process.kill()
        process.join()
        assert process.exitcode == -9
        sent.append(service.submissions)
    assert (sent[0], sent[-1]) == (0, 2)
    service.queue.release()
    with executor(ledger) as device:
        assert (device.run(pub()) == undisturbed).all()
    assert service.submissions == 2


def test_killed_while_the_answer_is_on_its_way(standin, ledger, undisturbed):
    service = standin(faults=[Fault("POST /jobs", "late", acted=True, seconds=30)])
    process = start(service.environment, ledger)
    wait_until(lambda: service.submissions)
    process.kill()
    process.join()
    with executor(ledger) as device:
        assert (device.run(pub()) == undisturbed).all()
    assert service.submissions == 2


@pytest.mark.parametrize("then", ["sent", "cancelled"])
def test_a_job_that_is_listed_late_is_waited_for_however_old_its_claim_is(standin, ledger, then):
    service = standin()
    start(service.environment, ledger, "accepted").join(60)
    time.sleep(WAITING.settle)
    with executor(ledger) as device:
        tagged, asked = device.collector.service.tagged, []

        def lagging(tag):
            asked.append(tag)
            return tagged(tag) if len(asked) > 1 else []

        device.collector.service.tagged = lagging
        if then == "sent":
            device.run(pub())
            assert service.submissions == 2
        else:
            (lost,) = device.ledger.jobs("submitting")
            assert device.collector.cancel(lost).job_id == next(iter(service.jobs))


def test_two_processes_with_the_same_command_send_each_job_once(standin, ledger, undisturbed):
    service = standin(queue_seconds=0.1)
    ready = processes().Barrier(2)
    running = [start(service.environment, ledger, ready=ready) for _ in range(2)]
    for process in running:
        process.join(60)
    assert [process.exitcode for process in running] == [0, 0]
    with executor(ledger) as device:
        assert (device.run(pub()) == undisturbed).all()
    assert service.submissions == 2


def test_one_waits_for_the_other_and_takes_over_when_it_dies(standin, ledger, undisturbed):
    service = standin(faults=[Fault("POST /jobs", "late", acted=True, seconds=30)])
    first = start(service.environment, ledger)
    wait_until(lambda: service.submissions)
    second = start(service.environment, ledger)
    time.sleep(1.0)
    assert second.is_alive(), "the first may still get its id"
    first.kill()
    first.join()
    second.join(60)
    assert second.exitcode == 0
    assert service.submissions == 2
    with executor(ledger) as device:
        assert (device.run(pub()) == undisturbed).all()


SURVIVED = {
    "too many requests": [Fault("POST /jobs", "429", times=2)],
    "server error": [Fault("POST /jobs", "500")],
    "server error after all": [Fault("POST /jobs", "500", acted=True)],
    "unavailable": [Fault("POST /jobs", "503", times=2)],
    "dropped before": [Fault("POST /jobs", "drop", times=2)],
    "dropped after": [Fault("POST /jobs", "drop", acted=True)],
    "dropped after, and no list": [
        Fault("POST /jobs", "drop", acted=True),
        Fault("GET /jobs", "500", times=2),
    ],
    "every second one lost": [Fault("POST /jobs", "drop", acted=True, skip=1)],
    "no batch at once": [Fault("POST /sessions", "500", times=2)],
    "no status": [Fault("GET /jobs/{id}", "drop", times=3)],
    "busy": [Fault("GET /jobs/{id}", "429", times=3)],
    "results dropped": [Fault("GET /jobs/{id}/results", "drop", times=3)],
    "results unavailable": [Fault("GET /jobs/{id}/results", "500", times=2)],
    "no usage": [Fault("GET /jobs/{id}/metrics", "500", times=2)],
    "no batch to close": [Fault("PATCH /sessions/{id}", "500", times=9), Fault("DELETE *", "500", times=9)],
    "recalibrated": [Fault("POST /jobs", "recalibrate")],
    "device gone": [Fault("POST /jobs", "retire", skip=1)],
}


@pytest.mark.parametrize("name", SURVIVED)
def test_faults_that_pass_are_lived_through(standin, ledger, undisturbed, name):
    service = standin(faults=[replace(fault) for fault in SURVIVED[name]])
    with executor(ledger) as device:
        figures = device.run(pub())
    assert service.submissions == 2, "neither lost nor sent twice"
    assert figures.shape == undisturbed.shape
    if name != "recalibrated":
        assert (figures == undisturbed).all()
    assert states(ledger) == ["done", "done"]


STOPPED = {
    "server error": ([Fault("POST /jobs", "500", times=99)], "ibm_standin: .* error of its own .HTTP 500."),
    "no answer": ([Fault("POST /jobs", "drop", times=99)], "closed the connection without an answer"),
    "rate limit": ([Fault("POST /jobs", "429", times=99)], "too many requests"),
    "refused": ([Fault("POST /jobs", "403", says="not for you")], "ibm_standin: .*not for you"),
    "no results": ([Fault("GET /jobs/{id}/results", "500", times=99)], "job .*HTTP 500.*nothing is lost"),
    "no list": (
        [Fault("POST /jobs", "drop", acted=True), Fault("GET /jobs", "500", times=99)],
        "job qshield-.*",
    ),
    "no device": ([Fault("GET /backends", "500", times=99)], "HTTP 500"),
}


@pytest.mark.parametrize("name", STOPPED)
def test_faults_that_stay_are_told_in_one_line_and_the_same_call_goes_on(standin, ledger, undisturbed, name):
    faults, says = STOPPED[name]
    service = standin(faults=[replace(fault) for fault in faults])
    with pytest.raises(InputError, match=says) as refusal, executor(ledger, waiting=IMPATIENT) as device:
        device.run(pub())
    assert "\n" not in str(refusal.value)
    assert TOKEN not in str(refusal.value)
    service.plan.faults.clear()
    with executor(ledger) as device:
        assert (device.run(pub()) == undisturbed).all()
    assert service.submissions == 2


def test_a_service_that_is_down_is_told_in_one_line(standin, ledger):
    service = standin()
    with executor(ledger, waiting=IMPATIENT) as device:
        device.collector.service  # noqa: B018  # opened while it is there
        service.stop()
        with pytest.raises(InputError, match="cannot be reached"):
            device.run(pub())
    assert set(states(ledger)) == {"planned"}


@pytest.mark.parametrize(("end", "says"), [("fails", "failed: .*out of tune"), ("too long", "failed: ")])
def test_a_failed_job_is_told_and_only_that_is_sent_anew(standin, ledger, end, says):
    service = standin(faults=[Fault("POST /jobs", end, says="out of tune")])
    with pytest.raises(JobsLost, match=says) as lost, executor(ledger) as device:
        device.run(pub())
    assert [job.start for job in lost.value.jobs] == [0]
    assert states(ledger) == ["failed", "done"]
    with executor(ledger) as device:
        assert np.allclose(device.run(pub()).sum(1), 1)
    assert service.submissions == 3
    assert states(ledger) == ["failed", "done", "done"]


def test_a_second_copy_of_a_job_is_cancelled_and_the_first_one_counts(standin, ledger):
    service = standin(held=True, faults=[Fault("POST /jobs", "drop", acted=True)])
    with executor(ledger, limits=None) as device:
        find, missed = device.collector.find, []

        def lagging(*details):  # the service's list of jobs does not have the first one yet
            return find(*details) if missed else missed.append(details)

        device.collector.find = lagging
        with device.submitting():
            device.run(pub())
        first, second = service.jobs.values()
        assert first.tags == second.tags
        assert [job.job_id for job in device.ledger.jobs()] == [first.id]
        assert (first.state, second.state) == ("Queued", "Cancelled")
        service.queue.release()
        assert np.allclose(device.run(pub()).sum(1), 1)
    assert [job.executions for job in (first, second)] == [256, 0]


@pytest.mark.parametrize("catches_up", [False, True], ids=["never listed", "listed late"])
def test_a_second_copy_that_is_not_listed_yet_is_cancelled_too(standin, ledger, catches_up):
    service = standin(held=True, faults=[Fault("POST /jobs", "drop", acted=True)])
    with executor(ledger, limits=None) as device:
        tagged, asked = device.collector.service.tagged, []

        def lagging(tag):  # lacks the first job for a while, and the second one for longer
            if service.submissions == 1:
                return []
            asked.append(tag)
            return tagged(tag) if catches_up and len(asked) > 2 else tagged(tag)[: len(asked) > 1]

        device.collector.service.tagged = lagging
        with device.submitting():
            device.run(pub())
        first, second = service.jobs.values()
        assert [job.job_id for job in device.ledger.jobs()] == [first.id]
        assert (first.state, second.state) == ("Queued", "Cancelled")
        service.queue.release()
        device.run(pub())
    assert [job.executions for job in (first, second)] == [256, 0]


def test_a_second_attempt_that_is_the_only_one_is_kept(standin, ledger):
    service = standin(faults=[Fault("POST /jobs", "500")])
    with executor(ledger, limits=None) as device:
        device.collector.service.tagged = lambda tag: []  # no list ever has it
        device.run(pub())
    assert [job.job_id for job in device.ledger.jobs()] == list(service.jobs)


def test_a_calibration_that_changes_before_the_fetch_pays_nothing_again(standin, ledger):
    service = standin(held=True)
    with executor(ledger) as device, device.submitting():
        device.run(pub())
    service.devices["ibm_standin"].recalibrate()
    service.queue.release()
    newer = take_snapshot(fake_device("fake_manila")).reduce((0, 1))
    moved = Backend.calibrated(
        "ibm_standin", newer.model_copy(update={"taken_at": newer.taken_at.replace(year=2027)})
    )
    with executor(ledger, backend=moved) as device:
        assert np.allclose(device.run(pub()).sum(1), 1)
    assert service.submissions == 2
    for job in device.ledger.jobs():
        assert job.layout in {(3, 4), (4, 3)}
        assert job.calibration.startswith("2024-05-27")
        assert job.calibration_at_run > job.calibration


def test_a_device_that_is_gone_is_told_in_one_line_and_its_results_can_be_had(standin, ledger):
    service = standin()
    with executor(ledger) as device, device.submitting():
        device.run(pub())
    service.devices["ibm_standin"].retired = True
    with executor(ledger) as device:
        assert np.allclose(device.run(pub()).sum(1), 1)
        with pytest.raises(InputError, match="ibm_standin"):
            device.run(pub(seed=1))
    assert service.submissions == 2


def test_submitting_returns_at_once_and_the_same_pubs_are_answered_later(standin, ledger):
    service = standin(held=True)
    with executor(ledger) as device:
        with device.submitting() as plan:
            early = [device.run(pub(seed=seed)) for seed in (0, 1, 0)]
        assert np.isnan(early).all()
        assert [job.state for job in plan.jobs] == ["submitted"] * 6
        assert len(service.sessions) == 1
        service.queue.release()
        late = [device.run(pub(seed=seed)) for seed in (0, 1, 0)]
    assert np.allclose(np.sum(late, axis=2), 1)
    assert service.submissions == 6
    assert [session["accepting_jobs"] for session in service.sessions.values()] == [False]


def test_planning_writes_nothing_and_asks_nobody(standin, ledger):
    service = standin()
    with (
        executor(ledger, confirm=lambda cost: pytest.fail("nothing is to be paid")) as device,
        device.planning() as plan,
    ):
        assert np.isnan(device.run(pub())).all()
        device.run(pub())
    assert (plan.total.jobs, plan.total.sets, plan.total.shots, plan.total.executions) == (4, 8, 64, 512)
    assert set(plan.layout) == {3, 4}
    assert not ledger.exists()
    assert service.requests == []


def test_planning_knows_what_is_there_already(standin, ledger):
    standin()
    with executor(ledger) as device:
        figures = device.run(pub())
        with device.planning() as plan:
            device.run(pub())
            assert plan.total.jobs == 2, "a second draw"
    with executor(ledger) as device, device.planning() as plan:
        assert (device.run(pub()) == figures).all()
        assert plan.total is None
        assert len(plan.jobs) == 2
    with executor(ledger, fresh=True) as device, device.planning() as plan:
        device.run(pub())
        assert plan.total.jobs == 2


def test_repeated_draws_differ_and_are_replayed(standin, ledger):
    service = standin(seed=None)
    with executor(ledger) as device:
        draws = [device.run(pub()) for _ in range(3)]
    assert not (draws[0] == draws[1]).all()
    sent = service.submissions
    with executor(ledger) as device:
        assert (np.array([device.run(pub()) for _ in range(3)]) == np.array(draws)).all()
    assert service.submissions == sent == 6


def test_angles_whose_last_bits_moved_are_not_paid_for_again(standin, ledger):
    service = standin(seed=None)

    def moved(by):
        return replace(pub(), values=pub().values + by)

    with executor(ledger) as device:
        figures = device.run(pub())
    with executor(ledger) as device:
        with device.planning() as plan:
            device.run(moved(1e-7))
            assert plan.total is None
        assert (device.run(moved(1e-7)) == figures).all()
        assert service.submissions == 2
        second = device.run(moved(2e-7))  # asked in one go, it is a question of its own
        assert not (second == figures).all()
        sent = np.concatenate([device.ledger.values(job) for job in device.ledger.jobs()[2:]])
        assert (sent == moved(2e-7).values).all(), "what runs are the angles asked for"
    assert service.submissions == 4
    with executor(ledger) as device:
        replayed = [device.run(moved(by)) for by in (3e-7, 4e-7)]
        assert (np.array(replayed) == np.array([figures, second])).all()
        assert service.submissions == 4
        device.run(moved(1e-3))
    assert service.submissions == 6


def test_a_fresh_run_pays_again_once_even_if_it_is_killed(standin, ledger):
    service = standin(seed=None)
    with executor(ledger) as device:
        old = device.run(pub())
    process = start(service.environment, ledger, "identified", fresh=True)
    process.join(60)
    assert service.submissions == 3
    with executor(ledger, fresh=True) as device:
        new = device.run(pub())
    assert service.submissions == 4
    assert not (new == old).all()
    with executor(ledger) as device:
        assert (device.run(pub()) == new).all()
    with executor(ledger, fresh=True) as device:
        device.run(pub())
    assert service.submissions == 6


def test_submitted_afresh_and_fetched_afresh_is_one_fresh_start(standin, ledger):
    service = standin()
    for _ in range(2):
        with executor(ledger, fresh=True) as device, device.submitting():
            device.run(pub())
    with executor(ledger, fresh=True) as device:
        device.run(pub())
    assert service.submissions == 2


def test_submitted_afresh_and_fetched_plainly_is_a_whole_fresh_start(standin, ledger):
    service = standin(seed=None)
    with executor(ledger, fresh=True) as device, device.submitting():
        device.run(pub())
    with executor(ledger) as device:
        device.run(pub(seed=1))  # sends something else meanwhile
    with executor(ledger, fresh=True) as device, device.planning() as plan:
        device.run(pub())
        assert plan.total is None, "what was submitted was not fetched yet"
    with executor(ledger) as device:
        first = device.run(pub())
        device.run(pub(seed=1))
    assert service.submissions == 4
    with executor(ledger, fresh=True) as device:
        assert not (device.run(pub()) == first).all()
    assert service.submissions == 6


def test_a_budget_stops_with_what_there_is_and_a_higher_one_goes_on(standin, ledger, undisturbed):
    service = standin()
    with pytest.raises(BudgetSpent) as stop, executor(ledger, max_qpu_seconds=3.0) as device:
        device.run(pub())
    assert service.submissions == 1
    assert stop.value.answered.tolist() == [True, True, False, False]
    assert (stop.value.figures[:2] == undisturbed[:2]).all()
    assert np.isnan(stop.value.figures[2:]).all()
    assert "backend.max_qpu_seconds=3 is reached" in str(stop.value)
    with pytest.raises(BudgetSpent), executor(ledger, max_qpu_seconds=3.0) as device:
        device.run(pub())
    assert service.submissions == 1
    with executor(ledger, max_qpu_seconds=5.0) as device:
        assert (device.run(pub()) == undisturbed).all()
        assert device.ledger.spent("runs/a", "ibm_standin") == sum(
            job.seconds for job in service.jobs.values()
        )
    assert service.submissions == 2


def test_who_sends_what_another_one_had_planned_pays_for_it(standin, ledger):
    service = standin()
    start(service.environment, ledger, "planned", purpose="runs/a").join(60)
    with executor(ledger, purpose="runs/b", max_qpu_seconds=3.0) as device, pytest.raises(BudgetSpent):
        device.run(pub())
    assert service.submissions == 1
    spent = [device.ledger.spent(purpose, "ibm_standin") for purpose in ("runs/a", "runs/b")]
    assert spent == [0.0, sum(job.seconds for job in service.jobs.values())]


def test_a_budget_that_stops_a_job_does_not_wait_for_one_that_nobody_is_sending(standin, ledger):
    service = standin(faults=[Fault("POST /jobs", "fails", says="out of tune")])
    with executor(ledger, max_qpu_seconds=3.0) as device, pytest.raises(BudgetSpent):
        device.run(pub())
    _, second = device.ledger.jobs()
    promised = device.ledger.begin(
        second, QuantumCircuit(2), calibration=None, layout=(3, 4), cost={"seconds": 2.0}, purpose="runs/a"
    )
    device.ledger.release(promised)  # as if its process was killed before the service heard of it
    ended = []

    def go_on():
        with executor(ledger, max_qpu_seconds=5.0) as device:
            try:
                device.run(pub())
            except BudgetSpent as stop:
                ended.append(stop.answered.tolist())

    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    thread.join(30)
    assert ended == [[False, False, True, True]], "what was promised is kept, and the rest is told"
    assert sum(job.seconds for job in service.jobs.values()) <= 5.0


def test_nobody_pays_without_a_yes_which_holds_until_the_price_has_doubled(standin, ledger):
    service = standin()
    asked = []
    refuses = executor(ledger, confirm=lambda cost: asked.append(cost) or False)
    with pytest.raises(InputError, match="nothing was sent"), refuses as device:
        device.run(pub())
    assert (asked[0].jobs, service.submissions, states(ledger)) == (2, 0, [])
    with executor(ledger, confirm=lambda cost: asked.append(cost) or True) as device:
        device.run(pub())
        device.run(pub())
    with executor(ledger, confirm=lambda cost: asked.append(cost) or True) as device:
        device.run(pub())
    assert (len(asked), service.submissions) == (2, 4)
    said = []
    with executor(ledger, say=said.append, confirm=lambda cost: asked.append(cost) or True) as device:
        for seed in range(1, 8):
            device.run(pub(seed=seed))
    assert (len(asked), service.submissions) == (5, 18)  # before the first, the third and the seventh
    assert [line for line in said if "there is more" in line]


def test_jobs_are_sent_to_a_paused_queue_which_is_told(standin, ledger):
    service = standin()
    service.devices["ibm_standin"].paused = True
    said = []
    with executor(ledger, say=said.append) as device, device.submitting() as plan:
        device.run(pub())
    assert (len(plan.jobs), service.submissions) == (2, 2)
    assert said == ["the queue of ibm_standin is paused: its jobs wait until IBM resumes it"]


def test_a_plan_without_batches_gets_jobs_one_by_one(standin, ledger, undisturbed):
    service = standin(faults=[Fault("POST /sessions", "403", times=99)])
    with executor(ledger) as device:
        assert (device.run(pub()) == undisturbed).all()
    assert [job.session_id for job in service.jobs.values()] == [None, None]


def test_a_batch_that_was_closed_is_opened_again(standin, ledger):
    service = standin()
    with executor(ledger) as device:
        device.run(pub())
        for session in service.sessions.values():
            session.update(accepting_jobs=False, state="closed")
        device.run(pub())
    assert service.submissions == 4
    assert len({job.session_id for job in service.jobs.values()}) == 2


def test_a_circuit_that_the_device_does_not_take_is_refused_before_it_is_sent(standin, ledger):
    service = standin([StandInDevice(snapshot="fake_lima")])  # coupled otherwise than manila: 1-3, not 2-3
    snapshot = take_snapshot(fake_device("fake_manila"))
    other = Backend.calibrated("ibm_standin", snapshot.reduce((2, 3)))
    with (
        pytest.raises(InputError, match="not in the device's own gates"),
        executor(ledger, backend=other) as device,
    ):
        device.run(pub())
    assert service.submissions == 0
    assert set(states(ledger)) == {"planned"}


def test_no_token_is_written_down(standin, ledger):
    standin(faults=[Fault("POST /jobs", "fails", says=f"the token {TOKEN} was bad")])
    with pytest.raises(JobsLost) as lost, executor(ledger) as device:
        device.run(pub())
    assert TOKEN not in str(lost.value)
    device.ledger.close()
    for file in ledger.parent.glob("jobs.sqlite*"):
        assert TOKEN.encode() not in file.read_bytes()


@settings(max_examples=100)
@given(
    sets=st.integers(1, 5000),
    each=st.integers(1, 3000),
    once=st.integers(0, 500),
    seconds=st.floats(1e-6, 10),
    limit=st.builds(Limits, st.integers(3501, 10**7), st.floats(12.1, 1e4)),
)
def test_parts_cover_all_sets_within_the_limits_and_are_as_few_as_can_be(sets, each, once, seconds, limit):
    nothing = Cost(0, 1, 0, 1, once, 1, 0, 2.0, 1.0)
    found = Rate(nothing, each, seconds)
    parts = found.parts(sets, limit)
    assert [i for start, stop in parts for i in range(start, stop)] == list(range(sets))
    for start_, stop in parts:
        cost = found.of(stop - start_)
        assert cost.executions <= limit.executions
        assert cost.seconds <= limit.seconds * (1 + 1e-9)
    if len(parts) > 1:
        fewer = found.of(-(-sets // (len(parts) - 1)))
        assert fewer.executions > limit.executions or fewer.seconds > limit.seconds * (1 - 1e-9)


def test_a_set_that_fits_no_job_is_refused():
    with pytest.raises(InputError, match=r"set fewer backend\.shots"):
        rate(laid_out(pub(), backend()), backend().calibration, PrimitiveOptions()).parts(
            4, Limits(executions=63)
        )


def test_qubits_that_the_device_does_not_have_are_refused():
    with pytest.raises(InputError, match="qubits 3, 4, but the device has 4"):
        on_device(laid_out(pub(), backend()), (3, 4), 4)


@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("observables", [None, OBSERVABLES], ids=["sampler", "estimator"])
def test_the_estimate_counts_the_executions_that_the_service_makes(standin, ledger, observables, level):
    service = standin()
    options = PrimitiveOptions(resilience_level=level)
    with executor(ledger, options=options, limits=None) as device:
        device.run(pub(observables=observables, shots=100))  # rounded up where circuits are twirled
    (job,), (remote,) = device.ledger.jobs(), service.jobs.values()
    assert job.cost["executions"] == remote.executions
    assert job.expected_seconds == pytest.approx(remote.seconds, rel=0.02)
    assert job.usage_seconds == remote.seconds


def test_a_pub_on_the_whole_device_says_the_same():
    snapshot = take_snapshot(fake_device("fake_torino"))
    chosen = snapshot.best_subset(3)
    device = fake_device("fake_torino")
    few = Backend.calibrated("fake_torino", snapshot.reduce(chosen))
    asked = pub(observables=(SparsePauliOp("XY"), SparsePauliOp("ZI")))
    isa = laid_out(asked, few)
    wide = on_device(isa, few.calibration.physical_qubits, device.num_qubits)
    assert wide.circuit.num_qubits == device.num_qubits == 133
    index = {qubit: i for i, qubit in enumerate(wide.circuit.qubits)}
    used = {index[q] for step in wide.circuit.data if step.name != "delay" for q in step.qubits}
    assert used <= set(few.calibration.physical_qubits)
    assert set(start_layout(isa.circuit, few.calibration.physical_qubits)) <= set(chosen)
    for step in wide.circuit.data:
        assert device.target.instruction_supported(step.name, tuple(index[q] for q in step.qubits))
    for values, before, after in zip(asked.values, isa.values, wide.values, strict=True):
        small = Statevector(asked.circuit.assign_parameters(values))
        kept = sorted(used)
        narrow = QuantumCircuit(len(kept))
        bound = wide.circuit.assign_parameters(after)
        for step in bound.data:
            if step.name != "delay":
                narrow.append(step.operation, [kept.index(index[q]) for q in step.qubits])
        assert len(before) == len(after)
        for plain, moved in zip(asked.observables, wide.observables, strict=True):
            letters = moved.paulis.to_labels()[0][::-1]
            reduced = "".join(letters[place] for place in kept)[::-1]
            assert set(letters) - {"I"} == set(reduced) - {"I"}
            expected = small.expectation_value(plain).real
            assert Statevector(narrow).expectation_value(SparsePauliOp(reduced)).real == pytest.approx(
                expected
            )


@given(st.integers(1, 10**6))
def test_expectation_values_take_as_many_shots_as_are_asked_for(shots):
    assert math.ceil(1 / primitives._precision(shots) ** 2) == shots
