"""Tables of results for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from qshield_qiskit.reporting.titles import norm_title, radius_title


def results_table(title: str, rows: Sequence[tuple[str, Mapping[str, Any]]]) -> Table:
    """Lay out the figures of runs or evaluations, a row each.

    Args:
        title: What they have in common.
        rows: A name, and the content of a metrics.json or of an evaluation.

    Returns:
        The table. ODR is the clean test accuracy with its 95 % Wilson interval; precision, recall and F1 are means
        over the classes.
    """
    table = _table(title)
    for column in ("", "ODR %", "95 %", "precision %", "recall %", "F1 %", "seconds"):
        table.add_column(column, justify="left" if not column else "right", no_wrap=bool(column))
    shares = any(figures.get("quantum_share") is not None for _, figures in rows)
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


def robustness_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Lay out rows of robustness.json.

    Args:
        title: What they have in common.
        rows: The rows; ASR is fooled over attacked, with its 95 % Wilson interval; norms are medians over the
            fooled images; queries are forward passes for an attacked image.

    Returns:
        The table.
    """
    table = _table(title)
    headings = ("attack", "epsilon", "attacked", "ASR %", "95 %", "L2", "Linf", "queries", "seconds")
    for column in headings:
        table.add_column(column, justify="left" if column == "attack" else "right", no_wrap=True)
    for row in rows:
        bounded = row["epsilon"] is not None
        worst = row["attack"] == "worst_case"
        table.add_row(
            row["attack"] + ("*" if row.get("weak") else ""),
            f"{row['epsilon']:.4g}" if bounded else row["norm"],
            str(row["attacked"]),
            _percent(row["asr"]),
            f"{_percent(row['asr_low'])}-{_percent(row['asr_high'])}",
            _number(row["median_l2"]),
            _number(row["median_linf"]),
            f"{row['queries']:,.0f}",
            f"{row['seconds']:.1f}",
            style="bold" if worst else None,
        )
    weak = dict.fromkeys(f"* {row['attack']} is too weak: {row['weak']}" for row in rows if row.get("weak"))
    if weak:
        table.caption = "\n".join(weak)
        table.caption_justify = "left"
    return table


def comparison_table(title: str, comparison: Mapping[str, Any]) -> Table:
    """Lay out a run on several backends, a row each.

    Args:
        title: What was run.
        comparison: The content of a file of comparisons/.

    Returns:
        The table: accuracy, and ASR of the examples that were made on the first backend, each with its 95 % Wilson
        interval; distance of the outcomes from the first's, beside what shots alone would make of it.
    """
    backends = comparison["backends"]
    table = _table(
        f"{title}, seed {comparison['seed']}\n{comparison['n']} test images; {comparison['attack']} made on "
        f"{backends[0]['backend']}, epsilon {comparison['epsilon']:.4g};\n"
        f"ASR on the {backends[0]['attacked']} images that all classify correctly"
    )
    for column in ("backend", "shots", "ODR %  (95 %)", "ASR %  (95 %)", "distance", "by shots"):
        table.add_column(column, justify="left" if column == "backend" else "right", no_wrap=True)
    for row in backends:
        table.add_row(
            row["backend"],
            "exact" if row["shots"] is None else f"{row['shots']:,}",
            *(
                f"{_percent(row[name])} ({_percent(row[f'{name}_low'])}-{_percent(row[f'{name}_high'])})"
                for name in ("odr", "asr")
            ),
            f"{row['from_first']:.4f}",
            f"{row['from_shots_alone']:.4f}",
        )
    kind = backends[0]["distance"].replace("_", " ")
    dates = {
        row["calibration"]["device"]: row["calibration"]["taken_at"] for row in backends if row["calibration"]
    }
    table.caption = (
        f"distance: mean {kind} from the first backend; by shots: what shots alone would make of it\n"
    )
    table.caption += "calibrated: " + ", ".join(f"{device} {date[:10]}" for device, date in dates.items())
    table.caption_justify = "left"
    return table


def certificate_table(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """Lay out rows of certificates.json that apply.

    Args:
        title: What they have in common.
        rows: The rows; certified accuracy is the share of all n images that are proven right within a radius, with its
            95 % Wilson interval. Radii beyond the first at which nothing is certified are left out.

    Returns:
        The table.
    """
    table = _table(title)
    for column in ("certificate", "norm", "median", "seconds", "radius", "right %", "95 %"):
        table.add_column(column, justify="left" if column == "certificate" else "right", no_wrap=True)
    for row in rows:
        bound = f" ({row['bound']})" if row["bound"] else ""
        shown = (
            row["certificate"] + bound,
            norm_title(row["norm"]),
            _number(row["median_radius"]),
            f"{row['seconds']:.1f}",
        )
        curve = row["curve"]
        last = next((k for k, point in enumerate(curve) if not point["certified"]), len(curve) - 1)
        for k, point in enumerate(curve[: last + 1]):
            table.add_row(
                *(shown if k == 0 else [""] * len(shown)),
                f"≤ {radius_title(point['radius'])}" if point["radius"] else "clean",
                _percent(point["accuracy"]),
                f"{_percent(point['low'])}-{_percent(point['high'])}",
                end_section=k == last,
            )
    return table


VERDICT_STYLES = {
    "masking detected": "bold red",
    "suspect": "bold yellow",
    "no masking detected": "bold green",
}


def verdict_line(verdict: Mapping[str, Any]) -> str:
    """Say in one line what robustness figures are worth, with the checks that failed."""
    failed = [check["name"] for check in verdict["checks"] if check["passed"] is False]
    style = VERDICT_STYLES[verdict["verdict"]]
    counted = sum(check["passed"] is not None for check in verdict["checks"])
    return (
        f"verdict{' (quick)' if verdict['quick'] else ''}  [{style}]{verdict['verdict']}[/]: "
        f"{counted - len(failed)} of {counted} checks passed"
        + (f", failed: {', '.join(failed)}" if failed else "")
    )


def verdict_table(title: str, verdict: Mapping[str, Any]) -> Table:
    """Lay out the checks of a verdict.json, the hard ones marked."""
    table = _table(title)
    table.add_column("")
    table.add_column("check", no_wrap=True)
    table.add_column("figure", justify="right", no_wrap=True)
    table.add_column("limit", justify="right", no_wrap=True)
    table.add_column("what was found")
    marks = {True: "[green]passed[/]", False: "[red]failed[/]", None: "[dim]-[/]"}
    for check in verdict["checks"]:
        table.add_row(
            marks[check["passed"]],
            check["name"] + (" [dim](hard)[/]" if check["hard"] else ""),
            _number(check["figure"]),
            _number(check["threshold"]),
            check["says"],
        )
    return table


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"
