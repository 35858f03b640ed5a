"""Tables of results for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table


def results_table(title: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """Lay out the figures of runs or evaluations, a row each.

    Args:
        title: What they have in common.
        rows: A name, and the content of a metrics.json or of an evaluation.

    Returns:
        The table. ODR is the clean test accuracy with its 95 % Wilson interval; precision, recall and F1 are means
        over the classes.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("", "ODR %", "95 %", "precision %", "recall %", "F1 %", "seconds"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=bool(column))
    shares = any("quantum_share" in figures for _, figures in rows)
    if shares:
        table.add_column("quantum share %", justify="right")
    for name, figures in rows:
        cells = [
            name,
            _percent(figures["odr"]),
            f"{_percent(figures['odr_low'])}-{_percent(figures['odr_high'])}",
            *(_percent(figures[kind]["macro"]) for kind in ("precision", "recall", "f1")),
            f"{figures.get('train_seconds', figures.get('seconds')):.1f}",
        ]
        table.add_row(*cells, *([_percent(figures["quantum_share"])] if shares else []))
    return table


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
