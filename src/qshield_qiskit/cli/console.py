"""What commands print, and where: results on stdout, everything else on stderr.

With `--json` stdout carries one JSON object and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, ConsoleDimensions

from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import InputError

if TYPE_CHECKING:
    from qshield_qiskit.devices.jobs.cost import Cost

UNLIMITED = 500
"""Columns where there is no screen: a table in a file or a pipe is not cut at a width that nobody set."""


class _Results(Console):
    @property
    def size(self) -> ConsoleDimensions:
        size = super().size
        endless = not self.is_terminal and "COLUMNS" not in os.environ
        return ConsoleDimensions(UNLIMITED, size.height) if endless else size

    @size.setter
    def size(self, new: tuple[int, int]) -> None:
        self.width, self.height = new


stdout = _Results()
"""For results: tables, drawings."""

console = Console(stderr=True)
"""For everything else: progress, notes, what to type next."""

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout, everything else on stderr.")
]


def emit(result: dict[str, Any]) -> None:
    """Print the one JSON object of a command; what JSON does not know, such as a path, becomes text."""
    typer.echo(json.dumps(result, indent=2, default=str))


Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Send jobs to a device of IBM's without asking first.")
]

Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh",
        help="Ask a device again for what the job ledger has; or go on with such a command that did not come to its "
        "end.",
    ),
]


def say_next(command: str, folder: object, *, width: int = 6) -> None:
    """Say what to type next, with the folder itself: by then "last" may be another.

    Args:
        command: A command of ours.
        folder: What it is to take.
        width: Columns of the heading, as of those above.
    """
    typed = shlex.join(["qshield", command, str(folder)])
    stdout.print(f"{'next':{width}}{typed}", highlight=False, soft_wrap=True)


def terms(*, yes: bool, fresh: bool) -> Terms:
    """Give the terms on which a command uses a device: what it costs is asked for before the first job, once."""
    return Terms(
        fresh=fresh, confirm=None if yes else _confirm, say=lambda line: console.print(line, style="dim")
    )


def _confirm(cost: Cost) -> bool:
    console.print(cost_lines(cost))
    if not sys.stdin.isatty():
        raise InputError("a device's time costs money, and nobody is here to ask; say so with --yes")
    return typer.confirm("send it?", err=True)


def cost_lines(cost: Cost) -> str:
    """Word what jobs are expected to cost."""
    circuits = f"{cost.sets:,} sets of angles x {cost.circuits} circuits x {cost.shots:,} shots"
    return (
        f"{cost.jobs} job{'' if cost.jobs == 1 else 's'}: {circuits}, {cost.executions:,} executions\n"
        f"circuit: depth {cost.depth}, {cost.two_qubit_gates} two-qubit gates; "
        f"{100 * cost.fidelity:.1f} % of its runs meet no error on this calibration\n"
        f"about {cost.seconds:,.0f} s of the device's time (an estimate; IBM's bill is its own)"
    )


@contextlib.contextmanager
def stdout_kept_for_json(wanted: bool) -> Iterator[None]:
    """Send whatever is printed meanwhile, by us or by a library, to stderr if JSON is wanted on stdout."""
    with contextlib.redirect_stdout(sys.stderr) if wanted else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def checks_in_progress() -> Iterator[Callable[[str, int, int], None]]:
    """Show on stderr which check of the verdict is running."""
    with console.status("verdict") as status:

        def show(name: str, number: int, total: int) -> None:
            status.update(f"verdict {number + 1}/{total}: {name.replace('_', ' ')}")

        yield show


def split_arguments(arguments: Sequence[str] | None) -> tuple[str | None, list[str]]:
    """Tell what a command is about from the overrides that follow it.

    Args:
        arguments: "mnist training.epochs=5" as words; the first is a name unless it holds an equals sign.

    Returns:
        The name or None, and the overrides.

    Raises:
        InputError: The name is empty, as that of a variable of the shell that is not set.

    >>> split_arguments(["mnist", "seed=1"]), split_arguments(["seed=1"])
    (('mnist', ['seed=1']), (None, ['seed=1']))
    """
    words = list(arguments or ())
    if words and not words[0]:
        raise InputError("'': expected a name, or settings such as seed=1; leave it out for the default")
    if words and "=" not in words[0]:
        return words[0], words[1:]
    return None, words
