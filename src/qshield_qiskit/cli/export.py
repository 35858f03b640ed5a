"""Write a run's model with its card into a folder of its own, ready for a hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qshield_qiskit import runs
from qshield_qiskit.cli.console import Json, emit, stdout, stdout_kept_for_json
from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.models.pretrained import TENSORS, loading_call, read_config
from qshield_qiskit.reporting.model_card import model_card
from qshield_qiskit.reporting.robustness import read_run


def command(
    which: Annotated[str, typer.Argument(metavar="[RUN]", help="A run's folder, or last.")] = "last",
    to: Annotated[
        Path | None, typer.Option(help="The folder; models/<experiment> unless given.", file_okay=False)
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of a model that is there already.")
    ] = False,
    json: Json = False,
) -> None:
    """Export a trained, attacked and judged model: safetensors, settings, circuit, and a card with its figures.

    Examples: qshield export; qshield export runs/digits/A --to models/digits
    """
    run = runs.load_run(which)
    folder = to or Path("models") / run.config.experiment
    if (folder / TENSORS).exists() and not replace:
        raise InputError(f"{folder}: a model is there already; say --replace, or another folder with --to")
    with stdout_kept_for_json(json):
        attacked = read_run(run.folder, runs.describe(run.config))
        loads = loading_call(folder, read_config(run.folder.path))
        card = model_card(attacked, runs.training_command(run), folder.name, loads)
        try:
            run.model.save_pretrained(folder)
            write_atomically(folder / "README.md", card)
        except OSError as error:
            raise InputError(
                f"{folder}: {error.strerror or error}; give a folder that can be written with --to"
            ) from error
    if json:
        emit({"run": str(run.folder.path), "folder": str(folder)})
        return
    stdout.print(f"model   {folder}", highlight=False, soft_wrap=True)
    stdout.print(f"card    {folder / 'README.md'}", highlight=False, soft_wrap=True)
