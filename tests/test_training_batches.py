"""Batches: every image once an epoch, an order that the seed and the epoch decide, no batch of one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from qshield_qiskit.data import Split
from qshield_qiskit.training.batches import Batches, EpochBatches


def order(sampler):
    return torch.cat(list(sampler))


@given(st.integers(2, 400), st.integers(2, 64))
def test_every_image_is_served_once_in_batches_of_even_size(num_images, batch_size):
    sampler = EpochBatches(num_images, batch_size, shuffle_seed=0)
    sizes = [len(batch) for batch in sampler]
    assert order(sampler).sort().values.tolist() == list(range(num_images))
    assert len(sizes) == len(sampler)
    assert max(sizes) <= max(batch_size, 3)
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 2  # what batch norm needs


def test_the_order_is_a_function_of_seed_and_epoch():
    orders = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            sampler = EpochBatches(50, 8, shuffle_seed=seed)
            sampler.set_epoch(epoch)
            torch.rand(3)  # the global generator has no say
            orders[seed, epoch] = order(sampler).tolist()
            assert order(sampler).tolist() == orders[seed, epoch]
    assert len({tuple(one) for one in orders.values()}) == 4


def test_without_a_seed_images_keep_their_order():
    assert order(EpochBatches(10, 4)).tolist() == list(range(10))


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_an_epoch_evenly(monkeypatch, processes):
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: processes)
    shares = []
    for rank in range(processes):
        monkeypatch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
        shares.append(list(EpochBatches(101, 8, shuffle_seed=0)))
    assert len({len(share) for share in shares}) == 1
    together = torch.cat([batch for share in shares for batch in share])
    assert together.sort().values.tolist() == list(range(101))


@given(st.integers(8, 300), st.integers(2, 20), st.integers(2, 4))
def test_processes_share_the_batches_of_one_that_takes_as_many_at_a_time(num_images, batch_size, processes):
    whole = list(EpochBatches(num_images, batch_size * processes, shuffle_seed=0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torch.distributed.is_initialized", lambda: True)
        patch.setattr("torch.distributed.get_world_size", lambda: processes)
        shares = []
        for rank in range(processes):
            patch.setattr("torch.distributed.get_rank", lambda rank=rank: rank)
            shares.append(list(EpochBatches(num_images, batch_size, shuffle_seed=0)))
    together = [torch.cat(parts) for parts in zip(*shares, strict=True)]
    assert min(len(part) for share in shares for part in share) >= 2
    if len(together) == len(whole):  # a single process may leave more in a last batch of few images
        assert all(torch.equal(one, other) for one, other in zip(whole, together, strict=True))
    else:
        assert num_images < 2 * processes * len(whole)


def test_a_loader_serves_whole_batches_and_draws_no_global_random_numbers():
    split = Split(torch.rand(10, 1, 2, 2), torch.arange(10))
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    served = list(Batches(split, 4, shuffle_seed=3))
    assert torch.equal(torch.rand(1), expected)
    assert [len(labels) for _, labels in served] == [4, 3, 3]
    for images, labels in served:
        assert torch.equal(images, split.images[labels])
