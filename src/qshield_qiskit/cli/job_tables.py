"""Jobs of the ledger as tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray
from qiskit import QuantumCircuit
from rich.markup import escape
from rich.table import Table

from qshield_qiskit.devices.jobs.job import Job

COLOURS = {
    "planned": "dim",
    "submitting": "yellow",
    "submitted": "cyan",
    "done": "green",
    "failed": "red",
    "cancelled": "magenta",
}


def jobs_table(jobs: Sequence[Job]) -> Table:
    """Show jobs, one a row; a tilde marks seconds that are expected and not charged yet."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("job", "state", "device", "id"):
        table.add_column(heading, no_wrap=True)
    for heading in ("sets", "shots", "QPU s"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("for", overflow="ellipsis")  # the first to be shortened
    for job in jobs:
        table.add_row(
            job.short_tag[:8],
            f"[{COLOURS[job.state]}]{job.state}[/]",
            job.backend,
            job.job_id or "",
            str(job.sets),
            str(job.shots),
            _seconds(job),
            escape(job.purpose),
        )
    return table


def job_table(job: Job, results: Mapping[str, NDArray[Any]], circuit: QuantumCircuit | None) -> Table:
    """Show one job, a line for each thing that is known."""
    cost = job.cost or {}
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    attempt = f", attempt {job.attempt + 1}" if job.attempt else ""
    rows = {
        "tag": job.tag,
        "state": f"[{COLOURS[job.state]}]{job.state}[/]{attempt}",
        "why": job.error and escape(job.error),
        "device": job.backend,
        "id": job.job_id,
        "for": escape(job.purpose),
        "primitive": f"{job.primitive}, {_options(job.options)}",
        "PUB": f"{job.pub[:16]}…, draw {job.draw}, sets {job.start} to {job.stop - 1}, {job.shots} shots each",
        "circuit": None if circuit is None else _circuit(cost),
        "on qubits": None if job.layout is None else ", ".join(map(str, job.layout)),
        "calibration": job.calibration,
        "when it ran": job.calibration_at_run if job.calibration_at_run != job.calibration else None,
        "expected": None if job.expected_seconds is None else f"{job.expected_seconds:.1f} QPU seconds",
        "charged": None if job.usage_seconds is None else f"{job.usage_seconds:.1f} QPU seconds",
        "planned at": job.created_at,
        "submitted at": job.submitted_at,
        "ended at": job.finished_at,
        "results": ", ".join(f"{name} {array.shape}" for name, array in results.items()) or None,
    }
    for name, value in rows.items():
        if value is not None:
            table.add_row(name, value)
    return table


def states(jobs: Sequence[Job]) -> str:
    """Count jobs by state, in a line."""
    counts = Counter(job.state for job in jobs)
    return ", ".join(f"{counts[state]} {state}" for state in COLOURS if state in counts)  # type: ignore[index]


def _circuit(cost: Mapping[str, Any]) -> str:
    return (
        f"depth {cost['depth']}, {cost['two_qubit_gates']} two-qubit gates, {cost['executions']:,} executions, "
        f"expected fidelity {cost['fidelity']:.3f}"
    )


def _options(text: str) -> str:
    chosen = {name: value for name, value in json.loads(text).items() if value not in {None, False}}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in chosen.items()) or "no mitigation"


def _seconds(job: Job) -> str:
    """What it is charged, or with a tilde what it is expected to be."""
    if job.usage_seconds is not None:
        return f"{job.usage_seconds:.1f}"
    return "" if job.expected_seconds is None else f"~{job.expected_seconds:.1f}"
