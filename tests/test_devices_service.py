"""The door to IBM's service: what people meet there, each in one line that says what to do."""

import copy
import json
import logging
import time
import traceback
import warnings
from dataclasses import replace

import numpy as np
import pytest
from ibm_standin import INSTANCE, TOKEN, Fault, StandInDevice
from qiskit import QuantumCircuit
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import Batch, QiskitRuntimeService
from qiskit_ibm_runtime.executor_sampler import Sampler

from qshield_qiskit.devices.service.connection import find_device, is_paused, open_service
from qshield_qiskit.devices.service.errors import (
    JobEndedError,
    JobNotFoundError,
    ServiceError,
    UnansweredError,
    speaking,
)
from qshield_qiskit.devices.service.patience import Patience
from qshield_qiskit.errors import InputError

BRIEF = Patience(total=0.6)
"""Gives up soon what fails, and waits for what succeeds."""
HASTE = Patience(connect=0.5, read=0.4, slow=0.4, total=0.6)
"""Waits for nothing; only around what never answers."""
BOUND = 30
"""Seconds within which people get an answer, however busy the machine is; the client alone takes a minute and more."""


def submit(device, shots=20, tags=()):
    """Send a small job, as the ledger will."""
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.measure_all()
    isa = generate_preset_pass_manager(1, backend=device, seed_transpiler=1).run(circuit)
    sampler = Sampler(mode=device)
    sampler.options.environment.job_tags = list(tags)
    with speaking("submission"):
        return sampler.run([(isa,)], shots=shots)


def fetch(job, timeout=60):
    with speaking(f"job {job.job_id()}"):
        return job.result(timeout=timeout, poll_interval=0.1)


def refusal(action, kind=ServiceError):
    """Give the one line with which something is refused."""
    with pytest.raises(kind) as caught:
        action()
    line = str(caught.value)
    assert isinstance(caught.value, InputError)
    assert "\n" not in line
    assert TOKEN not in line
    return line


def test_it_opens_finds_a_device_and_runs_a_job(standin):
    service = standin([StandInDevice(), StandInDevice("ibm_large", "fake_torino", queue_length=4)])
    opened = open_service()
    assert isinstance(opened, QiskitRuntimeService)
    assert [str(device) for device in opened.listing()] == [
        "ibm_large (133 qubits)",
        "ibm_standin (5 qubits)",
    ]
    assert find_device(opened).name == "ibm_standin"
    assert find_device(opened, num_qubits=6).name == "ibm_large"
    device = find_device(opened, "ibm_standin", 5)
    ones = fetch(submit(device, shots=500))[0].data.meas.get_counts()["1"]
    assert ones > 400
    with Batch(backend=device) as batch:
        pass
    assert batch.status() == "Closed"
    assert service.submissions == 1


def test_every_instance_of_the_account_is_searched_where_none_is_chosen(standin, monkeypatch, caplog):
    standin()
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    opened = open_service()
    assert find_device(opened).name == "ibm_standin"
    assert opened.active_instance() == INSTANCE
    assert not caplog.records
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", "standin")  # by its name
    assert find_device(open_service()).name == "ibm_standin"


def test_an_instance_that_is_not_ours_to_use_hides_no_other(standin, monkeypatch):
    standin(closed_instances=[INSTANCE.replace("instance", "closed")])
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    assert find_device(open_service(), "ibm_standin").name == "ibm_standin"


def test_a_search_for_jobs_leaves_the_instance_in_use_as_it_is(standin, monkeypatch):
    standin(open_instances=[INSTANCE.replace("instance", "other")])
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    opened = open_service()
    find_device(opened)
    assert opened.active_instance() == INSTANCE
    assert opened.tagged("nobody") == []
    assert opened.active_instance() == INSTANCE


def test_a_job_is_found_on_any_instance_and_is_unknown_only_where_all_say_so(standin, monkeypatch):
    other, closed = INSTANCE.replace("instance", "other"), INSTANCE.replace("instance", "closed")
    service = standin(open_instances=[other], closed_instances=[closed], held=True)
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", other)
    job_id = submit(find_device(open_service(BRIEF), "ibm_standin")).job_id()
    monkeypatch.delenv("QISKIT_IBM_INSTANCE")
    opened = open_service(BRIEF)
    active = opened.active_instance()
    with speaking():
        assert opened.job(job_id).job_id() == job_id
    assert opened.active_instance() == active
    fault = Fault("GET /jobs/{id}", "500", times=99, skip=2)  # the first two have no such job
    service.plan.faults.append(fault)
    with pytest.raises(UnansweredError, match="HTTP 500"), speaking():
        opened.job(job_id)
    service.plan.faults.clear()
    with pytest.raises(JobNotFoundError), speaking():
        opened.job("nobody")
    service.plan.faults.append(Fault("GET /jobs/{id}", "403", skip=1))  # open a moment ago
    with pytest.raises(ServiceError, match="may not use this instance"), speaking():
        opened.job("nobody")


