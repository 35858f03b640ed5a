"""Auto-PGD and its losses: closed forms, no flat places, and every point on the way counts."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.attacks.auto_pgd import AutoPGD, TargetedAPGD
from qshield_qiskit.robustness.attacks.losses import log_odds_against, logits_ratio, targeted_logits_ratio

LOGITS = torch.tensor([[3.0, 1.0, 0.5, -2.0], [0.0, 4.0, 1.0, 3.0]])
LABELS = torch.tensor([0, 3])
TARGETS = torch.tensor([2, 0])


def test_the_ratio_is_the_papers():
    # -(z_y - max other) / (z_(1) - z_(3)): -(3 - 1) / (3 - .5) for the right class, -(3 - 4) / (4 - 1) for a wrong one
    torch.testing.assert_close(logits_ratio(LOGITS, LABELS), torch.tensor([-0.8, 1 / 3]))


def test_the_targeted_ratio_is_the_papers():
    # -(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2): -(3 - .5) / (3 - (.5 - 2) / 2) and -(3 - 0) / (4 - (1 + 0) / 2)
    expected = torch.tensor([-2.5 / 3.75, -3 / 3.5])
    torch.testing.assert_close(targeted_logits_ratio(LOGITS, LABELS, TARGETS), expected)


@pytest.mark.parametrize(("scale", "shift"), [(1e4, 0.0), (1.0, -50.0), (1e-3, 7.0)])
def test_ratios_know_no_scale_and_no_shift(scale, shift):
    exact = LOGITS.double()
    for ratio in (
        lambda logits: logits_ratio(logits, LABELS),
        lambda logits: targeted_logits_ratio(logits, LABELS, TARGETS),
    ):
        torch.testing.assert_close(ratio(scale * exact + shift), ratio(exact))


def test_equal_logits_have_finite_ratios():
    even = torch.ones(2, 4)
    assert not logits_ratio(even, LABELS).any()
    assert not targeted_logits_ratio(even, LABELS, TARGETS).any()


@given(
    st.lists(st.floats(-20, 20), min_size=3, max_size=10, unique_by=lambda z: round(z, 2)),
    st.data(),
)
def test_towards_no_target_is_the_targeted_ratio_flat(logits, data):
    z = torch.tensor([logits], dtype=torch.float64, requires_grad=True)
    label, *others = sorted(range(len(logits)), key=lambda i: -logits[i])
    target = data.draw(st.sampled_from(others))
    loss = targeted_logits_ratio(z, torch.tensor([label]), torch.tensor([target]))
    (gradient,) = torch.autograd.grad(loss.sum(), z)
    assert float(gradient[0, target]) > 0
    if len(logits) == 3:
        assert float(gradient[0, label]) < 0


@given(st.lists(st.floats(-8, 8), min_size=2, max_size=10), st.data())
def test_log_odds_are_cross_entropy_in_other_words(logits, data):
    z = torch.tensor([logits], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([data.draw(st.integers(0, len(logits) - 1))])
    odds, loss = log_odds_against(z, label), cross_entropy(z, label, reduction="none")
    torch.testing.assert_close(odds.exp().log1p(), loss)
    (one,), (other,) = torch.autograd.grad(odds.sum(), z), torch.autograd.grad(loss.sum(), z)
    torch.testing.assert_close(other, one * odds.sigmoid()[:, None])


def test_log_odds_say_something_where_cross_entropy_is_zero():
    z = torch.tensor([[200.0, 0.0, -3.0]], requires_grad=True)
    label = torch.tensor([0])
    assert float(cross_entropy(z.detach(), label)) == 0
    odds = log_odds_against(z, label)
    (gradient,) = torch.autograd.grad(odds.sum(), z)
    assert float(odds.detach()) == pytest.approx(-200 + math.log1p(math.exp(-3)), rel=1e-4)
    assert float(gradient[0, 1]) > 0.9


def test_the_search_looks_back_where_the_paper_says():
    after = [22, 41, 57, 70, 80, 87, 93, 99]
    assert AutoPGD.checkpoints(100) == dict(zip(after, [0, *after[:-1]], strict=True))
    assert AutoPGD.checkpoints(1) == {1: 0}


class Linear(nn.Module):
    """Two classes, whose logits differ by 2 scale (w x + b)."""

    def __init__(self, weights: Tensor, bias: float, scale: float = 1.0) -> None:
        super().__init__()
        self.weights, self.bias, self.scale = nn.Parameter(weights), bias, scale

    def forward(self, images: Tensor) -> Tensor:
        lead = self.scale * (images.flatten(1) @ self.weights + self.bias)
        return torch.stack([lead, -lead], dim=1)


@pytest.mark.parametrize("batch_size", [1, 64])
@pytest.mark.parametrize("scale", [1.0, 1e3])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_ball_of_a_linear_model_is_used_to_its_edge(norm, scale, batch_size):
    torch.manual_seed(0)
    weights = torch.randn(25)
    images = 0.5 + 0.1 * torch.rand(64, 1, 5, 5)
    epsilon = 0.1 if norm == "linf" else 0.3
    reach = epsilon * float(
        weights.abs().sum() if norm == "linf" else weights.norm()
    )  # how far it moves the lead
    leads = images.flatten(1) @ weights
    bias = reach - float(leads.sort().values[32])  # about half of the images can be reached
    possible = leads + bias < reach
    model = Linear(weights, bias, scale)
    assert bool((leads + bias > 0).all())
    outcome = attack(
        model,
        images,
        torch.zeros(64, dtype=torch.long),
        "apgd",
        epsilon=epsilon,
        norm=norm,
        batch_size=batch_size,
    )
    clear = (leads + bias - reach).abs() > 0.01 * reach
    assert torch.equal(outcome.fooled[clear], possible[clear])


class Passage(nn.Module):
    """One pixel, three classes: the first fades the whole way, the second leads in a passage in the middle only."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Tensor] = []
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        self.asked.append(images.detach())
        x = images.flatten(1)[:, 0]
        own = 1 - x
        inside = ((x > 0.6) & (x < 0.95)).to(x)
        return (
            torch.stack([own, own - 0.01 + 0.02 * inside, own - 0.02 - 0.5 * (1 - x)], dim=1)
            + 0 * self.unused
        )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["apgd", "apgd_dlr", "ensemble"])
