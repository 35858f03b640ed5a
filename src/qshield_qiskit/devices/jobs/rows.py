"""Rows of the ledger's table of jobs: reading, adding and changing them within a transaction."""

from __future__ import annotations

import json
import sqlite3
import uuid
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from qshield_qiskit.devices.jobs.job import SAME_ANGLE, SAME_PUB, Ask, Job, packed, unpacked

_COLUMNS = ", ".join(field.name for field in fields(Job))
_SPENT = """
    SELECT COALESCE(SUM(CASE WHEN usage_seconds IS NOT NULL THEN usage_seconds
                             WHEN state = 'planned' THEN 0 ELSE expected_seconds END), 0)
    FROM jobs WHERE purpose = ? AND backend = ? AND number != ?
"""


def known(db: sqlite3.Connection, ask: Ask) -> list[Job]:
    """Give the jobs that a PUB was planned as, the latest attempt at each part."""
    query = f"SELECT {_COLUMNS} FROM jobs WHERE {SAME_PUB} AND draw = ? ORDER BY start, attempt"
    found = db.execute(query, [*ask.key, ask.draw])
    return list({job.start: job for job in map(_job, found)}.values())


def every(db: sqlite3.Connection) -> list[Job]:
    """Give all jobs, the oldest first."""
    return [_job(row) for row in db.execute(f"SELECT {_COLUMNS} FROM jobs ORDER BY number")]


def read(db: sqlite3.Connection, job: Job) -> Job:
    """Give a job as it is now."""
    return _job(db.execute(f"SELECT {_COLUMNS} FROM jobs WHERE number = ?", [job.number]).fetchone())


def blob(db: sqlite3.Connection, job: Job, column: str) -> Any:
    """Give a column of a job that `Job` leaves out because it is large."""
    return db.execute(f"SELECT {column} FROM jobs WHERE number = ?", [job.number]).fetchone()[0]


def spent(db: sqlite3.Connection, purpose: str, backend: str, *, besides: Job | None = None) -> float:
    """Sum up the QPU seconds of a purpose on a device: charged where that is known, else expected."""
    number = -1 if besides is None else besides.number
    return float(db.execute(_SPENT, [purpose, backend, number]).fetchone()[0])


def insert(db: sqlite3.Connection, ask: Ask, start: int, stop: int, attempt: int) -> None:
    """Add a job for the sets of angles from start to stop of a PUB."""
    row = {
        "tag": f"qshield-{uuid.uuid4().hex[:20]}",
        **dict(zip(("pub", "backend", "options"), ask.key, strict=True)),
        "draw": ask.draw,
        "start": start,
        "stop": stop,
        "attempt": attempt,
        "purpose": ask.purpose,
        "primitive": ask.primitive,
        "shots": ask.pub.shots,
        "state": "planned",
        "created_at": now(),
        "parameter_values": packed(values=ask.pub.values[start:stop]),
    }
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO jobs ({', '.join(row)}) VALUES ({marks})", list(row.values()))


def note_question(db: sqlite3.Connection, ask: Ask) -> None:
    """Write down what a PUB asks, so that it is recognised by other angles that are nearly the same."""
    row = [ask.key[0], ask.pub.question(), _mean(ask)]
    db.execute("INSERT OR IGNORE INTO questions VALUES (?, ?, ?)", row)


def recognised(db: sqlite3.Connection, ask: Ask) -> Ask:
    """Give a question under the fingerprint of the one that it repeats; as it came, if that is its own or none."""
    if db.execute(f"SELECT 1 FROM jobs WHERE {SAME_PUB} LIMIT 1", ask.key).fetchone():
        return ask
    query = "SELECT pub FROM questions WHERE question = ? AND mean BETWEEN ? AND ?"
    mean = _mean(ask)
    window = 1.1 * SAME_ANGLE  # means are rounded, too
    nearest, repeats = SAME_ANGLE, None
    for (pub,) in db.execute(query, [ask.pub.question(), mean - window, mean + window]).fetchall():
        known_ones = known(db, replace(ask, draw=_first_draw(db, pub, ask), repeats=pub))
        if known_ones:
            blobs = [
                unpacked(blob(db, job, "parameter_values"), f"the angles of job {job.tag}")
                for job in known_ones
            ]
            values = np.concatenate([arrays["values"] for arrays in blobs])
            distance = float(np.abs(values - ask.pub.values).max(initial=0.0))
            if distance <= nearest:
                nearest, repeats = distance, pub
    return replace(ask, repeats=repeats)


def _first_draw(db: sqlite3.Connection, pub: str, ask: Ask) -> int:
    query = f"SELECT COALESCE(MIN(draw), 0) FROM jobs WHERE {SAME_PUB}"
    return int(db.execute(query, [pub, *ask.key[1:]]).fetchone()[0])


def _mean(ask: Ask) -> float:
    return float(ask.pub.values.mean()) if ask.pub.values.size else 0.0


def change(db: sqlite3.Connection, job: Job, **columns: Any) -> None:
    """Change columns of a job."""
    changes = ", ".join(f"{name} = ?" for name in columns)
    db.execute(f"UPDATE jobs SET {changes} WHERE number = ?", [*columns.values(), job.number])


def now() -> str:
    """Give the time as the ledger writes it: UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _job(row: sqlite3.Row) -> Job:
    content = dict(row)
    for name in ("layout", "cost"):
        content[name] = None if content[name] is None else json.loads(content[name])
    layout = content.pop("layout")
    return Job(**content, layout=None if layout is None else tuple(layout))
