"""What shall go wrong, said in advance: a short list of faults, each used up by the requests that meet it."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

DEVICE_EVENTS = ("recalibrate", "retire", "pause")
JOB_ENDS = ("fails", "too long")


@dataclass
class Fault:
    """One thing that goes wrong, with the next requests of a kind.

    Args:
        route: Method and path of the requests that meet it, such as "POST /jobs", "GET /jobs/{id}/results" or
            "GET *".
        kind: What happens. A status code ("429", "500", ...) is answered; "drop" closes the connection without
            an answer; "late" lets it wait. With "POST /jobs" the accepted job "fails" or runs "too long", or
            its device gets new figures ("recalibrate"), is taken away ("retire"), or stops working off its
            queue ("pause").
        times: How many requests meet it.
        skip: How many requests of its route pass before.
        acted: Whether the service does what it was asked before the answer is wrong, late or lost. What is late
            without it is done late, too.
        seconds: Retry-After of a status code, or how late "late" is.
        says: Reason given to the user.
    """

    route: str
    kind: str
    times: int = 1
    skip: int = 0
    acted: bool = False
    seconds: float = 0.0
    says: str = "because the test asked for it"

    def __post_init__(self) -> None:
        if not (self.kind.isdigit() or self.kind in ("drop", "late", *DEVICE_EVENTS, *JOB_ENDS)):
            raise ValueError(f"no such fault: {self.kind!r}")

    @property
    def concerns(self) -> Literal["answer", "job", "device"]:
        """What goes wrong."""
        return "job" if self.kind in JOB_ENDS else "device" if self.kind in DEVICE_EVENTS else "answer"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read "POST /jobs, drop, acted=true, times=2", as the command line gives it."""
        route, kind, *settings = (word.strip() for word in text.split(","))
        read = {
            "times": int,
            "skip": int,
            "acted": lambda word: word == "true",
            "seconds": float,
            "says": str,
        }
        pairs = [setting.split("=", 1) for setting in settings]
        return cls(route, kind, **{name: read[name](value) for name, value in pairs})


class Plan:
    """The faults that are still to come."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self.faults = list(faults)
        self._lock = threading.Lock()

    def meet(self, route: str) -> list[Fault]:
        """Tell which faults a request meets, at most one for each concern, and use them up."""
        met: list[Fault] = []
        with self._lock:
            for fault in self.faults:
                taken = any(fault.concerns == other.concerns for other in met)
                if taken or fault.times < 1 or not fnmatchcase(route, fault.route):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                else:
                    fault.times -= 1
                    met.append(fault)
        return met
