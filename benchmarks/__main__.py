"""`make bench`: the quantum layer beside its peers, and a training step beside its classical twin's.

Work, for a batch of 128 in float64 unless said otherwise: (i) forward, (ii) forward and the gradient to the inputs,
(iii) the gradient to 24 trainable weights as well. Candidates of one table take turns in one process; a ratio is the
other's time over ours. `python -m benchmarks step --device cuda` times training steps on a GPU, and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks import layer, step

RESULTS = Path(__file__).parent / "results.json"
PARTS = {"layer": lambda _: layer.measure(), "step": step.measure}
TITLES = ("engine", "noise", "work", "batch", "milliseconds", "spread", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("part", nargs="?", choices=PARTS, help="what to measure; both, if none is named")
    parser.add_argument(
        "--device", default="cpu", help="of the training step; the layer's peers know the CPU alone"
    )
    asked = parser.parse_args()
    if asked.device != "cpu" and asked.part != "step":
        parser.error(f"--device {asked.device} is for the training step; try: step --device {asked.device}")
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name in [asked.part] if asked.part else PARTS:
        for title, part in PARTS[name](asked.device):
            _print(title, part)
            rows += part
    if not asked.part:
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
