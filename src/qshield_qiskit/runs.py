"""A run: train it, load it."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from qshield_qiskit import assembly, catalog, config, overrides
from qshield_qiskit.config import Settings
from qshield_qiskit.data import Dataset
from qshield_qiskit.devices.jobs.purposes import was_sent
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import BudgetSpent, InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.models.pretrained import TENSORS, load_weights
from qshield_qiskit.reporting.environment import describe_environment
from qshield_qiskit.reporting.folder import CONFIG, LAST, RunFolder
from qshield_qiskit.seeding import derive, seed_everything
from qshield_qiskit.start import with_start_named
from qshield_qiskit.training.figures import classification_figures, predict, quantum_share
from qshield_qiskit.training.fitting import fit, last_checkpoint
from qshield_qiskit.training.history import HISTORY, Epoch, read

METRICS = "metrics.json"
RESUME_KEYS = ("backend.max_qpu_seconds",)
"""What `train --resume` may change."""


@dataclass(frozen=True)
class Run:
    """A training and all that it left behind.

    Attributes:
        folder: Its files.
        config: Its settings.
    """

    folder: RunFolder
    config: Settings

    @cached_property
    def model(self) -> HybridClassifier:
        """The weights that did best on the validation images (else the last), in eval mode on the CPU.

        Its circuit runs on the backend of config.yaml.
        """
        if not (self.folder.path / METRICS).is_file():
            raise InputError(f"{self.folder.path}: not trained to its end; go on with: {self.resume_command}")
        return assembly.trained_model(self.config, self.folder.path, self.purpose)

    @property
    def metrics(self) -> dict[str, Any]:
        """The figures of the training, as in metrics.json."""
        metrics: dict[str, Any] = self.folder.read_json(METRICS, self.resume_command)
        return metrics

    @property
    def history(self) -> list[Epoch]:
        """One row an epoch."""
        return read(self.folder.path / HISTORY)

    @property
    def resume_command(self) -> str:
        """What to type to go on with a run that was stopped."""
        return shlex.join(["qshield", "train", "--resume", str(self.folder.path)])

    @property
    def purpose(self) -> str:
        """What its jobs on a device are for."""
        return f"{self.config.experiment}/{self.folder.path.name}"

    def dataset(self) -> Dataset:
        """Load the run's images, split as they were."""
        return assembly.load_images(self.config)


def load_run(which: str | Path = LAST) -> Run:
    """Load a run.

    This reads files and runs none of them. The run's `model` makes the backend that its config.yaml names: where that
    is a Python file it is run, and a device of IBM's is asked for in your account's name. So look at `backend` in the
    config.yaml of a run from elsewhere first, or take its weights alone by `HybridClassifier.from_pretrained`.

    Args:
        which: Its folder, or "last" for the one that was started last in ./runs.

    Raises:
        InputError: There is no such run, or its settings are damaged.
    """
    folder = RunFolder.find(which)
    return Run(folder, config.load_settings(folder.path / CONFIG))


