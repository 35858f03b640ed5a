"""What shall go wrong, said in advance: a short list of faults, each used up by the requests it meets."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

DEVICE_EVENTS = ("recalibrate", "retire", "pause")
JOB_ENDS = ("fails", "too long")


@dataclass
class Fault:
    """One thing that goes wrong, with the next requests of a kind.

    Args:
        route: Method and path that it waits for, such as "POST /jobs", "GET /jobs/{id}/results" or "GET *".
        kind: What happens. A status code ("429", "500", ...) is answered; "drop" closes the connection without an
            answer; "late" waits before the answer. After "POST /jobs" the accepted job "fails" or runs "too long".
            The device is given new figures ("recalibrate"), is taken away ("retire") or stops working off its
            queue ("pause") once the request is answered.
        times: How many requests it meets.
        skip: How many requests of its route it lets pass before.
        acted: Whether the service does what it was asked before the answer is lost, late or wrong.
        seconds: Retry-After of a 429 or 503, or how late "late" is.
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

    def meet(self, request: str) -> list[Fault]:
        """Tell which faults a request meets, and use them up; at most one of them is about the answer."""
        met: list[Fault] = []
        with self._lock:
            for fault in self.faults:
                if fault.times < 1 or not fnmatchcase(request, fault.route.replace("[", "[[]")):
                    continue
                about_answer = fault.kind not in (*DEVICE_EVENTS, *JOB_ENDS)
                if about_answer and any(f.kind not in (*DEVICE_EVENTS, *JOB_ENDS) for f in met):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                met.append(fault)
        return met
