"""A group of commands that imports a file when its command is called, and ends failures in a known way."""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from qshield_qiskit.errors import InputError


class LazyGroup(TyperGroup):
    """Commands by the names of files: `names` in a package, each a file with a function `command`, or with `app`, a
    group of commands.

    The help reads each file's docstring without running it, so it is quick however much the commands import.
    """

    names: ClassVar[tuple[str, ...]]
    package: ClassVar[str]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        folder = Path(str(sys.modules[self.package].__file__)).parent
        for name in self.names:
            source = (folder / f"{name}.py").read_text(encoding="utf-8")
            summary = (ast.get_docstring(ast.parse(source)) or "").split("\n", 1)[0]
            self.add_command(TyperCommand(name, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is called, and import it."""
        name, command, rest = super().resolve_command(ctx, args)
        if name not in self.names:
            return name, command, rest
        module = import_module(f"{self.package}.{name}")
        if hasattr(module, "app"):
            return name, typer.main.get_command(module.app), rest
        single = typer.Typer(add_completion=False)
        single.command(name)(module.command)
        return name, typer.main.get_command(single), rest

    def main(self, *args: Any, **settings: Any) -> Any:
        """Run and exit: 0 done, 2 the input was wrong, 1 a server or job gave no answer, 130 interrupted.

        One line says how. Any other exception is a bug, and keeps its traceback.
        """
        if not settings.get("standalone_mode", True):
            return super().main(*args, **settings)
        try:
            status = super().main(*args, **settings | {"standalone_mode": False})
        except InputError as error:
            status = _refuse(str(error), error.exit_status)
        except typer.Abort:  # a question that was left unanswered
            typer.echo(err=True)
            status = 130
        except Exception as error:
            if not hasattr(error, "format_message"):  # a usage error, whichever click typer brings along
                raise
            status = _refuse(error.format_message(), InputError.exit_status)
        sys.exit(status if isinstance(status, int) else 0)


def _refuse(message: str, exit_status: int) -> int:
    typer.secho("error: ", fg="red", bold=True, nl=False, err=True)
    typer.echo(" ".join(message.split()), err=True)
    return exit_status
