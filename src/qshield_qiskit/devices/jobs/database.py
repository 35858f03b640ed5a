"""One SQLite file that several processes read and write: opened safely, refused in one line."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from qshield_qiskit.errors import InputError

_BUSY_SECONDS = 60.0


class Database:
    """An open file; it may be used from several threads.

    Args:
        path: The file, made if it is missing.
        schema: Statements that fill a new file, each ended by a semicolon; those of the first version.
        upgrades: By version, from 2 on, the statements that make it of the one before.
        application: SQLite's application_id, by which a file is known for ours.
        version: Of the schema, with its upgrades.
        remedy: What to do about a file that cannot be used.

    Raises:
        InputError: The file is something else, is damaged, or is of a newer version.
    """

    def __init__(
        self,
        path: Path,
        schema: str,
        *,
        upgrades: Mapping[int, str],
        application: int,
        version: int,
        remedy: str,
    ) -> None:
        self.path = path
        self._remedy = remedy
        self._lock = threading.RLock()
        with self._in_one_line():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.row_factory = sqlite3.Row
            try:
                self._prepare(schema, upgrades, application, version)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Read."""
        with self._lock, self._in_one_line():
            yield self._connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Read and write as nobody else does: all of it is on the disk at the end, or nothing."""
        with self._lock, self._in_one_line():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    def _prepare(self, schema: str, upgrades: Mapping[int, str], application: int, version: int) -> None:
        db = self._connection
        if self._is_new():
            with self.writing():
                if self._is_new():  # nobody else was faster
                    self._execute(schema)
                    db.execute(f"PRAGMA application_id = {application}")
                    db.execute("PRAGMA user_version = 1")
        if db.execute("PRAGMA application_id").fetchone()[0] != application:
            raise InputError(f"{self.path} is another program's database; {self._remedy}")
        found = self._version()
        if found > version:
            raise InputError(
                f"{self.path} was written by a newer QShield (schema {found}; this one knows {version}); upgrade, or "
                f"{self._remedy}"
            )
        if found < version:
            with self.writing():
                for older in range(self._version() + 1, version + 1):  # unless somebody else was faster
                    self._execute(upgrades[older])
                    db.execute(f"PRAGMA user_version = {older}")
        self._use_write_ahead_log()
        db.execute("PRAGMA synchronous = FULL")  # what is committed outlives even a loss of power

    def _execute(self, statements: str) -> None:
        for statement in statements.split(";"):
            self._connection.execute(statement)

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _is_new(self) -> bool:
        return not self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]

    def _use_write_ahead_log(self) -> None:
        """Let readers and a writer work at once; the switch does not wait its turn, so it is tried again."""
        for _ in range(100):
            try:
                self._connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error):
                    raise
                time.sleep(0.05)

    @contextlib.contextmanager
    def _in_one_line(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError:
            raise  # a rule of ours is broken
        except (sqlite3.DatabaseError, OSError) as error:
            raise InputError(f"{self.path} cannot be used ({error}); {self._remedy}") from error
