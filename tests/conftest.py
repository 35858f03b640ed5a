"""Fixtures that tests of several files share."""

import pytest


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
