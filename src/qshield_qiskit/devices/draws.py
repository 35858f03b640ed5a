"""Which draw of a PUB is meant, when the very same one is asked for again and again."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from qshield_qiskit.devices.job import SAME_PUB, Ask
from qshield_qiskit.devices.ledger import Ledger


class Draws:
    """Count how often each PUB was asked for.

    The n-th time that one process asks for a PUB it means its n-th draw. So repeated draws differ, and yet the
    same command, typed again after a crash, walks through the answers that are there and goes on.

    Args:
        ledger: Where answers lie.
        purpose: What they are for.
        backend: Name of the device.
        fresh: Begin with draws that are yet to be made. A fresh start that was not finished is gone on with, and
            later commands for the same purpose stay with the draws of its last fresh start.
    """

    def __init__(self, ledger: Ledger, purpose: str, backend: str, *, fresh: bool = False) -> None:
        self._file = ledger.file
        self._whose = (purpose, backend)
        self._asked: Counter[tuple[str, str, str]] = Counter()
        self._first: dict[tuple[str, str, str], int] = {}
        if fresh:
            self._start_afresh()

    def next(self, ask: Ask) -> Ask:
        """Say which draw is meant."""
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
        """Write down that everything was answered: the next fresh start is a new one."""
        with self._file.writing() as db:
            db.execute("UPDATE fresh_starts SET finished = 1 WHERE purpose = ? AND backend = ?", self._whose)

    def _start_afresh(self) -> None:
        with self._file.writing() as db:
            last = self._last_start(db)
            if last is None or last["finished"]:
                db.execute(
                    "INSERT INTO fresh_starts (purpose, backend, after) "
                    "SELECT ?, ?, COALESCE(MAX(number), 0) FROM jobs",
                    self._whose,
                )

    def _first_draw(self, ask: Ask) -> int:
        """Tell which draw of a PUB is the first since the last fresh start."""
        with self._file.reading() as db:
            last = self._last_start(db)
            if last is None:
                return 0
            query = f"SELECT COALESCE(MAX(draw) + 1, 0) FROM jobs WHERE {SAME_PUB} AND number <= ?"
            return int(db.execute(query, [*ask.key, last["after"]]).fetchone()[0])

    def _last_start(self, db: sqlite3.Connection) -> sqlite3.Row | None:
        query = "SELECT * FROM fresh_starts WHERE purpose = ? AND backend = ? ORDER BY number DESC LIMIT 1"
        row: sqlite3.Row | None = db.execute(query, self._whose).fetchone()
        return row
