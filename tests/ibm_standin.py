"""A stand-in of IBM Quantum's service on 127.0.0.1, for the unmodified qiskit-ibm-runtime client.

It speaks the REST interface that the client speaks, executes on Aer with the noise of a snapshot, and lets things
go wrong by plan. It proves our side of the conversation, not IBM's behaviour.

In a test:

    with IBMStandIn(faults=[Fault("POST /jobs", "drop", acted=True)]) as service:
        use(service, monkeypatch, tmp_path)
        ...
        assert service.submissions == 1

In a terminal (then type the printed lines into another one):

    python tests/ibm_standin.py
"""

from __future__ import annotations

import argparse
import shlex
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from standin.device import StandInDevice
from standin.faults import Fault, Plan
from standin.jobs import Job, Queue
from standin.protocol import API
from standin.server import Server

__all__ = ["INSTANCE", "TOKEN", "Fault", "IBMStandIn", "StandInDevice", "use"]

TOKEN = "standin-token-that-nobody-may-see-anywhere-0"
INSTANCE = "crn:v1:bluemix:public:quantum-computing:us-east:a/standin:instance::"


class IBMStandIn:
    """The service, as a context manager.

    Args:
        devices: Its devices; one of five qubits, `ibm_standin`, if left out.
        faults: What shall go wrong; more can be added to `plan.faults` later.
        queue_seconds: How long every job waits at least.
        held: Run no job before `queue.release()`.
        seed: Seed of Aer.
        port: Where to listen on 127.0.0.1; 0 takes a free one.
        token: The API key that it accepts.
        closed_instances: Further instances that the account sees and may not use.
        open_instances: Further instances with the same devices, and with jobs of their own.

    Attributes:
        devices: By name; `recalibrate()`, or set `paused` or `retired`.
        jobs: Every job that was accepted, by id, oldest first.
        requests: Method and path of every request.
    """

    def __init__(
        self,
        devices: Iterable[StandInDevice] | None = None,
        faults: Iterable[Fault] = (),
        *,
        queue_seconds: float = 0.0,
        held: bool = False,
        seed: int | None = 7,
        port: int = 0,
        token: str = TOKEN,
        closed_instances: Iterable[str] = (),
        open_instances: Iterable[str] = (),
    ) -> None:
        self.devices = {device.name: device for device in devices or [StandInDevice()]}
        self.plan = Plan(faults)
        self.queue = Queue(queue_seconds, held=held, seed=seed)
        self.token = token
        self.instance = INSTANCE
        self.closed_instances = list(closed_instances)
        self.open_instances = list(open_instances)
        self.usage_limit = 600
        self.sessions: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str]] = []
        self.closing = threading.Event()
        self._server = Server(port, self)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that bring the client here."""
        return {
            "IAM_URL": self.url,
            "GLOBAL_SEARCH_URL": self.url,
            "GLOBAL_CATALOG_URL": self.url,
            "QISKIT_IBM_URL": self.url + API,
            "QISKIT_IBM_TOKEN": self.token,
            "QISKIT_IBM_INSTANCE": self.instance,
            "USAGE_DATA_OPT_OUT": "True",  # or the client reads its whole stack at each request
        }

    @property
    def jobs(self) -> dict[str, Job]:
        return dict(self.queue.jobs)  # others may be added while one looks at these

    @property
    def submissions(self) -> int:
        """How many jobs were accepted."""
        return len(self.queue.jobs)

    def asked(self, method: str, path: str) -> int:
        """How many requests of a method began with a path."""
        return sum(m == method and p.startswith(path) for m, p in self.requests)

    def happen(self, event: str, device: StandInDevice) -> None:
        """Let something happen to a device: "recalibrate", "retire" or "pause"."""
        if event == "recalibrate":
            device.recalibrate()
        elif event == "retire":
            device.retired = True
        else:
            device.paused = True

    def start(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        self.closing.set()
        self._server.stop()
        self.queue.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *details: object) -> None:
        self.stop()


def use(service: IBMStandIn, monkeypatch: Any, home: Path) -> IBMStandIn:
    """Bring this process's client to the stand-in, away from the accounts of whoever runs the tests."""
    from qiskit_ibm_runtime.accounts import management

    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("QISKIT_IBM_CHANNEL", raising=False)
    # where accounts lie is settled when the client is imported
    monkeypatch.setattr(
        management, "_DEFAULT_ACCOUNT_CONFIG_JSON_FILE", str(home / ".qiskit" / "qiskit-ibm.json")
    )
    return service


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, default=0, help="where to listen; 0 takes a free port")
    parser.add_argument(
        "--device", action="append", metavar="NAME=SNAPSHOT", help="e.g. ibm_torino=fake_torino"
    )
    parser.add_argument("--queue-seconds", type=float, default=0.0, help="how long every job waits")
    parser.add_argument("--fault", action="append", default=[], metavar='"POST /jobs, 429, times=2"')
    options = parser.parse_args()
    pairs = [item.split("=") for item in options.device or ["ibm_standin=fake_manila"]]
    devices = [StandInDevice(name, snapshot) for name, snapshot in pairs]
    faults = [Fault.parse(text) for text in options.fault]
    with IBMStandIn(devices, faults, queue_seconds=options.queue_seconds, port=options.port) as service:
        for name, value in service.environment.items():
            print(f"export {name}={shlex.quote(value)}", flush=True)
        service.closing.wait()


if __name__ == "__main__":
    main()
