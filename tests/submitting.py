"""What the tests of submission share: a small PUB, an executor, and processes that are killed at a chosen moment."""

import multiprocessing
import os
import signal
from functools import cache

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector

from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.jobs import draws, rows, sending, submission
from qshield_qiskit.devices.jobs.cost import Limits
from qshield_qiskit.devices.jobs.ledger import Ledger
from qshield_qiskit.devices.jobs.reaching import Waiting
from qshield_qiskit.devices.jobs.submission import ServiceExecutor
from qshield_qiskit.devices.service.connection import open_service
from qshield_qiskit.devices.service.patience import Patience
from qshield_qiskit.devices.snapshot import fake_device, take_snapshot
from qshield_qiskit.quantum.pub import Pub

# What fails is soon given up by the client, and what may still succeed is waited for, however busy the machine is.
WAITING = Waiting(poll=0.02, longest_poll=0.1, settle=0.3, sending=30.0, outage=30.0)
PATIENCE = Patience(total=0.3)
TWO_JOBS = Limits(executions=200)


X = ParameterVector("x", 2)
CIRCUIT = QuantumCircuit(2)
CIRCUIT.rx(X[0], 0)
CIRCUIT.ry(X[1], 1)
CIRCUIT.cx(0, 1)


def pub(sets=4, shots=64, observables=None, seed=0) -> Pub:
    values = np.random.default_rng(seed).uniform(-2, 2, (sets, 2))
    return Pub(CIRCUIT, tuple(X), values, observables, shots)


@cache
def backend() -> Backend:
    snapshot = take_snapshot(fake_device("fake_manila"))
    return Backend.calibrated("ibm_standin", snapshot.reduce((3, 4)))


def executor(file, **settings) -> ServiceExecutor:
    settings = {"limits": TWO_JOBS, "waiting": WAITING, "purpose": "runs/a", **settings}
    return ServiceExecutor(settings.pop("backend", None) or backend(), service, ledger=file, **settings)


def service():
    return open_service(PATIENCE)


def die(*arguments, **settings):
    os.kill(os.getpid(), signal.SIGKILL)


def after(action):
    def act_and_die(*arguments, **settings):
        action(*arguments, **settings)
        die()

    return act_and_die


def in_a_transaction(action):
    """Die when a job is set to be done, before that is on the disk."""

    def write(db, job, **columns):
        action(db, job, **columns)
        if columns.get("state") == "done":
            die()

    return write


MOMENTS = {
    "asked": lambda: setattr(draws.Draws, "next", after(draws.Draws.next)),
    "planned": lambda: setattr(Ledger, "plan", after(Ledger.plan)),
    "laid out": lambda: setattr(Ledger, "begin", die),
    "written down": lambda: setattr(Ledger, "begin", after(Ledger.begin)),
    "accepted": lambda: setattr(sending, "submit", after(sending.submit)),
    "identified": lambda: setattr(Ledger, "submitted", after(Ledger.submitted)),
    "fetched": lambda: setattr(Ledger, "finish", die),
    "storing": lambda: setattr(rows, "change", in_a_transaction(rows.change)),
    "stored": lambda: setattr(Ledger, "finish", after(Ledger.finish)),
}
"""When to die: what to change in a process so that it is killed there, with signal 9."""


def run(environment, file, moment=None, ready=None, **settings):
    """Run the PUB in this process, up to a moment."""
    os.environ.update(environment)
    if moment is not None:
        MOMENTS[moment]()
    if ready is not None:
        ready.wait()
    with executor(file, **settings) as device:
        device.run(pub())


def processes():
    """Processes that start fast, for a server has imported everything, and that share no thread with this one."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([submission.__name__, "qiskit_aer", "qiskit_ibm_runtime"])
    return context


def start(*arguments, **settings):
    process = processes().Process(target=run, args=arguments, kwargs=settings)
    process.start()
    return process
