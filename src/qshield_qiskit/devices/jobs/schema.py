"""What a ledger's file holds: rows of jobs, when a purpose was started afresh, and which PUBs ask the same."""

APPLICATION = 0x51534C44
"""SQLite's application_id, "QSLD"."""

VERSION = 2

SCHEMA = """CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tag TEXT NOT NULL UNIQUE,
    pub TEXT NOT NULL,
    draw INTEGER NOT NULL,
    start INTEGER NOT NULL,
    stop INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    backend TEXT NOT NULL,
    options TEXT NOT NULL,
    purpose TEXT NOT NULL,
    primitive TEXT NOT NULL,
    shots INTEGER NOT NULL,
    state TEXT NOT NULL,
    owner TEXT,
    claimed_at TEXT,
    job_id TEXT UNIQUE,
    calibration TEXT,
    calibration_at_run TEXT,
    layout TEXT,
    cost TEXT,
    expected_seconds REAL,
    usage_seconds REAL,
    created_at TEXT NOT NULL,
    submitted_at TEXT,
    finished_at TEXT,
    error TEXT,
    parameter_values BLOB NOT NULL,
    circuit BLOB,
    results BLOB
);
CREATE UNIQUE INDEX one_answer ON jobs (pub, backend, options, draw, start, attempt);
CREATE INDEX by_purpose ON jobs (purpose, backend);
CREATE TABLE fresh_starts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    purpose TEXT NOT NULL,
    backend TEXT NOT NULL,
    after INTEGER NOT NULL,
    finished INTEGER NOT NULL DEFAULT 0
);
"""

QUESTIONS = """CREATE TABLE questions (
    pub TEXT PRIMARY KEY,
    question TEXT NOT NULL,
    mean REAL NOT NULL
);
CREATE INDEX by_question ON questions (question, mean);
"""
"""Since version 2: by fingerprint, the digest of all of a PUB but its angles, and the mean of these in radians."""

UPGRADES = {2: QUESTIONS}
"""What to do to a file that is older than a version."""