def test_every_point_on_the_way_counts(name, seed):
    model = Passage()
    image = torch.full((1, 1, 5, 5), 0.5)
    steps = {"steps": 3} | ({"proposals": 1, "descents": 1} if name == "ensemble" else {"restarts": 1})
    outcome = attack(model, image, torch.tensor([0]), name, epsilon=0.5, parameters=steps, seed=seed)
    asked = torch.cat(model.asked)
    inside = bool(((asked[:, 0, 0, 0] > 0.6) & (asked[:, 0, 0, 0] < 0.95)).any())
    assert bool(outcome.fooled[0]) == inside


class Ranked(nn.Module):
    """Three classes: the third, the least likely, is the only one that can be reached."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1).mean(1)
        return torch.stack([3 + 0 * x, 1 + 0 * x, 8 * (x - 0.5) + 0 * self.unused], dim=1)


def test_the_least_likely_of_three_classes_is_reached():
    images = torch.full((4, 1, 4, 4), 0.5)
    labels = torch.zeros(4, dtype=torch.long)
    for parameters in (TargetedAPGD(steps=20, rank=2), {"steps": 20}):
        targeted = {} if isinstance(parameters, TargetedAPGD) else {"target": "unlikely"}
        outcome = attack(Ranked(), images, labels, "apgd_dlr", epsilon=0.5, parameters=parameters, **targeted)
        assert bool(outcome.fooled.all())