def test_a_saved_account_is_used(standin, monkeypatch):
    url = standin().environment["QISKIT_IBM_URL"]
    QiskitRuntimeService.save_account(token=TOKEN, instance=INSTANCE, url=url)
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    assert find_device(open_service()).name == "ibm_standin"


def test_without_an_account_both_ways_to_one_are_named(standin, monkeypatch, tmp_path):
    service = standin()
    monkeypatch.delenv("QISKIT_IBM_TOKEN")
    line = refusal(open_service)
    assert "QISKIT_IBM_TOKEN" in line
    assert "save_account" in line
    assert not list(tmp_path.rglob("*.json"))
    assert not service.requests
    saved = tmp_path / "home" / ".qiskit" / "qiskit-ibm.json"
    saved.parent.mkdir(parents=True)
    saved.write_text('{"default": {')
    assert "cannot be used" in refusal(open_service)


@pytest.mark.parametrize(
    ("key", "says"),
    [
        (
            "another-key",
            "does not accept the API key from QISKIT_IBM_TOKEN (Provided API key could not be found)",
        ),
        (f"{TOKEN} ", "begins or ends with white space"),
        (f'"{TOKEN}"', "shouldn't start or end with curly brackets or quotes"),
    ],
)
def test_a_wrong_key_is_called_so(standin, monkeypatch, key, says):
    standin()
    monkeypatch.setenv("QISKIT_IBM_TOKEN", key)
    assert says in refusal(open_service)


@pytest.mark.parametrize("status", ["401", "403"])
@pytest.mark.parametrize("route", ["POST /identity/token", "POST /v3/resources/search"])
def test_a_key_that_is_refused_later_is_called_so_too(standin, route, status):
    standin(faults=[Fault(route, status)])
    assert "does not accept the API key" in refusal(open_service)


@pytest.mark.parametrize("instance", ["another", INSTANCE.replace("instance", "another")])
def test_a_wrong_instance_is_told_with_those_that_there_are(standin, monkeypatch, instance):
    standin()
    monkeypatch.setenv("QISKIT_IBM_INSTANCE", instance)
    line = refusal(open_service)
    assert f"no instance {instance!r} (it has: standin)" in line
    assert "set QISKIT_IBM_INSTANCE" in line


def test_an_instance_that_is_closed_to_the_account_is_told(standin):
    standin(faults=[Fault("GET /backends", "403", times=9)])
    assert "may not use this instance" in refusal(lambda: find_device(open_service()))


def test_a_closed_port_is_no_invalid_token_and_soon_told(standin):
    service = standin()
    opened = open_service(BRIEF)
    service.stop()
    for action in (open_service, opened.listing, lambda: find_device(opened, "ibm_standin"), opened.usage):
        began = time.monotonic()

        def spoken(action=action):
            with speaking():
                action()

        line = refusal(spoken, UnansweredError)
        assert time.monotonic() - began < BOUND
        assert "cannot be reached (it refuses the connection)" in line
        assert "invalid" not in line


def test_a_name_that_does_not_resolve_is_told(standin, monkeypatch):
    standin()
    monkeypatch.setenv("IAM_URL", "http://nowhere.invalid")
    line = refusal(lambda: open_service(BRIEF), UnansweredError)
    assert "nowhere.invalid cannot be reached (its name cannot be resolved)" in line


def test_a_proxy_that_is_not_there_is_told(standin, monkeypatch):
    standin()
    monkeypatch.setenv("IAM_URL", "http://iam.invalid")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert "the proxy does not let us through" in refusal(lambda: open_service(BRIEF), UnansweredError)


@pytest.mark.parametrize("route", ["POST /identity/token", "GET /backends", "GET /instances/usage"])
def test_a_service_that_never_answers_is_not_waited_for(standin, route):
    standin(faults=[Fault(route, "late", times=99, seconds=60)])

    def ask():
        opened = open_service(HASTE)
        with speaking():
            opened.usage()

    began = time.monotonic()
    assert "it does not answer in time" in refusal(ask, UnansweredError)
    assert time.monotonic() - began < BOUND


