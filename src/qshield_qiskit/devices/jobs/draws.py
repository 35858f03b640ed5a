"""Which draw of a PUB is meant, when the very same one is asked for again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace

from qshield_qiskit.devices.jobs.job import SAME_PUB, Ask
from qshield_qiskit.devices.jobs.ledger import Ledger


class Draws:
    """Count how often each PUB was asked for.

    The n-th time that one executor asks for a PUB it means its n-th draw. So repeated draws differ, and yet the
    same command, typed again after a crash, walks through the answers that are there and goes on.

    Args:
        ledger: Where answers lie.
        purpose: What they are for.
        backend: Name of the device.
        fresh: Begin with draws that are yet to be made. A fresh start that was not finished is gone on with, and
            later commands for the same purpose stay with the draws of its last fresh start.
        pretend: Write nothing down.
    """

    def __init__(
        self, ledger: Ledger, purpose: str, backend: str, *, fresh: bool = False, pretend: bool = False
    ) -> None:
        self._ledger, self._file = ledger, ledger.file
        self._whose = (purpose, backend)
        self._fresh = fresh
        self._asked: Counter[tuple[str, str, str]] = Counter()
        self._known: dict[tuple[str, str, str], str | None] = {}  # by its own key, what a PUB repeats
        self._first: dict[tuple[str, str, str], int] = {}
        self._after = self._last_start(
            fresh, pretend
        )  # rows up to this one were made before the last fresh start

    def next(self, ask: Ask) -> Ask:
        """Say which draw is meant, and of which PUB, where the last bits of its angles moved."""
        exact = ask.key
        if exact not in self._known:
            self._known[exact] = self._ledger.recognised(ask).repeats
        ask = replace(ask, repeats=self._known[exact])
        if ask.key not in self._first:
            self._first[ask.key] = self._first_draw(ask)
        draw = self._first[ask.key] + self._asked[ask.key]
        self._asked[ask.key] += 1
        return replace(ask, draw=draw)

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """Forget at the end what was asked for meanwhile, so that it can be asked for again."""
        asked = self._asked.copy()
        try:
            yield
        finally:
            self._asked = asked

    def finish(self) -> None:
        """Write down that everything was answered: the next fresh start is a new one.

        Draws that are not fresh themselves end a fresh start if they came upon all that was asked for since.
        """
        with self._file.writing() as db:
            query = "SELECT pub, backend, options, draw FROM jobs WHERE purpose = ? AND backend = ? AND number > ?"
            since = db.execute(query, [*self._whose, self._after]).fetchall()
            if not self._fresh and not all(self._came_upon(tuple(key), draw) for *key, draw in since):
                return
            db.execute("UPDATE fresh_starts SET finished = 1 WHERE purpose = ? AND backend = ?", self._whose)

    def copy(self) -> Draws:
        """Count on from here, apart from this one."""
        other = copy(self)
        other._asked, other._known = self._asked.copy(), self._known.copy()
        return other

    def _came_upon(self, key: tuple[str, str, str], draw: int) -> bool:
        return key in self._first and draw < self._first[key] + self._asked[key]

    def _first_draw(self, ask: Ask) -> int:
        """Tell which draw of a PUB is the first since the last fresh start."""
        with self._file.reading() as db:
            query = f"SELECT COALESCE(MAX(draw) + 1, 0) FROM jobs WHERE {SAME_PUB} AND number <= ?"
            return int(db.execute(query, [*ask.key, self._after]).fetchone()[0])

    def _last_start(self, fresh: bool, pretend: bool) -> int:
        query = "SELECT * FROM fresh_starts WHERE purpose = ? AND backend = ? ORDER BY number DESC LIMIT 1"
        with self._file.reading() if pretend else self._file.writing() as db:
            last = db.execute(query, self._whose).fetchone()
            if not fresh or (last is not None and not last["finished"]):
                return 0 if last is None else int(last["after"])
            after = int(db.execute("SELECT COALESCE(MAX(number), 0) FROM jobs").fetchone()[0])
            if not pretend:
                insert = "INSERT INTO fresh_starts (purpose, backend, after) VALUES (?, ?, ?)"
                db.execute(insert, [*self._whose, after])
            return after
