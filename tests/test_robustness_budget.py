"""Attacks that a budget ends: no query too many, and nothing that was found on the way is lost."""

import pytest
import torch
from attacked import check, run
from classifiers import Counting, Erring, images_and_labels, trained_cnn
from torch import nn

from qshield_qiskit.errors import BudgetSpent
from qshield_qiskit.robustness.attacks import ATTACKS
from qshield_qiskit.robustness.budget import Watch


@pytest.mark.parametrize("name", sorted(set(ATTACKS) - {"fgsm"}))
def test_no_attack_asks_more_than_it_may(name):
    images, _ = images_and_labels(6)
    outcome = run(trained_cnn(), name, n=6, max_queries=60, batch_size=6)
    assert outcome.queries * int(outcome.correct.sum()) <= 60
    check(outcome, images)
    with torch.no_grad():
        arrived = trained_cnn()(outcome.examples).argmax(1)
    assert torch.equal(arrived[outcome.fooled], outcome.adversarial[outcome.fooled])
    assert (arrived != outcome.labels)[outcome.fooled].all()


def test_what_was_found_before_the_end_counts():
    whole = run(trained_cnn(), "square", parameters={"proposals": 400}, epsilon=0.2)
    part = run(trained_cnn(), "square", parameters={"proposals": 400}, epsilon=0.2, max_queries=150)
    assert 0 < int(part.fooled.sum()) < int(whole.fooled.sum())
    assert "attack.max_queries=150 is spent" in part.weak
    assert whole.weak is None


def test_a_budget_that_is_enough_changes_nothing():
    free, bounded = (run(trained_cnn(), "pgd", max_queries=limit) for limit in (None, 10**6))
    assert torch.equal(free.examples, bounded.examples)
    assert bounded.weak is None


class Refusing(nn.Module):
    """A model on a device whose time is up after some images."""

    def __init__(self, model, after):
        super().__init__()
        self.model, self.left = model, after

    def forward(self, images):
        self.left -= len(images)
        if self.left < 0:
            raise BudgetSpent("backend.max_qpu_seconds=1 is spent; go on with more")
        return self.model(images)


@pytest.mark.parametrize("watch", [False, True])
def test_a_devices_budget_ends_an_attack_as_well(watch):
    model = Refusing(trained_cnn(), after=12 + 150)
    outcome = run(model, "square", parameters={"proposals": 400}, epsilon=0.2, watch=watch)
    once = "; every success was seen once only" if watch else ""
    assert outcome.weak == f"backend.max_qpu_seconds=1 is spent; go on with more{once}"
    assert bool(outcome.fooled.any()) == watch
    check(outcome, images_and_labels(12)[0])


def test_a_budget_that_ends_with_the_last_look_loses_nothing():
    """FGSM asks for the images, for a gradient, and for what came of it; the last look at all is one too many."""
    images, labels = images_and_labels(12)
    correct = int((trained_cnn()(images).argmax(1) == labels).sum())
    whole = run(trained_cnn(), "fgsm", epsilon=0.4)
    part = run(Refusing(trained_cnn(), after=12 + 2 * correct), "fgsm", epsilon=0.4)
    assert torch.equal(part.examples, whole.examples)
    assert torch.equal(part.fooled, whole.fooled) and part.fooled.any()
    assert (
        part.weak == "backend.max_qpu_seconds=1 is spent; go on with more; every success was seen once only"
    )


def test_a_lucky_draw_before_the_end_is_no_success():
    """In so small a ball nothing is to be found: whoever fools does so by the model's own errors, one in fifty."""
    outcome = run(
        Erring(trained_cnn(), 0.02),
        "square",
        n=60,
        epsilon=1e-4,
        parameters={"proposals": 400},
        max_queries=9000,
    )
    assert "attack.max_queries=9000 is spent" in outcome.weak
    assert outcome.asr <= 0.15


class Unmoved(nn.Module):
    """Whatever is done to an image, its label."""

    def __init__(self, images, labels):
        super().__init__()
        self.images, self.labels = images.flatten(1), labels

    def forward(self, images):
        nearest = torch.cdist(images.flatten(1), self.images).argmin(1)
        return 9.0 * nn.functional.one_hot(self.labels[nearest], 10)


def test_what_fools_the_source_of_a_transfer_before_the_end_need_not_fool_the_target():
    images, labels = images_and_labels(12)
    spent = {"parameters": {"proposals": 400}, "epsilon": 0.2, "max_queries": 150}
    direct = run(trained_cnn(), "square", **spent)
    transferred = run(Unmoved(images, labels), "square", source=trained_cnn(), **spent)
    assert direct.fooled.any()
    assert not transferred.fooled.any()
    assert torch.equal(transferred.adversarial, labels)


def test_a_watch_sees_examples_on_the_edge_and_none_beyond_the_bounds():
    image = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    image[0, 0, 0, 0] = 0
    watch = Watch(image, torch.tensor([0]), "linf", 4 / 255, targeted=False)
    watch.look(image - 4 / 255 * torch.ones_like(image), torch.eye(3)[[1]])
    assert not watch.seen().fooled.any()  # below 0 somewhere
    watch.look((image + 4 / 255).clamp(0, 1), torch.eye(3)[[1]])
    assert watch.seen().fooled.all()


def test_a_watch_knows_whose_example_it_sees():
    images = torch.stack([torch.full((1, 2, 2), value) for value in (0.2, 0.8)])
    watch = Watch(images, torch.tensor([0, 1]), "linf", 0.1, targeted=False)
    queried = torch.cat([images[:1] + 0.09, images[1:] - 0.05, images[1:] - 0.02, images[:1] + 0.2])
    logits = torch.eye(3)[[2, 0, 0, 2]]
    watch.look(queried, logits)
    seen = watch.seen()
    assert seen.fooled.tolist() == [True, True]
    assert seen.predicted.tolist() == [2, 0]
    torch.testing.assert_close(seen.examples, torch.cat([images[:1] + 0.09, images[1:] - 0.02]))


def test_a_watch_keeps_the_smallest_however_small():
    torch.manual_seed(0)
    images = 0.2 + 0.6 * torch.rand(40, 1, 16, 16)
    way = torch.randn_like(images) / 16
    watch = Watch(images, torch.zeros(40, dtype=torch.long), "l2", None, targeted=False)
    for length in (0.006, 0.005, 0.004, 0.003, 0.002):
        watch.look(images + length * way, torch.eye(3)[[1] * 40])
    torch.testing.assert_close(watch.seen().examples, images + 0.002 * way, rtol=0, atol=1e-6)


def test_equal_images_own_an_example_together():
    images = torch.full((3, 1, 2, 2), 0.5)
    watch = Watch(images, torch.tensor([0, 0, 2]), "linf", 0.1, targeted=False)
    watch.look(images[:1] + 0.05, torch.eye(3)[[2]])
    assert watch.seen().fooled.tolist() == [True, True, False]  # the third is a 2 to begin with


def test_a_targeted_watch_waits_for_the_target():
    image = torch.zeros(1, 1, 2, 2)
    watch = Watch(image, torch.tensor([2]), "l2", 1.0, targeted=True)
    watch.look(torch.cat([image + 0.1, image + 0.2]), torch.eye(3)[[1, 2]])
    assert watch.seen().predicted.tolist() == [2]


def test_queries_are_those_that_the_model_was_asked():
    counting = Counting(trained_cnn())
    outcome = run(counting, "hopskipjump", n=4, max_queries=200)
    assert counting.queries <= 200 + 4 + 4
    assert outcome.weak is not None