@pytest.mark.parametrize(
    ("route", "kind"),
    [
        ("POST /identity/token", "429"),
        ("POST /identity/token", "drop"),
        ("POST /v3/resources/search", "500"),
        ("GET /backends", "429"),
        ("GET /backends", "drop"),
        ("GET /backends/{id}/status", "500"),
    ],
)
def test_what_passes_is_sat_out(standin, route, kind):
    service = standin(faults=[Fault(route, kind, times=2)])
    device = find_device(open_service())
    assert device.name == "ibm_standin"
    assert not is_paused(device)
    assert service.plan.faults[0].times == 0


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (
            Fault("GET /backends", "429", times=99, seconds=30),
            "too many requests from this account (because the test",
        ),
        (Fault("GET /backends", "429", times=99, seconds=30), "try again in 30 s"),
        (Fault("GET /backends", "502", times=99), "an error of its own (HTTP 502)"),
        (Fault("GET /backends", "drop", times=99), "it broke off the conversation"),
    ],
)
def test_what_does_not_pass_is_told(standin, fault, says):
    standin(faults=[fault])
    assert says in refusal(lambda: find_device(open_service(BRIEF)), UnansweredError)


def test_a_failed_sign_in_does_not_block_the_next(standin):
    """IBM's SDK takes a failed request for an access token as one under way, for a minute."""
    service = standin()
    opened = open_service(BRIEF)
    manager = opened._active_api_client._session.auth.tm
    manager.expire_time = 0  # the access token has run out
    service.plan.faults.append(Fault("POST /identity/token", "500", times=99))
    began = time.monotonic()
    for _ in range(2):
        refusal(lambda: find_device(opened), UnansweredError)
    service.plan.faults.clear()
    assert find_device(opened).name == "ibm_standin"
    assert time.monotonic() - began < BOUND


def test_a_copy_of_a_device_is_as_impatient(standin):
    service = standin()
    device = copy.deepcopy(find_device(open_service(BRIEF)))
    session = device._api_client._session
    assert session.auth.patience == session.get_adapter("https://").patience == BRIEF
    assert device.status().operational
    service.stop()

    def ask():
        with speaking():
            device.status()

    began = time.monotonic()
    refusal(ask, UnansweredError)
    assert time.monotonic() - began < BOUND


def test_a_device_that_goes_away_takes_no_result_with_it(standin):
    service = standin(faults=[Fault("POST /jobs", "retire")])
    job_id = submit(find_device(open_service())).job_id()
    assert service.devices["ibm_standin"].retired
    opened = open_service()
    refusal(lambda: find_device(opened, "ibm_standin"))
    with speaking():
        assert fetch(opened.job(job_id))[0].data.meas.num_shots == 20


def test_an_unknown_or_retired_device_is_told_with_those_that_there_are(standin):
    service = standin([StandInDevice(), StandInDevice("ibm_brisbane", "fake_lima")])
    opened = open_service()
    assert "did you mean ibm_standin?" in refusal(lambda: find_device(opened, "ibm_stadin"))
    service.devices["ibm_brisbane"].retired = True
    line = refusal(lambda: find_device(opened, "ibm_brisbane"))
    assert "(known: ibm_standin)" in line
    assert "backend=fake_brisbane" in line
    service.plan.faults.append(Fault("GET /backends/{id}/configuration", "404", times=9))
    assert "may just have been retired" in refusal(lambda: find_device(open_service(), "ibm_standin"))


def test_a_device_with_too_few_qubits_is_told_with_those_that_have_enough(standin):
    standin([StandInDevice(), StandInDevice("ibm_large", "fake_perth")])
    opened = open_service()
    line = refusal(lambda: find_device(opened, "ibm_standin", 6))
    assert line == "ibm_standin (5 qubits) is too small for 6; large enough: ibm_large (7 qubits)"
    line = refusal(lambda: find_device(opened, num_qubits=8))
    assert (
        "no device of this account has 8 qubits; it has ibm_large (7 qubits), ibm_standin (5 qubits)" in line
    )


def test_a_paused_queue_comes_last_but_its_figures_can_be_read(standin):
    service = standin([StandInDevice(), StandInDevice("ibm_other", "fake_lima", queue_length=2)])
    opened = open_service()
    assert not is_paused(find_device(opened, "ibm_standin"))
    service.devices["ibm_standin"].paused = True
    assert find_device(opened).name == "ibm_other"
    device = find_device(opened, "ibm_standin")
    assert is_paused(device)
    assert device.properties().t1(0) > 0
    service.devices["ibm_other"].paused = True
    assert find_device(opened).name == "ibm_standin"


