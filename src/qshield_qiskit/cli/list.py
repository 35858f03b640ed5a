"""List the circuits, backends, experiments, data sets and attacks that can be typed by name."""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from qshield_qiskit import catalog, data
from qshield_qiskit.cli.console import Json, emit, stdout
from qshield_qiskit.errors import unknown

KINDS = (*catalog.SUFFIXES, "datasets", "attacks")


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
    if kind in {"datasets", "attacks"}:
        known = data.known() if kind == "datasets" else attacks()
        return [
            {"name": name, "summary": line, "origin": "shipped", "path": None} for name, line in known.items()
        ]
    entries = [
        {"name": entry.name, "summary": entry.summary, "origin": entry.origin, "path": str(entry.path)}
        for entry in catalog.find(kind).values()
    ]
    return entries + [
        {"name": name, "summary": line, "origin": "shipped", "path": None}
        for name, line in catalog.families(kind).items()
    ]


def attacks() -> dict[str, str]:
    """Give the first line on every attack and preset; the files are read and not run, for ART takes seconds."""
    package = find_spec("qshield_qiskit.robustness")
    assert package is not None
    assert package.origin is not None
    folder = Path(package.origin).parent / "attacks"
    trees = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))}
    lines = {
        node.name: (ast.get_docstring(node) or "").split("\n", 1)[0]
        for tree in trees.values()
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }
    tables = {
        node.target.id: node.value
        for node in trees["presets"].body
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(node.value, ast.Dict)
    }
    named = {
        ast.literal_eval(name): lines[attack.id]
        for name, attack in zip(tables["ATTACKS"].keys, tables["ATTACKS"].values, strict=True)
        if name is not None and isinstance(attack, ast.Name)
    }
    presets: dict[str, str] = ast.literal_eval(tables["PRESET_SUMMARIES"])
    return named | presets


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
