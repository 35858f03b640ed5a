"""How a training looks in the terminal: a bar for the running epoch, a line for every finished one."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from qshield_qiskit.training.history import best
from qshield_qiskit.training.keeping import Keeper
from qshield_qiskit.training.task import ClassifierTask

SECONDS_BETWEEN_LOSSES = 0.2  # reading a loss makes a GPU wait


class EpochProgress(Callback):
    """Show progress on stderr, where it does not mix with results.

    Args:
        keeper: Knows the finished epochs.
    """

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self._console: Console | None = None  # made by the process that shows it: consoles do not travel
        self._progress: Progress | None = None
        self._bar = TaskID(0)
        self._next_loss = 0.0
        self._printed = 0
        self._attacked = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the head of the table of epochs."""
        if trainer.is_global_zero:
            self._console = Console(stderr=True)
            self._attacked = isinstance(pl_module, ClassifierTask) and pl_module.defence.crafts
            attacked = "   attacked" if self._attacked else ""
            self._console.print(
                f"[dim]   epoch    loss   validation loss   accuracy{attacked}   seconds[/dim]"
            )
            self._printed = len(self.keeper.history)  # those of the run that goes on

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch before, and begin a bar."""
        self._print_finished(trainer.max_epochs)
        if self._console is None or not self._console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(compact=True),
            console=self._console,
            transient=True,
        )
        epoch = f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._bar = self._progress.add_task(epoch, total=trainer.num_training_batches, loss="-")
        self._progress.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar on."""
        if self._progress is None:
            return
        self._progress.advance(self._bar)
        if time.monotonic() >= self._next_loss:
            self._progress.update(self._bar, loss=f"{float(outputs['fused']):.3f}")
            self._next_loss = time.monotonic() + SECONDS_BETWEEN_LOSSES

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the bar away; the keeper, whose turn comes later, has not closed the epoch yet."""
        self._remove_bar()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the last epoch."""
        self._print_finished(trainer.max_epochs)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        self._remove_bar()

    def _print_finished(self, max_epochs: int | None) -> None:
        """Print a line for every epoch that has ended and has none yet; the best one is marked."""
        if self._console is None:
            return
        for row in self.keeper.history[self._printed :]:
            self._printed += 1
            validation, mark = f"{'-':>18}{'-':>11}", ""
            if self._attacked:
                validation += f"{'-':>11}"
            if row.validated:
                validation = f"{row.validation_loss:>18.4f}{row.validation_accuracy:>11.2%}"
                if row.validation_accuracy_attacked is not None:
                    validation += f"{row.validation_accuracy_attacked:>11.2%}"
                is_best = best(self.keeper.history[: self._printed]) is row
                mark = "[green]best so far[/green]" if is_best else ""
            self._console.print(
                f"{row.epoch:>4}/{max_epochs:<4}{row.train_loss:>7.4f}{validation}{row.seconds:>10.1f}   {mark}",
                highlight=False,
            )

    def _remove_bar(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