def test_the_end_of_a_job_is_told(standin):
    service = standin(
        faults=[Fault("POST /jobs", "fails", says="qubit 3 is on fire"), Fault("POST /jobs", "too long")]
    )
    opened = open_service()
    device = find_device(opened)
    failed, too_long = submit(device), submit(device)
    line = refusal(lambda: fetch(failed), JobEndedError)
    assert line.startswith(f"job {failed.job_id()}: the job failed at IBM: ")
    assert "qubit 3 is on fire" in line
    assert "ran longer than it may" in refusal(lambda: fetch(too_long), JobEndedError)
    service.queue.hold()
    waiting = submit(device)
    assert "has not ended yet" in refusal(lambda: fetch(waiting, timeout=0), UnansweredError)
    waiting.cancel()
    assert "was cancelled" in refusal(lambda: fetch(waiting), JobEndedError)

    def again():
        with speaking():
            waiting.cancel()

    assert "cannot be cancelled any more" in refusal(again)

    def unknown():
        with speaking():
            opened.job("unknown")

    assert "knows no such job" in refusal(unknown, JobNotFoundError)


def test_each_end_can_be_told_from_the_others(standin):
    standin(faults=[Fault("POST /jobs", "fails"), Fault("POST /jobs", "too long")])
    device = find_device(open_service())
    for end in ("failed", "too long"):
        with pytest.raises(JobEndedError) as caught:
            fetch(submit(device))
        assert caught.value.end == end


@pytest.mark.parametrize(
    ("fault", "accepted"),
    [
        (Fault("POST /jobs", "drop"), 0),
        (Fault("POST /jobs", "drop", acted=True), 1),
        (Fault("POST /jobs", "500"), 0),
        (Fault("POST /jobs", "500", acted=True), 1),
        (Fault("POST /jobs", "late", acted=True, seconds=5), 1),
    ],
)
def test_a_submission_of_unknown_outcome_is_never_repeated(standin, fault, accepted):
    service = standin(faults=[fault])
    opened = open_service(replace(BRIEF, slow=1.0))
    device = find_device(opened)
    refusal(lambda: submit(device, tags=["mine"]), UnansweredError)
    assert service.asked("POST", "/jobs") == 1
    assert service.submissions == accepted
    assert len(opened.jobs(job_tags=["mine"], limit=None)) == accepted


def test_a_submission_that_was_turned_away_is_repeated(standin):
    service = standin(faults=[Fault("POST /jobs", "429", times=2)])
    assert fetch(submit(find_device(open_service()))) is not None
    assert service.asked("POST", "/jobs") == 3
    assert service.submissions == 1


def test_a_lost_result_is_fetched_again(standin):
    service = standin(faults=[Fault("GET /jobs/{id}/results", "drop", times=2, acted=True)])
    device = find_device(open_service())
    assert np.asarray(fetch(submit(device))[0].data.meas.array).shape == (20, 1)
    assert service.submissions == 1


def test_a_refused_submission_says_why(standin):
    standin(faults=[Fault("POST /jobs", "400", says="Too many circuits.")])
    device = find_device(open_service())
    assert "refuses this (HTTP 400) (Too many circuits)" in refusal(lambda: submit(device))


def test_bugs_of_ours_pass_untouched():
    with pytest.raises(ZeroDivisionError), speaking():
        _ = 1 / 0


def test_the_key_is_seen_nowhere(standin, monkeypatch, tmp_path, caplog, capfd):
    """Whatever happens, at the lowest level of logging, in messages, tracebacks, warnings and files."""
    for logger in (None, "qiskit_ibm_runtime", "ibm-cloud-sdk-core"):
        caplog.set_level(logging.DEBUG, logger)
    service = standin()
    hurry = replace(BRIEF, total=0.15)
    seen = []

    def attempt(action):
        try:
            action()
        except ServiceError as error:
            seen.extend(traceback.format_exception(error))
            seen.append(repr(error))

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        opened = open_service(hurry)
        fetch(submit(find_device(opened)))
        seen.append(json.dumps(opened.usage()))
        faults = [
            *(
                Fault(f"POST {path}", kind, 9)
                for path in ("/identity/token", "/jobs")
                for kind in ("401", "500", "drop")
            ),
            *(Fault("GET /backends", kind, 9) for kind in ("429", "drop")),
            Fault("POST /identity/token", "400", 9, says=f"no such key: {TOKEN}"),
        ]
        for fault in faults:
            service.plan.faults[:] = [fault]
            opened._active_api_client._session.auth.tm.expire_time = 0
            attempt(lambda: open_service(hurry))
            attempt(lambda: submit(find_device(opened)))
        service.plan.faults.clear()
        for key in (f"{TOKEN}\n", f"{{{TOKEN}}}", "x" + TOKEN):
            monkeypatch.setenv("QISKIT_IBM_TOKEN", key)
            attempt(lambda: open_service(hurry))
        seen.extend(str(warning.message) for warning in warned)
    seen += [caplog.text, *capfd.readouterr()]
    seen += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(map(len, seen)) > 10_000
    assert "no such key: ***" in "".join(seen)
    assert not any(TOKEN in text for text in seen)
