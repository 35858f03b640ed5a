"""Who is at work on something that several processes share, and whether they still are."""

from __future__ import annotations

import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

LEASE_SECONDS = 1200.0
"""How long a process on another machine may take to submit; the client itself gives up after 900 s."""


def this_process() -> str:
    """Name this process so that no other one can be taken for it: host, process id and time of start."""
    return f"{_host()}:{os.getpid()}:{_started(os.getpid())}"


def is_running(owner: str) -> bool | None:
    """Tell whether a process is still there.

    Args:
        owner: As `this_process` named it.

    Returns:
        None if it cannot be told from here, as for a process of another machine or container.
    """
    host, pid, started = owner.rsplit(":", 2)
    if host != _host() or sys.platform == "win32":  # where signal 0 would end the process
        return None
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # somebody else's process has that number now, or ours runs under another name
    return _started(int(pid)) == started


def is_held(owner: str | None, claimed_at: str | None) -> bool:
    """Tell whether a process, maybe this one, is still at what it claimed.

    Args:
        owner: As `this_process` named it; None if nobody claimed it.
        claimed_at: When, in ISO 8601 with its time zone. A process that cannot be seen from here holds it for
            `LEASE_SECONDS`.
    """
    if owner is None or claimed_at is None:
        return False
    running = is_running(owner)
    if running is not None:
        return running
    return datetime.now(UTC) - datetime.fromisoformat(claimed_at) < timedelta(seconds=LEASE_SECONDS)


def _host() -> str:
    """Name where process ids count: containers may share a host name, and give the same ids again."""
    try:
        return f"{socket.gethostname()}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str:
    """When a process started, in the kernel's ticks; empty where the kernel does not tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()  # the name before it may hold spaces
    return "" if fields[0] in {"Z", "X"} else fields[19]
