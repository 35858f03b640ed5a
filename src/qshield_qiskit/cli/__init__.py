"""The `qshield` command; each command is a file of this folder that is named like it."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from qshield_qiskit.cli.group import LazyGroup

COMMANDS = (
    "train",
    "evaluate",
    "submit",
    "jobs",
    "attack",
    "verdict",
    "certify",
    "compare",
    "sweep",
    "report",
    "study",
    "export",
    "calibrate",
    "list",
    "show",
    "doctor",
)
"""Names of the files that hold a command, in the order in which the help shows them."""


class Commands(LazyGroup):
    """Our commands."""

    names = COMMANDS
    package = __name__


app = typer.Typer(
    cls=Commands,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"qshield {version('qshield-qiskit')}")
        raise typer.Exit()


@app.callback()
def _qshield(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train, attack and honestly judge hybrid quantum-classical image classifiers in Qiskit."""


def main() -> None:
    """Run the command line of this process."""
    app(sys.argv[1:] or ["--help"], prog_name="qshield")
