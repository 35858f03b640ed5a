"""The mean of a loss over an epoch's images, in all processes of a distributed run."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanLoss(Metric):
    """The mean over images, given batch by batch; one loss that is no number makes it none.

    torchmetrics' own `MeanMetric` drops such losses, and told not to it drops the weights of the batches.
    """

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("count", default=torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, loss: Tensor, num_images: int) -> None:
        """Add a batch: its mean loss, in nats, and the number of its images."""
        self.total += loss.to(self.total) * num_images
        self.count += num_images

    def compute(self) -> Tensor:
        """Give the mean of all that was added, in nats."""
        return self.total / self.count
