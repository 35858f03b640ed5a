"""Fixtures that tests of several files share."""

import signal

import pytest
from hypothesis import settings

from qshield_qiskit.seeding import seed_everything

settings.register_profile("ours", deadline=None, print_blob=True)  # a busy machine is no bug
settings.load_profile("ours")


@pytest.fixture(autouse=True)
def seeded():
    """What a test draws does not depend on the tests before it."""
    seed_everything(0)


@pytest.fixture
def standin(monkeypatch, tmp_path):
    """Start stand-ins of IBM's service, as `standin(devices, faults=[...])`; the client talks to the last of them."""
    from ibm_standin import IBMStandIn, use

    running = []

    def start(*arguments, **settings):
        running.append(IBMStandIn(*arguments, **settings).start())
        return use(running[-1], monkeypatch, tmp_path / "home")

    yield start
    for service in running:
        service.stop()


@pytest.fixture
def qshield(tmp_path, monkeypatch):
    """The command, called as `qshield("train", "digits")` in a folder of the test's own."""
    from typer.testing import CliRunner

    from qshield_qiskit.cli import app

    monkeypatch.chdir(tmp_path)
    return lambda *words: CliRunner().invoke(app, list(words))


@pytest.fixture(scope="module")
def digits():
    """A few digits to train on."""
    from qshield_qiskit.data import load_dataset

    return load_dataset("digits", train_images=120, test_images=50, seed=0)


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal: a process that was started in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
