"""Train a hybrid classifier, and keep everything in a run folder."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from qshield_qiskit import runs
from qshield_qiskit.cli.console import (
    Json,
    Yes,
    console,
    emit,
    say_next,
    split_arguments,
    stdout,
    stdout_kept_for_json,
    terms,
)
from qshield_qiskit.config import load_settings, override
from qshield_qiskit.errors import InputError
from qshield_qiskit.overrides import expand
from qshield_qiskit.reporting.tables import results_table
from qshield_qiskit.start import with_start_named


def command(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[EXPERIMENT] [KEY=VALUE ...]",
            help="An experiment's name or file, and settings; commas make several runs: seed=0,1,2.",
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with a run that was stopped: its folder, or last."),
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Train, measure on the test images, and say where everything is.

    Examples: qshield train; qshield train mnist backend=aer_noisy circuit=star training.epochs=5 seed=0,1,2
    """
    experiment, dotted = split_arguments(arguments)
    if resume is not None and (experiment or any(not word.startswith(runs.RESUME_KEYS) for word in dotted)):
        raise InputError(
            f"--resume goes on under the run's own settings, but for {', '.join(runs.RESUME_KEYS)}; "
            "leave the others out"
        )
    resumed = None if resume is None else runs.load_run(resume)
    if resumed is not None:
        wanted = [override(resumed.config, dotted, runs.RESUME_KEYS)]
    else:
        wanted = [with_start_named(load_settings(experiment, words)) for words in expand(dotted)]
    finished: list[runs.Run] = []
    started: list[runs.Run] = []
    asked = terms(yes=yes, fresh=False)
    with stdout_kept_for_json(json):
        for settings in wanted:
            try:
                finished.append(
                    runs.train(settings, resume=resumed, progress=True, terms=asked, started=started.append)
                )
            except (KeyboardInterrupt, SystemExit):
                if len(started) > len(finished):
                    command = started[-1].resume_command
                    console.print(f"stopped; go on with: {command}", highlight=False, soft_wrap=True)
                raise
    results = [{**run.metrics, "run": str(run.folder.path)} for run in finished]
    if json:
        emit(results[0] if len(results) == 1 else {"runs": results})
        return
    _show(finished, results)


def _show(finished: list[runs.Run], results: list[dict[str, Any]]) -> None:
    titles = [runs.describe(run.config) for run in finished]
    same = len(set(titles)) == 1
    names = [
        f"seed {run.config.seed}" if same else f"{title}, seed {run.config.seed}"
        for run, title in zip(finished, titles, strict=True)
    ]
    counts = sorted({result["parameters"] for result in results})
    stdout.print()
    stdout.print(
        results_table(
            f"{titles[0] if same else 'runs'}\n{results[0]['n']:,} test images, "
            f"{' or '.join(f'{count:,}' for count in counts)} parameters",
            list(zip(names, results, strict=True)),
        )
    )
    stdout.print()
    for result in results:
        stdout.print(f"run   {result['run']}", soft_wrap=True)
    say_next("attack", results[-1]["run"])
