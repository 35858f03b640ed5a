"""What a training step is: cross entropy, minimised by Adam under a cosine schedule."""

from __future__ import annotations

import math

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassAccuracy

from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.training.batches import Batch


class ClassifierTask(LightningModule):
    r"""Teach a classifier its labels.

    The learning rate falls as (1 + cos(\pi t / T)) / 2 over the T steps of the run, if `schedule` is
    "cosine".

    Args:
        model: From images (B, C, H, W) to logits (B, num_classes).
        num_classes: Number of classes.
        learning_rate: First step size of Adam.
        weight_decay: L2 penalty.
        branch_weight: Weight of each branch's own cross entropy beside that of the fused logits.
        schedule: "cosine" or "constant".
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
        threads: int | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.branch_weight = branch_weight
        self.schedule = schedule
        self.threads = threads
        self.train_loss = MeanMetric()
        self.validation_loss = MeanMetric()
        self.validation_accuracy = MulticlassAccuracy(model.num_classes, average="micro")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make Adam and its schedule."""
        optimizer = torch.optim.Adam(
            self.model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
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

    def training_step(self, batch: Batch, batch_index: int) -> dict[str, Tensor]:
        """Compute the loss of a batch, and of the fused prediction alone."""
        images, labels = batch
        branches = self.model.branches(images)
        loss = fused = cross_entropy(branches.logits, labels)
        if branches.quantum is not None and self.model.mixes_branches:
            alone = cross_entropy(branches.classical, labels) + cross_entropy(branches.quantum, labels)
            loss = fused + self.branch_weight * alone
        self.train_loss.update(fused.detach(), len(labels))
        return {"loss": loss, "fused": fused.detach()}

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Add a batch to the figures of the epoch."""
        images, labels = batch
        logits = self.model(images)
        self.validation_loss.update(cross_entropy(logits, labels), len(labels))
        self.validation_accuracy.update(logits, labels)