def train(
    settings: Settings,
    *,
    resume: Run | None = None,
    progress: bool = False,
    terms: Terms | None = None,
    started: Callable[[Run], Any] | None = None,
) -> Run:
    """Train a classifier, measure it and keep everything in a run folder.

    Args:
        settings: All settings.
        resume: A run that was stopped; it goes on under its own settings, but for `RESUME_KEYS`.
        progress: Show progress on stderr.
        terms: On what terms a device is used.
        started: Hears of the run before its first step, from where on it can be gone on with.

    Returns:
        The run.

    Raises:
        InputError: A setting does not fit the data, the backend or the machine.
        KeyboardInterrupt: The user stopped the training; the run can be resumed.
        SystemExit: SIGTERM stopped it, likewise.
    """
    if resume is None:
        settings = with_start_named(settings)
    else:
        limit = {"max_qpu_seconds": settings.backend.max_qpu_seconds}
        settings = resume.config.model_copy(
            update={"backend": resume.config.backend.model_copy(update=limit)}
        )
    if settings.training.threads is not None:
        torch.set_num_threads(settings.training.threads)
    dataset = assembly.load_images(settings)
    dataset = dataclasses.replace(dataset, test=assembly.evaluated_images(dataset, settings))
    seed_everything(settings.seed)
    model = assembly.build_model(settings, dataset)
    checkpoint = None if resume is None else last_checkpoint(resume.folder.path)
    if settings.training.start_from is not None and checkpoint is None:  # whose weights would replace these
        load_weights(model, settings.training.start_from / TENSORS)
        if settings.training.precision != "64-true":  # they bring their own precision along
            model.float()
    run = resume or Run(
        RunFolder.create(settings.runs, settings.experiment, settings.seed, settings.to_yaml()), settings
    )
    if catalog.is_hardware(model.backend):  # whose jobs are this run's, on the user's terms
        model = assembly.on_backend(model, settings, run.purpose, terms)
    run.folder.write_json("environment.json", _environment(model, dataset))
    if started is not None:
        started(run)
    if progress:
        Console(stderr=True).print(f"[bold]{describe(settings)}[/], seed {settings.seed}")
    try:
        history = fit(
            model,
            dataset,
            settings.training,
            run.folder.path,
            settings.seed,
            resume=resume is not None,
            progress=progress,
        )
        model.save_pretrained(run.folder.path)
        run.folder.write_json(METRICS, _metrics(model, dataset, settings, history))
    except InputError as error:
        if catalog.is_hardware(model.backend) and was_sent(run.purpose):  # what was paid for is this run's
            more = " backend.max_qpu_seconds=<more>" if isinstance(error, BudgetSpent) else ""
            error.args = (f"{error} (for this training: {run.resume_command}{more})",)
        elif resume is None and not (run.folder.path / HISTORY).exists():  # refused: leave nothing behind
            shutil.rmtree(run.folder.path)
        raise
    return run


def training_command(run: Run) -> str:
    """Say what to type to train a run again: its experiment, and what it sets otherwise."""
    try:
        plain = config.load_settings(run.config.experiment)
    except InputError:  # a file of the user's
        return shlex.join(["qshield", "train", str(run.folder.path / CONFIG)])
    changed = overrides.difference(plain.model_dump(mode="json"), run.config.model_dump(mode="json"))
    kept = [override for override in changed if not override.startswith(("runs=", "data.root=", "seed="))]
    return shlex.join(["qshield", "train", run.config.experiment, f"seed={run.config.seed}", *kept])


def describe(settings: Settings) -> str:
    """Say in one line what settings train on what."""
    model, circuit = settings.model, settings.circuit
    branch = {
        "circuit": f"circuit {circuit.name} on {settings.backend.name}, fusion {model.fusion}",
        "control": f"classical control of circuit {circuit.name}, fusion {model.fusion}",
        "none": "no second branch",
    }[model.branch]
    defence = settings.training.defence
    radius = "" if defence.epsilon is None else f" at {defence.epsilon:.3g}"
    defended = "" if defence.name == "none" else f", defended by {defence.name}{radius}"
    return f"{settings.dataset.file or settings.dataset.name}: {model.backbone}, {branch}{defended}"


def _metrics(
    model: HybridClassifier, dataset: Dataset, settings: Settings, history: Sequence[Epoch]
) -> dict[str, Any]:
    batch_size = settings.evaluation.batch_size
    model.to(assembly.torch_device(settings))
    seed_everything(derive(settings.seed, "evaluation"))  # shots follow it, and not how training was resumed
    start = time.perf_counter()
    predicted = predict(model, dataset.test.images, batch_size)
    inference_seconds = time.perf_counter() - start
    figures = classification_figures(predicted, dataset.test.labels, dataset.num_classes)
    train_accuracy = share = None  # on a device they would cost more than they say
    if not catalog.is_hardware(model.backend):
        train = predict(model, dataset.train.images, batch_size)
        train_accuracy = float((train == dataset.train.labels).double().mean())
        step = slice(settings.training.batch_size)
        share = quantum_share(model, dataset.train.images[step], dataset.train.labels[step])
    return {
        **figures,
        "train_accuracy": train_accuracy,
        "train_seconds": sum(epoch.seconds for epoch in history),
        "inference_seconds": inference_seconds,
        "quantum_share": share,
        "parameters": model.num_parameters,
        "parameters_matched": model.num_parameters_matched,
        "seed": settings.seed,
    }


def _environment(model: HybridClassifier, dataset: Dataset) -> dict[str, Any]:
    return {
        **describe_environment(),
        "calibration": assembly.calibration(model),
        "data": [dataclasses.asdict(file) for file in dataset.source],
    }
