"""Study something beyond a single run: circuits, what they can do and what they cost."""

from __future__ import annotations

from typing import Annotated

import typer

from qshield_qiskit import studies
from qshield_qiskit.cli.console import Json, console, emit, stdout, stdout_kept_for_json


def command(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(studies.STUDIES)}.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE ...]", help="Settings of the study.")
    ] = None,
    json: Json = False,
) -> None:
    """Carry a study out, print its tables and keep them in files, which are named at the end.

    Examples: qshield study circuits; qshield study circuits num_qubits=3 reps=1,2,3 calibrations=fake_torino_6q
    """
    study = studies.load(name)
    with stdout_kept_for_json(json), console.status(name) as status:

        def announce(what: str, done: int, total: int) -> None:
            status.update(f"{name} {done + 1}/{total}: {what}")

        found = study.run(words or [], announce)
    if json:
        emit({**found.facts, "files": found.files})
        return
    for part in found.shown:
        stdout.print(part)
    stdout.print()
    for path in found.files:
        stdout.print(f"written  {path}", highlight=False, soft_wrap=True)
