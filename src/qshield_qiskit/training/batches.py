"""Batches by index from tensors in memory, in an order that depends on the seed and the epoch alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from qshield_qiskit.data import Split
from qshield_qiskit.seeding import derive

Batch = tuple[Tensor, Tensor]  # (B, C, H, W) in [0, 1], (B,)


class EpochBatches:
    """Indices of one epoch's batches, shared out among the processes of a distributed run.

    The batches are of equal size to within one image, and every process gets as many as the others: a share of each
    batch that a single process would take with as many times the batch size. None is left with a single image, which
    batch norm could not use: a batch size of 2 takes 3 images where one would be left over.

    Args:
        num_images: Number of images.
        batch_size: Most images in a batch of one process.
        shuffle_seed: Seed of the order, which changes with every epoch; None keeps the images in order.
    """

    def __init__(self, num_images: int, batch_size: int, *, shuffle_seed: int | None = None) -> None:
        self.num_images = num_images
        self.batch_size = batch_size
        self.shuffle_seed = shuffle_seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Move on to an epoch, counted from 0; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        wanted = math.ceil(self.num_images / self.batch_size / num_processes())
        return max(1, min(wanted, self.num_images // (2 * num_processes())))

    def __iter__(self) -> Iterator[Tensor]:
        order = torch.arange(self.num_images)
        if self.shuffle_seed is not None:
            generator = torch.Generator().manual_seed(derive(self.shuffle_seed, "epoch", self.epoch))
            order = torch.randperm(self.num_images, generator=generator)
        for batch in order.tensor_split(len(self)):
            yield batch.tensor_split(num_processes())[_rank()]


class Batches:
    """A split, batch by batch: a loader to Lightning, without the collation that would cost more than the network.

    It draws nothing from torch's global generator, and it travels to other processes.

    Args:
        split: Images and labels.
        batch_size: Most images in a batch.
        shuffle_seed: As for `EpochBatches`.
        replays: How often each batch is served in a row.
    """

    batch_sampler = None  # Lightning asks for it, and tells the sampler the epoch

    def __init__(
        self, split: Split, batch_size: int, *, shuffle_seed: int | None = None, replays: int = 1
    ) -> None:
        self.images, self.labels = split.images, split.labels
        self.replays = replays
        self.sampler = EpochBatches(len(split), batch_size, shuffle_seed=shuffle_seed)

    def __len__(self) -> int:
        return len(self.sampler) * self.replays

    def __iter__(self) -> Iterator[Batch]:
        for indices in self.sampler:
            batch = self.images[indices], self.labels[indices]
            yield from itertools.repeat(batch, self.replays)


def num_processes() -> int:
    """Count the processes of a distributed run; 1 in any other."""
    return torch.distributed.get_world_size() if _distributed() else 1


def _rank() -> int:
    return torch.distributed.get_rank() if _distributed() else 0


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
