"""A sweep as it runs: a table of its cells in a terminal, a line for each finished cell elsewhere."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from qshield_qiskit.reporting.sweep_folder import DONE, FAILED, RUNNING, WAITING, Record
from qshield_qiskit.sweeps.sweep import Sweep, Watch
from qshield_qiskit.training.history import HISTORY

STYLES = {WAITING: "dim", RUNNING: "cyan", DONE: "green", FAILED: "bold red"}
MOST_ROWS = 30
"""A larger grid shows what runs and failed first, then what was done, then what waits."""


@contextlib.contextmanager
def watching(console: Console) -> Iterator[Watch]:
    """Give what `run_sweep` calls while cells run."""
    start = time.monotonic()
    if not console.is_terminal:
        yield _Lines(console)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield lambda sweep: live.update(table(sweep, time.monotonic() - start))


class _Lines:
    """Says once of every cell that it is done or failed."""

    def __init__(self, console: Console) -> None:
        self.console, self.said = console, set[str]()

    def __call__(self, sweep: Sweep) -> None:
        """Look for cells that have ended since; those that had before the sweep began are said too."""
        for cell, record in zip(sweep.cells, sweep.records(), strict=True):
            if record["state"] in {DONE, FAILED} and cell.digest not in self.said:
                self.said.add(cell.digest)
                words = [
                    _state(sweep, record),
                    *(f"{k} {v}" for k, v in zip(HEADINGS, _figures(record), strict=True) if v),
                ]
                count = f"{len(self.said)}/{len(sweep.cells)}"
                self.console.print(f"{count}  {cell.label}: {', '.join(words)}", soft_wrap=True, markup=False)


HEADINGS = ("ODR %", "worst case %", "verdict", "seconds")


def table(sweep: Sweep, seconds: float) -> Group:
    """Lay out the cells: state, ODR, worst-case ASR of each group of attacks, verdict, seconds."""
    records = sweep.records()
    counts = {state: sum(record["state"] == state for record in records) for state in STYLES}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    grid = Table(title=f"{sweep.folder.path.name}: {said}", title_justify="left", box=None, pad_edge=False)
    for heading in ("cell", "state", *HEADINGS):
        grid.add_column(
            heading, justify="left" if heading in {"cell", "state", "verdict"} else "right", no_wrap=True
        )
    order = list(range(len(records)))
    if len(records) > MOST_ROWS:
        urgency = [RUNNING, FAILED, DONE, WAITING]
        order = sorted(order, key=lambda i: urgency.index(records[i]["state"]))[:MOST_ROWS]
    for index in order:
        record = records[index]
        state = Text(_state(sweep, record), style=STYLES[record["state"]])
        grid.add_row(sweep.cells[index].label, state, *_figures(record))
    hidden = len(records) - len(order)
    end = f"{hidden} more cells; " if hidden else ""
    return Group(grid, Text(f"{end}{seconds:.0f} s; Ctrl-C stops it, the same command goes on", style="dim"))


def _state(sweep: Sweep, record: Record) -> str:
    if record["state"] == FAILED:
        return f"failed: {record['failure']['doing']}"
    if record["state"] != RUNNING:
        return str(record["state"])
    doing = record.get("doing") or "starting"
    if doing == "train" and record.get("run"):
        return f"train, epoch {_epochs(sweep, record)}"
    return str(doing)


def _epochs(sweep: Sweep, record: Record) -> int:
    """Count the epochs that a training has finished, and the one that it is in."""
    path = sweep.folder.path / record["run"] / HISTORY
    return len(path.read_text().splitlines()) if path.is_file() else 1  # a line of headings


def _figures(record: Record) -> list[str]:
    worst = record.get("worst_case") or {}
    odr, seconds = record.get("odr"), record.get("seconds")
    return [
        "" if odr is None else f"{100 * odr:.1f}",
        " / ".join(f"{100 * share:.1f}" for share in worst.values()),
        record.get("verdict") or "",
        "" if seconds is None else f"{seconds:.0f}",
    ]
