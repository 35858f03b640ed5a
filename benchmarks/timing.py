"""Timing that can be compared: all candidates take turns in one process, so that a busy machine slows them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Median time of one call over the rounds, and half the distance between its quartiles, in milliseconds."""

    milliseconds: float
    spread: float


def take_turns(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int = 15, seconds: float = 0.2
) -> dict[str, Timing]:
    """Time several functions in alternating rounds.

    Args:
        candidates: What to call, by name.
        rounds: How often each gets its turn.
        seconds: How long one turn lasts at least; a slow candidate runs once a turn.

    Returns:
        A timing for each name.
    """
    repeats = {}
    for name, call in candidates.items():
        for _ in range(3):
            call()
        start = time.perf_counter()
        call()
        repeats[name] = max(1, round(seconds / (time.perf_counter() - start)))
    turns: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, call in candidates.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            turns[name].append((time.perf_counter() - start) / repeats[name] * 1e3)
    return {
        name: Timing(statistics.median(times), (quartiles[2] - quartiles[0]) / 2)
        for name, times in turns.items()
        for quartiles in [statistics.quantiles(times, n=4)]
    }
