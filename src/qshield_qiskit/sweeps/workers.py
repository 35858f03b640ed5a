"""Where cells run: processes of this machine, or the workers of a cluster's scheduler."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import dask
from distributed import Client, LocalCluster, WorkerPlugin

from qshield_qiskit.errors import InputError

SECONDS_TO_CONNECT = 10

LOCAL = {
    "distributed.worker.daemon": False,  # a cell may train in several processes of its own
    "distributed.scheduler.worker-saturation": 1.0,  # what waits, waits for the first that is free
    "distributed.scheduler.worker-ttl": None,  # a loaded machine may be slow to say that it lives
    "distributed.admin.tick.limit": "1h",  # and need not apologise for it
}


class _Undisturbed(WorkerPlugin):
    """Leaves Ctrl-C, which a terminal sends to every process, to the one that talks to the user and ends the rest."""

    def setup(self, worker: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextlib.contextmanager
def workers(scheduler: str | None, count: int | None, threads: int) -> Iterator[Client]:
    """Open a client of a cluster, or of processes of this machine's that end with it.

    Args:
        scheduler: A scheduler's address, such as tcp://10.0.0.1:8786; None for local processes.
        count: How many local processes; None: the cores that this process may use, over `threads`.
        threads: Threads that torch uses in each.

    Raises:
        InputError: Nobody answers at the address.
    """
    if scheduler is not None:
        with _connect(scheduler) as client:
            yield client
        return
    pools = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
    spawned = {f"distributed.nanny.pre-spawn-environ.{name}": value for name, value in pools.items()}
    with (
        dask.config.set(LOCAL | spawned),
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=count or max(1, _cores() // threads),
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            memory_limit=0,  # what a cell needs it needs; pausing it would help nobody
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        client.register_plugin(_Undisturbed())
        yield client


def _connect(scheduler: str) -> Client:
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        return Client(scheduler, timeout=SECONDS_TO_CONNECT)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise InputError(
            f"--scheduler {scheduler}: nobody answers there ({' '.join(str(error).split())}); start one with: "
            "dask scheduler, and workers with: dask worker ADDRESS --nthreads 1"
        ) from error


def _cores() -> int:
    """Count the cores that this process may run on, which batch systems and containers limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
