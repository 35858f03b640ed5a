"""`make bench`: the quantum layer beside its peers, and a training step beside its classical twin's.

Work, for a batch of 128 in float64 unless said otherwise: (i) forward, (ii) forward and the gradient to the inputs,
(iii) the gradient to 24 trainable weights as well. Candidates of one table take turns in one process; a ratio is the
other's time over ours.
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import layer, step

RESULTS = Path(__file__).parent / "results.json"
TITLES = ("engine", "noise", "work", "batch", "milliseconds", "spread", "ratio")


def main() -> None:
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name, measure in {"layer": layer.measure, "step": step.measure}.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        for title, part in measure():
            _print(title, part)
            rows += part
    if not sys.argv[1:]:
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
        print(
            f"wrote {RESULTS.name}; Python {platform.python_version()}, torch {torch.__version__}, one thread"
        )


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(*TITLES, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in (row[key] for key in TITLES)))
    Console(width=110).print(table)


main()
