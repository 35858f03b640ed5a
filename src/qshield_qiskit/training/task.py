"""What a training step is: the loss of the images that the defence shows, minimised by Adam under a schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics.classification import MulticlassAccuracy

from qshield_qiskit.config import DefenceSettings
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.training.batches import Batch, num_processes
from qshield_qiskit.training.defences import Defence
from qshield_qiskit.training.lipschitz import build_penalty
from qshield_qiskit.training.mean_loss import MeanLoss
from qshield_qiskit.training.noise_aware import Devices

VALIDATION_IMAGES = 1000
"""Validation images that are attacked, in whole batches, in every process of a distributed run."""


class ClassifierTask(LightningModule):
    r"""Teach a classifier its labels.

    The learning rate falls as (1 + cos(\pi t / T)) / 2 over the T steps of the run, if `schedule` is
    "cosine".

    Args:
        model: From images (B, C, H, W) to logits (B, num_classes).
        num_classes: Number of classes.
        learning_rate: First step size of Adam.
        weight_decay: L2 penalty.
        branch_weight: Weight of each branch's own loss beside that of the fused logits.
        schedule: "cosine" or "constant".
        lipschitz_weight: Weight of the penalty on how fast the circuit's angles change with the features.
        defence: Chooses the images that the model is shown, and judges the answer; None: clean ones, by their
            cross entropy.
        still: Modules that are not trained, which stay in eval mode.
        devices: What each batch's circuit runs on; None: the model's own backend.
        threads: Threads that torch uses in every process of the run; None leaves them as they are.
    """

    def __init__(
        self,
        model: HybridClassifier,
        *,
        learning_rate: float,
        weight_decay: float,
        branch_weight: float = 0.5,
        schedule: str = "cosine",
        lipschitz_weight: float = 0.0,
        defence: Defence | None = None,
        still: Sequence[nn.Module] = (),
        devices: Devices | None = None,
        threads: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.branch_weight = branch_weight
        self.schedule = schedule
        self.lipschitz_weight = lipschitz_weight
        self.penalty = build_penalty(model, lipschitz_weight)
        self.defence = defence or Defence(DefenceSettings(), seed=0)
        self.still = tuple(still)
        self.devices = devices or Devices((), seed=0)
        self.threads = threads
        self.train_loss = MeanLoss()
        self.validation_loss = MeanLoss()
        self.validation_accuracy = MulticlassAccuracy(model.num_classes, average="micro")
        self.validation_accuracy_attacked = MulticlassAccuracy(model.num_classes, average="micro")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make Adam and its schedule."""
        optimizer = torch.optim.Adam(
            [weight for weight in self.model.parameters() if weight.requires_grad],
            lr=self.learning_rate,
            weight_decay=self.weight_decay,
        )
        if self.schedule == "constant":
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        cosine = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: (1 + math.cos(math.pi * min(step / steps, 1))) / 2
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def on_fit_start(self) -> None:
        """Set the number of threads here, because the processes of a distributed run begin here."""
        if self.threads is not None:
            torch.set_num_threads(self.threads)

    def on_train_epoch_start(self) -> None:
        """Let the defence begin the epoch, and keep what is not trained in eval mode."""
        for module in self.still:
            module.eval()
        self.defence.begin_epoch(self.current_epoch, self.global_rank, self.device)

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """Compute the loss of a batch, and of the fused prediction alone."""
        images, labels = batch
        images = self.defence.augmented(images)
        epsilon = self.defence.radius(self._epochs(batch_index))
        with self.devices.drawn(self.model, self.current_epoch, batch_index):
            branches = self.model.branches(self.defence.shown(self.model, images, labels, epsilon))
        loss = fused = self.defence.loss(branches.logits, labels)
        if branches.quantum is not None and self.model.mixes_branches:
            alone = self.defence.loss(branches.classical, labels) + self.defence.loss(
                branches.quantum, labels
            )
            loss = fused + self.branch_weight * alone
        if self.penalty is not None:
            loss = loss + self.lipschitz_weight * self.penalty(self.model)
        self.train_loss.update(fused.detach(), len(labels))
        return {"loss": loss * self._share(labels), "fused": fused.detach()}

    def _share(self, labels: Tensor) -> float:
        """Weigh the mean over a process's share of a batch, so that the mean over processes is that of the batch."""
        processes = num_processes()
        if processes == 1:
            return 1.0
        count = torch.tensor(float(len(labels)), device=labels.device)
        total = count.clone()
        torch.distributed.all_reduce(total)
        return float(count * processes / total)

    def _epochs(self, batch_index: int) -> float:
        """Count the epochs up to the end of a step."""
        if not self.defence.crafts:
            return 0.0
        return self.current_epoch + (batch_index + 1) / int(self.trainer.num_training_batches)

    def on_after_backward(self) -> None:
        """Pass it on to the defence."""
        self.defence.after_backward()

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add a batch to the figures of the epoch."""
        images, labels = batch
        logits = self.model(images)
        self.validation_loss.update(cross_entropy(logits, labels), len(labels))
        self.validation_accuracy.update(logits, labels)
        if self.defence.crafts and batch_index * len(labels) < VALIDATION_IMAGES:
            perturbed = self.defence.validation_examples(self.model, images, labels)
            self.validation_accuracy_attacked.update(self.model(perturbed), labels)
