"""Asking the service again when it did not answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from qshield_qiskit.devices.service.errors import UnansweredError, speaking

Answer = TypeVar("Answer")
Say = Callable[[str], None]

LOST_NOTHING = "; nothing is lost: type the same command again"

log: Say = logging.getLogger(__name__).info


@dataclass(frozen=True)
class Waiting:
    """How long to wait for what, in seconds. What one request may take is the client's `Patience`.

    Args:
        poll: Between two looks at a job, at first.
        longest_poll: Between two looks at a job that takes hours.
        settle: For how long a job that was just sent may be missing from the service's list of jobs.
        sending: For how long to go on with a request that somebody is waiting for, when there is no answer.
        outage: For how long to go on looking at jobs that are on their way, when there is no answer.
    """

    poll: float = 1.0
    longest_poll: float = 30.0
    settle: float = 4.0
    sending: float = 8.0
    outage: float = 600.0


def reach(action: Callable[[], Answer], about: str, seconds: float, say: Say = log) -> Answer:
    """Do something with the service, again if it does not answer. For what may be done twice without harm.

    Args:
        action: What to do.
        about: What it is about, such as "job d1abc"; an error's line begins with it.
        seconds: For how long to try.
        say: Takes a line on every failure that is lived with.

    Raises:
        UnansweredError: The service gave no answer for too long.
        ServiceError: It said no.
    """
    deadline, pause = time.monotonic() + seconds, 0.25
    while True:
        try:
            with speaking(about):
                return action()
        except UnansweredError as error:
            if time.monotonic() + pause > deadline:
                raise UnansweredError(f"{error}{LOST_NOTHING}") from error
            say(f"{error}; trying again")
        time.sleep(pause)
        pause = min(2 * pause, 30.0)
