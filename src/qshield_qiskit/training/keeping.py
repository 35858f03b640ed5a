"""What a training leaves behind after every epoch, so that it can be stopped at any moment and go on."""

from __future__ import annotations

import itertools
import math
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from qshield_qiskit import seeding
from qshield_qiskit.errors import InputError
from qshield_qiskit.training import history
from qshield_qiskit.training.history import HISTORY, Epoch
from qshield_qiskit.training.quiet import silence_lightning
from qshield_qiskit.training.task import ClassifierTask

BEST = "checkpoints/best.ckpt"
LAST = "checkpoints/last.ckpt"


class Keeper(Checkpoint):
    """Keep the history, the best weights and a complete state to go on from; stop when nothing improves.

    The states of all random generators are part of that state, so that a resumed run draws what an
    uninterrupted one would have drawn.

    Args:
        folder: Receives history.csv, checkpoints/best.ckpt and checkpoints/last.ckpt.
        seed: What the processes of a distributed run draw follows from it.
        patience: Epochs without a lower validation loss, or with a defence without a higher accuracy under attack,
            before training stops; None never stops early.
    """

    def __init__(self, folder: Path, *, seed: int, patience: int | None = None) -> None:
        self.folder = folder
        self.seed = seed
        self.patience = patience
        self.history: list[Epoch] = []
        self._generators: seeding.State | None = None
        self._start = 0.0

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        silence_lightning()  # it has arrived in a process of a distributed run, to be as quiet as the first

    def state_dict(self) -> dict[str, Any]:
        """Give what goes into a checkpoint beside weights and optimizer."""
        return {"history": [list(row) for row in self.history], "generators": seeding.state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where a checkpoint was written."""
        self.history = [Epoch(*row) for row in state_dict["history"]]
        self._generators = state_dict["generators"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do not go on with a training that had stopped by itself."""
        trainer.should_stop = self._has_lost_patience()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Put the generators where they were; Lightning's own start-up may have drawn from them.

        A checkpoint knows the first process's alone, so that several draw anew in every epoch, each for itself.
        """
        if self._generators is not None:
            seeding.restore(self._generators)
            self._generators = None
        if trainer.world_size > 1:
            place = (trainer.current_epoch, trainer.global_rank)
            seeding.seed_everything(seeding.derive(self.seed, "training", *place))
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the epoch down. The state comes last: if it is missing, the epoch is simply run again."""
        assert isinstance(pl_module, ClassifierTask)
        row = self._close_epoch(trainer.current_epoch + 1, pl_module)
        self.history.append(row)
        if trainer.is_global_zero:
            history.write(self.folder / HISTORY, self.history)
        if history.best(self.history) is row:
            _save(trainer, self.folder / BEST, weights_only=True)
        _save(trainer, self.folder / LAST)
        trainer.should_stop = self._has_lost_patience()

    def _close_epoch(self, epoch: int, task: ClassifierTask) -> Epoch:
        """Take the epoch's figures, over all processes, and clear the metrics."""
        metrics = (
            task.train_loss,
            task.validation_loss,
            task.validation_accuracy,
            task.validation_accuracy_attacked,
        )
        figures = [float(metric.compute()) if metric.update_called else None for metric in metrics]
        for metric in metrics:
            metric.reset()
        if not all(math.isfinite(figure) for figure in figures if figure is not None):
            raise InputError(
                f"the loss is no longer a number after epoch {epoch}; try a smaller training.learning_rate"
            )
        weights = itertools.chain(task.model.parameters(), task.model.buffers())
        if not all(
            bool(weight.isfinite().all()) for weight in weights
        ):  # broken after the last loss was taken
            raise InputError(
                f"weights are no longer numbers after epoch {epoch}; try a smaller training.learning_rate"
            )
        train_loss, validation_loss, accuracy = (math.nan if one is None else one for one in figures[:3])
        seconds = time.perf_counter() - self._start
        return Epoch(epoch, train_loss, validation_loss, accuracy, seconds, figures[3])

    def _has_lost_patience(self) -> bool:
        if self.patience is None or not self.history:
            return False
        if self.history[-1].validation_accuracy_attacked is None:
            top = min(self.history, key=lambda row: row.validation_loss)
        else:
            top = history.best(self.history)
        return self.history[-1].epoch - top.epoch >= self.patience


def _save(trainer: Trainer, file: Path, *, weights_only: bool = False) -> None:
    """Write a checkpoint beside its place and move it there; Lightning copies it, where /tmp is another file system."""
    part = file.with_name(f".{file.name}.part")
    trainer.save_checkpoint(part, weights_only=weights_only)  # processes take part and wait for one another
    if trainer.is_global_zero:
        part.replace(file)
