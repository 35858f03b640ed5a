"""List the circuits, backends, experiments and data sets that can be typed by name."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from qshield_qiskit import catalog, data
from qshield_qiskit.cli.console import Json, emit, stdout
from qshield_qiskit.errors import unknown

KINDS = (*catalog.SUFFIXES, "datasets")


def command(
    kind: Annotated[
        str | None, typer.Argument(help=f"One of {', '.join(KINDS)}; all of them if left out.")
    ] = None,
    json: Json = False,
) -> None:
    """List what can be typed by name: where it comes from, and the first line that describes it.

    A file of your own in ./circuits, ./backends or ./experiments appears here at once, and replaces ours of
    the same name.
    """
    if kind is not None and kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    found = {each: rows(each) for each in KINDS if kind in {None, each}}
    if json:
        emit(found)
        return
    for number, (each, entries) in enumerate(found.items()):
        stdout.print(*[""] * (number > 0), _table(each, entries))


def rows(kind: str) -> list[dict[str, Any]]:
    """Gather the names of a kind with summary, origin and path."""
    if kind == "datasets":
        return [
            {"name": name, "summary": line, "origin": "shipped", "path": None}
            for name, line in data.known().items()
        ]
    entries = [
        {"name": entry.name, "summary": entry.summary, "origin": entry.origin, "path": str(entry.path)}
        for entry in catalog.find(kind).values()
    ]
    return entries + [
        {"name": name, "summary": line, "origin": "shipped", "path": None}
        for name, line in catalog.families(kind).items()
    ]


def _table(kind: str, entries: list[dict[str, Any]]) -> Table:
    table = Table(
        title=kind, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )
    table.add_column("name", style="cyan", no_wrap=True)
    table.add_column("what it is", ratio=1)
    table.add_column("from", style="dim", no_wrap=True)
    for entry in entries:
        table.add_row(entry["name"], entry["summary"], entry["origin"])
    return table
