"""The stand-in of IBM's service, spoken to by the unmodified client from account to result."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ibm_standin import Fault, StandInDevice
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_ibm_runtime import Batch, QiskitRuntimeService
from qiskit_ibm_runtime.exceptions import (
    IBMRuntimeError,
    RuntimeInvalidStateError,
    RuntimeJobFailureError,
    RuntimeJobMaxTimeoutError,
    RuntimeJobNotFound,
)
from qiskit_ibm_runtime.executor_estimator import Estimator
from qiskit_ibm_runtime.executor_sampler import Sampler

ANGLES = np.array([[0.0], [np.pi / 3], [np.pi]])


def rotation(measure=True):
    """Turn one qubit, and let a second follow it."""
    circuit = QuantumCircuit(2)
    circuit.ry(ParameterVector("angle", 1)[0], 0)
    circuit.cx(0, 1)
    if measure:
        circuit.measure_all()
    return circuit


def isa(circuit, device):
    return generate_preset_pass_manager(1, backend=device, initial_layout=[1, 2], seed_transpiler=1).run(
        circuit
    )


def sample(device, shots=2000, tags=(), mode=None):
    sampler = Sampler(mode=mode or device)
    sampler.options.environment.job_tags = list(tags)
    return sampler.run([(isa(rotation(), device), ANGLES)], shots=shots)


def test_a_sampler_s_answer_has_the_device_s_asymmetric_readout(standin):
    service = standin()
    device = QiskitRuntimeService().least_busy(min_num_qubits=4)
    counts = sample(device, shots=40_000).result()[0].data.meas
    readout = service.devices["ibm_standin"].calibration().qubits[1]
    ones = [counts[i].slice_bits([0]).get_counts().get("1", 0) / 40_000 for i in range(3)]
    error = 5 * np.sqrt(0.05 / 40_000)
    assert ones[0] == pytest.approx(readout.prob_meas1_prep0, abs=error + 2e-3)
    assert 1 - ones[2] == pytest.approx(readout.prob_meas0_prep1, abs=error + 5e-3)
    assert ones[1] == pytest.approx(0.25, abs=0.03)
    assert readout.prob_meas0_prep1 > 2 * readout.prob_meas1_prep0


def test_an_estimator_s_broadcast_pub_is_answered(standin):
    standin()
    device = QiskitRuntimeService().backend("ibm_standin")
    circuit = isa(rotation(measure=False), device)
    observables = [[SparsePauliOp(label).apply_layout(circuit.layout)] for label in ("IZ", "ZZ")]
    estimator = Estimator(mode=device)
    values = estimator.run([(circuit, observables, ANGLES)], precision=0.03).result()[0].data.evs
    assert values == pytest.approx(np.array([[1, 0.5, -1], [1, 1, 1]]), abs=0.15)


def test_of_a_large_device_only_the_qubits_in_use_are_simulated(standin):
    standin([StandInDevice("ibm_large", "fake_torino")])
    device = QiskitRuntimeService().backend("ibm_large")
    assert device.num_qubits == 133
    assert sum(sample(device, shots=100).result()[0].data.meas[0].get_counts().values()) == 100


def test_a_job_goes_through_all_states_and_is_charged(standin):
    service = standin(held=True)
    client = QiskitRuntimeService()
    job = sample(client.backend("ibm_standin"))
    assert job.status() == "QUEUED"
    assert client.backend("ibm_standin").status().pending_jobs == 1
    assert job.usage() == 0
    service.queue.release()
    job.wait_for_final_state(timeout=60, poll_interval=0.1)
    assert job.status() == "DONE"
    assert job.usage() == pytest.approx(2 + 3 * 2000 * 250e-6)
    assert client.usage()["usage_remaining_seconds"] == pytest.approx(600 - job.usage())
    assert set(job.metrics()["timestamps"]) == {"created", "running", "finished"}


def test_a_batch_takes_jobs_until_it_is_closed(standin):
    service = standin()
    device = QiskitRuntimeService().backend("ibm_standin")
    with Batch(backend=device) as batch:
        jobs = [sample(device, shots=10, mode=batch) for _ in range(2)]
        assert batch.status() == "Pending"
    assert batch.status() == "Closed"
    assert batch.details()["mode"] == "batch"
    assert [job.session_id for job in jobs] == [batch.session_id] * 2
    assert all(job.result() is not None for job in jobs)
    assert service.submissions == 2
    with pytest.raises(IBMRuntimeError, match="closed"):
        sample(device, mode=Batch.from_id(batch.session_id, device.service))


def test_a_cancelled_job_has_no_result_and_cannot_be_cancelled_again(standin):
    standin(held=True)
    job = sample(QiskitRuntimeService().backend("ibm_standin"))
    job.cancel()
    assert job.status() == "CANCELLED"
    with pytest.raises(RuntimeInvalidStateError, match="cancelled"):
        job.result()
    with pytest.raises(RuntimeInvalidStateError, match="cannot be cancelled"):
        job.cancel()


def test_a_new_client_finds_a_job_by_its_id_and_by_its_tag(standin):
    standin()
    first = QiskitRuntimeService()
    device = first.backend("ibm_standin")
    jobs = {tag: sample(device, shots=50, tags=["run", tag]) for tag in map(str, range(3))}
    counts = jobs["1"].result()[0].data.meas.get_counts()
    again = QiskitRuntimeService()
    found = again.jobs(job_tags=["run", "1"], limit=None)
    assert [job.job_id() for job in found] == [jobs["1"].job_id()]
    assert found[0].result()[0].data.meas.get_counts() == counts
    assert again.job(jobs["1"].job_id()).result()[0].data.meas.get_counts() == counts
    assert [job.job_id() for job in again.jobs(limit=2)] == [jobs["2"].job_id(), jobs["1"].job_id()]
    assert len(again.jobs(job_tags=["run"], limit=None, skip=1)) == 2
    assert again.jobs(job_tags=["other"], limit=None) == []
    with pytest.raises(RuntimeJobNotFound):
        again.job("unknown")


@pytest.mark.parametrize("acted", [False, True])
def test_a_dropped_connection_may_leave_a_job_behind(standin, acted):
    service = standin(faults=[Fault("POST /jobs", "drop", acted=acted)])
    device = QiskitRuntimeService().backend("ibm_standin")
    with pytest.raises(IBMRuntimeError, match="Remote end closed connection"):
        sample(device, tags=["mine"])
    assert service.submissions == len(QiskitRuntimeService().jobs(job_tags=["mine"])) == acted


def test_a_job_ends_as_the_plan_says(standin):
    standin(faults=[Fault("POST /jobs", "fails", says="qubit 3 is on fire"), Fault("POST /jobs", "too long")])
    device = QiskitRuntimeService().backend("ibm_standin")
    failed, too_long = sample(device), sample(device)
    with pytest.raises(RuntimeJobFailureError, match="qubit 3 is on fire"):
        failed.result()
    with pytest.raises(RuntimeJobMaxTimeoutError, match="Ran too long"):
        too_long.result()


def test_a_job_s_own_time_limit_holds(standin):
    standin()
    sampler = Sampler(mode=(device := QiskitRuntimeService().backend("ibm_standin")))
    sampler.options.max_execution_time = 3
    circuit = isa(rotation(), device)
    assert sampler.run([(circuit, ANGLES)], shots=100).result() is not None
    with pytest.raises(RuntimeJobMaxTimeoutError):
        sampler.run([(circuit, ANGLES)], shots=2000).result()


def test_a_device_is_recalibrated_between_submission_and_result(standin):
    standin(faults=[Fault("POST /jobs", "recalibrate")])
    client = QiskitRuntimeService()
    device = client.backend("ibm_standin")
    before = device.properties()
    sample(device, shots=10).result()
    after = client.backend("ibm_standin").properties(refresh=True)
    assert after.last_update_date > before.last_update_date
    assert after.t1(1) == pytest.approx(before.t1(1) / 1.5)
    assert after.readout_error(1) == pytest.approx(before.readout_error(1) * 1.5)
    assert device.properties(datetime=before.last_update_date).t1(1) == before.t1(1)


def test_faults_are_used_up_in_order(standin):
    service = standin(faults=[Fault("GET /instances/usage", "404", times=2, skip=1)])
    client = QiskitRuntimeService()
    answers = []
    for _ in range(4):
        try:
            client.usage()
            answers.append(200)
        except Exception as error:
            answers.append(error.status_code)
    assert answers == [200, 404, 404, 200]
    assert service.asked("GET", "/instances") == 4
    with pytest.raises(ValueError, match="no such fault: 'burns'"):
        Fault("GET *", "burns")


def test_it_can_be_started_from_a_terminal(tmp_path):
    script = Path(__file__).with_name("ibm_standin.py")
    command = [
        sys.executable,
        script,
        "--device",
        "ibm_small=fake_lima",
        "--fault",
        "GET /jobs, 404, times=1",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        lines = [process.stdout.readline() for _ in range(6)]
        environment = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
        asked = (
            "import json; from qiskit_ibm_runtime import QiskitRuntimeService as S; s = S(); "
            "print(json.dumps([b.name for b in s.backends()]))"
        )
        settings = {**environment, "HOME": str(tmp_path), "PATH": ""}
        answer = subprocess.check_output([sys.executable, "-c", asked], env=settings, text=True)
        assert json.loads(answer) == ["ibm_small"]
    finally:
        process.kill()
        process.wait()
