"""`fit`: train a classifier on a data set, stoppable and resumable to the bit."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.strategies.launchers import _SubprocessScriptLauncher
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor
from torch.multiprocessing.spawn import ProcessRaisedException

from qshield_qiskit.config import TrainingSettings
from qshield_qiskit.data import Dataset
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.models.pretrained import check_tensors
from qshield_qiskit.seeding import derive, seed_everything
from qshield_qiskit.training import history
from qshield_qiskit.training.batches import Batches
from qshield_qiskit.training.defences import build_defence
from qshield_qiskit.training.history import HISTORY, Epoch
from qshield_qiskit.training.keeping import BEST, LAST, Keeper
from qshield_qiskit.training.noise_aware import build_devices
from qshield_qiskit.training.parts import dropping, trained_alone
from qshield_qiskit.training.progress import EpochProgress
from qshield_qiskit.training.quiet import quiet_lightning
from qshield_qiskit.training.task import ClassifierTask


def fit(
    model: HybridClassifier,
    dataset: Dataset,
    settings: TrainingSettings,
    folder: Path,
    seed: int,
    *,
    resume: bool = False,
    progress: bool = False,
) -> list[Epoch]:
    """Train a model in place and leave it with the weights that did best on the validation images, else the last.

    The same model, data, settings and seed give the same weights, bit for bit, on the same machine. A
    training that was stopped, at whatever moment, goes on from its last finished epoch to the weights of an
    uninterrupted one.

    Args:
        model: The model.
        dataset: Its training and validation splits are used; the latter may be empty.
        settings: How to train.
        folder: Receives history.csv and checkpoints/.
        seed: Seed of the shuffling, of dropout and of whatever else is random in a step.
        resume: Go on from checkpoints/last.ckpt, if there is one.
        progress: Show a bar and a line per epoch on stderr.

    Returns:
        One row an epoch, those before a resumption included.

    Raises:
        InputError: Lightning refuses the settings, patience has no validation images to go by, a checkpoint does
            not fit the model, there is nothing to train, or the loss diverges.
        KeyboardInterrupt: The user stopped the training; what was finished is kept.
        SystemExit: SIGTERM stopped it, likewise; its code is 143.
    """
    batch_size = settings.batch_size
    if min(batch_size, len(dataset.train)) < 2:
        raise InputError(
            f"training.batch_size={batch_size}: batch norm needs 2 images or more in a batch; try 64"
        )
    validated = len(dataset.validation) > 0
    if settings.patience is not None and not validated:
        raise InputError(
            f"training.patience={settings.patience}: without validation images nothing says when to stop; "
            "try data.validation_fraction=0.1 or training.patience=null"
        )
    checkpoint = last_checkpoint(folder) if resume else None
    if checkpoint is not None:
        _check_fits(model, checkpoint)
    defence = build_defence(settings.defence, seed)
    devices = build_devices(model, settings.noise_aware, settings.noise_variants, seed)
    replays = settings.defence.replays if settings.defence.name == "free" else 1
    seed_everything(derive(seed, "training"))
    keeper = Keeper(folder, seed=seed, patience=settings.patience)
    with trained_alone(model, settings.trains) as still, dropping(model, settings.dropout):
        task = ClassifierTask(
            model,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            schedule=settings.schedule,
            branch_weight=settings.branch_weight,
            lipschitz_weight=settings.lipschitz_weight,
            defence=defence,
            still=still,
            devices=devices,
            threads=settings.threads,
        )
        with quiet_lightning(), _deterministic(), _interruptible(), _refusals_of_processes():
            callbacks = [keeper, *([EpochProgress(keeper)] if progress else [])]
            trainer = _trainer(settings, model, callbacks)
            _check_shares(dataset, settings, trainer.num_devices * trainer.num_nodes)
            trainer.fit(
                task,
                Batches(dataset.train, batch_size, shuffle_seed=seed, replays=replays),
                Batches(dataset.validation, batch_size) if validated else None,
                ckpt_path=checkpoint,
                weights_only=True,
            )
    model.load_state_dict(_weights(_read(folder / BEST)))
    return history.read(folder / HISTORY)


def last_checkpoint(folder: Path) -> Path | None:
    """Find what a training in a folder goes on from; None before the end of its first epoch."""
    return folder / LAST if (folder / LAST).is_file() else None


def _check_shares(dataset: Dataset, settings: TrainingSettings, processes: int) -> None:
    """Refuse a distributed run some of whose processes would be left without images: the mean of nothing is none."""
    train, validation = len(dataset.train), len(dataset.validation)
    if train < 2 * processes or 0 < validation < processes:
        raise InputError(
            f"training.devices={settings.devices}: {processes} processes need {2 * processes} training images, "
            f"two each for batch norm, and {processes} for validation, but there are {train} and {validation}; "
            "try training.devices=1"
        )


def _trainer(settings: TrainingSettings, model: HybridClassifier, callbacks: list[Any]) -> Trainer:
    """Make a trainer that never starts our whole command once for every process, as Lightning's plain ddp does.

    A branch that does not predict has weights without a gradient, which the processes must not wait for.
    """
    all_predict = model.template is None or model.mixes_branches
    ours = "ddp_spawn" if all_predict else "ddp_spawn_find_unused_parameters_true"
    trainer = _with_strategy(ours if settings.strategy == "ddp" else settings.strategy, settings, callbacks)
    if settings.strategy == "auto" and _starts_commands(trainer):
        trainer = _with_strategy(ours, settings, callbacks)
    if _starts_commands(trainer):
        raise InputError(
            f"training.strategy={settings.strategy} would start the whole command once for every process; "
            "try training.strategy=ddp"
        )
    return trainer


def _starts_commands(trainer: Trainer) -> bool:
    """Tell whether processes begin as commands of their own, unless a cluster has started them."""
    launcher = trainer.strategy.launcher
    if not isinstance(launcher, _SubprocessScriptLauncher):
        return False
    return not launcher.cluster_environment.creates_processes_externally


def _with_strategy(strategy: str, settings: TrainingSettings, callbacks: list[Any]) -> Trainer:
    try:
        return Trainer(
            max_epochs=settings.epochs,
            accelerator=settings.accelerator,
            devices=settings.devices,
            strategy=strategy,
            precision=settings.precision,
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,  # our sampler knows of the other processes
            deterministic="warn",  # on a GPU, an operation that cannot be says so instead of failing
        )
    except (MisconfigurationException, ValueError, RuntimeError, TypeError, ImportError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"training.accelerator={settings.accelerator} devices={settings.devices} "
            f"strategy={settings.strategy} precision={settings.precision}: Lightning says: {reason}"
        ) from error


def _check_fits(model: HybridClassifier, checkpoint: Path) -> None:
    check_tensors(model, _weights(_read(checkpoint)), checkpoint)


def _weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """Take the model's tensors out of a checkpoint of its task."""
    return {name.removeprefix("model."): tensor for name, tensor in checkpoint["state_dict"].items()}


def _read(file: Path) -> dict[str, Any]:
    try:
        checkpoint: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{file}: not a readable checkpoint ({reason}); train again without --resume"
        ) from error
    return checkpoint


@contextmanager
def _deterministic() -> Iterator[None]:
    """Put torch's choice of algorithms back after Lightning has made it deterministic."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


@contextmanager
def _refusals_of_processes() -> Iterator[None]:
    """Word an InputError of a spawned process, which arrives as the text of its traceback, as it was."""
    try:
        yield
    except ProcessRaisedException as error:
        kind, _, message = str(error).rstrip().rpartition("\n")[2].partition(": ")
        if kind != f"{InputError.__module__}.{InputError.__name__}":
            raise
        raise InputError(message) from error


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM end as usual; Lightning makes silent exits of them and leaves Ctrl-C switched off."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        if isinstance(error, SIGTERMException):  # has no code, which would mean that all went well
            raise SystemExit(128 + signal.SIGTERM) from error
        raise
    finally:
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and handler not in {None, signal.SIG_IGN}:
            signal.signal(signal.SIGINT, handler)
