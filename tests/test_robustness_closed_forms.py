"""Attacks where the answer is known: linear models, equal methods, steps and balls."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from art.attacks.evasion import MomentumIterativeMethod
from attacked import check, run
from cheats import Saturated
from classifiers import (
    images_and_labels,
    trained_cnn,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qshield_qiskit.robustness.attacked_model import AttackedModel
from qshield_qiskit.robustness.attacking import attack, weakness
from qshield_qiskit.robustness.attacks import ATTACKS, PRESETS, build
from qshield_qiskit.robustness.attacks.gradient import SteppedAttack
from qshield_qiskit.robustness.attacks.square_search import SquareSearchL2, _sides
from qshield_qiskit.robustness.attacks.victim import Victim
from qshield_qiskit.robustness.attacks.vmi_fgsm import VarianceTuningMethod


def linear(margin: float = 0.05, side: int = 4) -> tuple[nn.Sequential, Tensor, Tensor, Tensor, Tensor]:
    """Two linear classes near the middle of the cube: model, images, labels, |margins| and the weights' difference."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(side**2, 2))
    images = 0.5 + 0.1 * (torch.rand(12, 1, side, side) - 0.5)
    with torch.no_grad():
        w = model[1].weight[0] - model[1].weight[1]
        model[1].bias[0] = model[1].bias[1] - w.sum() / 2 + margin * w.abs().sum()
        logits = model(images)
    return model, images, logits.argmax(1), (logits[:, 0] - logits[:, 1]).abs(), w


def test_fgsm_on_a_linear_model_needs_margin_over_l1():
    model, images, labels, margins, w = linear()
    for i in range(3):
        least = float(margins[i] / w.abs().sum())
        data = (images[i : i + 1], labels[i : i + 1])
        assert run(model, "fgsm", data=data, epsilon=1.001 * least).asr == 1
        assert run(model, "fgsm", data=data, epsilon=0.999 * least).asr == 0


@pytest.mark.parametrize("name", ["pgd", "mim", "apgd", "vmi_fgsm"])
def test_steps_on_a_linear_model_need_margin_over_l1_too(name):
    model, images, labels, margins, w = linear()
    data = (images[:1], labels[:1])
    least = float(margins[0] / w.abs().sum())
    assert run(model, name, data=data, epsilon=1.02 * least, parameters={"steps": 40}).asr == 1
    assert run(model, name, data=data, epsilon=0.99 * least, parameters={"steps": 40}).asr == 0


@pytest.mark.parametrize(
    ("name", "margin", "side", "longer"),
    [
        ("deepfool", 0.05, 4, 1.025),
        ("cw_l2", 0.001, 4, 1.25),
        ("cw_l2", 0.05, 4, 1.05),
        ("cw_l2", 0.3, 4, 1.05),
        ("cw_l2", 0.01, 40, 1.4),
        ("cw_l2", 0.05, 40, 1.05),
    ],
)
def test_the_smallest_l2_perturbation_of_a_linear_model_is_margin_over_l2(name, margin, side, longer):
    """DeepFool lengthens by its overshoot of 2 %. C&W finds what is near and what is far, among few pixels or many."""
    model, images, labels, margins, w = linear(margin, side)
    outcome = attack(model, images, labels, name)
    ratio = outcome.l2 / (margins / w.norm())
    assert outcome.asr == 1
    assert ratio.min() > 0.9999
    assert ratio.max() < longer


@pytest.mark.parametrize("margin", [0.0003, 0.001, 0.05, 0.3])
def test_the_smallest_sup_perturbation_of_a_linear_model_is_margin_over_l1(margin):
    """Also where it is farther away than one descent goes, or nearer than the first steps are long."""
    model, images, labels, margins, w = linear(margin)
    outcome = attack(model, images, labels, "cw_linf")
    ratio = outcome.linf / (margins / w.abs().sum())
    assert outcome.asr == 1
    assert ratio.min() > 0.9999
    assert ratio.max() < 1.1


@pytest.mark.parametrize(("name", "rounds"), [("cw_l2", "binary_search_steps"), ("cw_linf", "descents")])
def test_one_step_that_is_long_enough_is_enough(name, rounds):
    """The point after the last step counts as those before it do."""
    model, images, labels, _, _ = linear()
    outcome = attack(model, images, labels, name, parameters={"steps": 1, rounds: 1, "learning_rate": 0.2})
    assert outcome.asr == 1
    assert (outcome.queries, outcome.gradients) == (2, 1)


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_hopskipjump_ends_on_the_boundary(norm, steps):
    """And not after its last step away from it."""
    model, images, labels, margins, _ = linear()
    outcome = attack(model, images, labels, "hopskipjump", norm=norm, parameters={"steps": steps})
    with torch.no_grad():
        logits = model(outcome.examples)
    assert outcome.asr == 1
    assert ((logits[:, 0] - logits[:, 1]).abs() < 0.02 * margins).all()


class Crowded(nn.Module):
    """An image is well as long as others are beside it, and gives up where one is asked for too often on its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.alone = model, 0

    def forward(self, images: Tensor) -> Tensor:
        self.alone = self.alone + 1 if len(images) == 1 else 0
        assert self.alone < 3000
        logits: Tensor = self.model(images)
        return logits if len(images) > 1 else torch.eye(10)[:1] * 9


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_hopskipjump_ends_where_no_step_is_short_enough(norm):
    """By itself every image is a 0, so that no single point on the way is adversarial."""
    images, labels = images_and_labels(40)
    zeros = labels == 0
    data = (
        torch.cat([images[zeros][:2], images[~zeros][:3]]),
        torch.cat([labels[zeros][:2], labels[~zeros][:3]]),
    )
    outcome = run(Crowded(trained_cnn()), "hopskipjump", data=data, norm=norm)
    assert outcome.attacked == 5


@pytest.mark.parametrize("name", ["fgsm", "pgd", "mim"])
def test_a_small_gradient_shows_the_way_in_l2_as_well(name):
    """A lead of 80 leaves a gradient of 1e-35, whose squares are 0 in single precision."""
    model, images, labels, margins, w = linear()
    with (
        torch.no_grad()
    ):  # the same two classes, all of it in the second's logit: the other's gradient rounds to 0
        model[1].weight[1], model[1].bias[1] = -w, model[1].bias[1] - model[1].bias[0]
        model[1].weight[0], model[1].bias[0] = 0.0, 0.0
    confident = Saturated(model, 80 / float(margins.min()))
    least = float((margins / w.norm()).min())
    nearest = margins.argmin()[None]
    data = (images[nearest], labels[nearest])
    outcome = run(confident, name, data=data, norm="l2", epsilon=1.05 * least)
    assert outcome.asr == 1


@pytest.mark.parametrize("name", ["cw_l2", "cw_linf", "deepfool"])
def test_the_smallest_perturbation_is_found_on_every_image(name):
    images, labels = images_and_labels(60)
    assert attack(trained_cnn(), images, labels, name).asr == 1


def test_the_papers_line_search_of_carlini_and_wagner():
    images, labels = images_and_labels(4)
    outcome = attack(trained_cnn(), images, labels, "cw_l2", parameters=PRESETS["paper"]["cw_l2"])
    check(outcome, images)
    assert outcome.asr > 0


@pytest.mark.parametrize("targeted", [False, True])
def test_variance_tuning_without_neighbourhood_is_the_momentum_method(targeted):
    images, labels = images_and_labels(12)
    victim = Victim(AttackedModel(trained_cnn().requires_grad_(False)), (1, 8, 8), 10)
    one_hot = np.eye(10, dtype=np.float32)[labels]
    shared: dict[str, Any] = {"eps": 0.1, "eps_step": 0.02, "max_iter": 8, "decay": 0.9}
    tuned = VarianceTuningMethod(victim, **shared, neighbours=1, beta=0.0, targeted=targeted)
    momentum = MomentumIterativeMethod(victim, **shared, targeted=targeted, verbose=False)
    np.testing.assert_allclose(
        tuned.generate(images.numpy(), one_hot), momentum.generate(images.numpy(), one_hot), atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "parameters", "epsilon", "weak"),
    [
        ("pgd", PRESETS["paper"]["pgd"], 32 / 255, True),
        ("vmi_fgsm", PRESETS["paper"]["vmi_fgsm"], 32 / 255, True),
        ("pgd", {}, 32 / 255, False),
        ("mim", {}, 1.0, False),
        ("pgd", {"steps": 20, "step_size": 0.01}, 0.1, False),
        ("pgd", {"steps": 19, "step_size": 0.01}, 0.1, True),
        ("apgd", {"steps": 1}, 0.5, False),
        ("cw_l2", {}, None, False),
    ],
)
def test_steps_that_cannot_cross_the_ball_are_weak(name, parameters, epsilon, weak):
    reason = weakness(build(name, parameters), epsilon)
    assert (reason is not None) == weak


@pytest.mark.parametrize("name", [name for name, kind in ATTACKS.items() if issubclass(kind, SteppedAttack)])
@settings(max_examples=20)
@given(steps=st.integers(1, 500), epsilon=st.floats(1e-4, 1))
def test_default_steps_cross_the_ball(name, steps, epsilon):
    assert weakness(build(name, {"steps": steps}), epsilon) is None


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("shape", [(3, 1, 8, 8), (2, 3, 28, 28), (2, 1, 5, 9)])
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_a_new_patch_of_square_l2_takes_what_its_windows_and_the_ball_have_left(shape, share, seed):
    np.random.seed(seed)
    search = SquareSearchL2(
        Victim(AttackedModel(trained_cnn()), (1, 8, 8), 10), eps=0.5, max_iter=10, p_init=0.3
    )
    delta = np.random.randn(*shape)
    delta *= share * search.eps / np.sqrt(np.square(delta).sum(axis=(1, 2, 3), keepdims=True))
    for area in (0.3, 0.02, 0.001):
        delta = search._moved(delta, area)
        np.testing.assert_allclose(np.sqrt(np.square(delta).sum(axis=(1, 2, 3))), search.eps)


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 0.99))
def test_a_window_of_square_has_its_share_of_the_pixels_and_lies_in_the_image(height, width, share):
    rows, columns = _sides(height, width, share)
    assert 1 <= rows <= height and 1 <= columns <= width
    side = round((share * height * width) ** 0.5)
    if side <= min(height, width):
        assert rows == columns == max(side, 1)
    else:
        assert abs(rows * columns - share * height * width) <= min(height, width) + side


class Edge(nn.Module):
    """Two classes, told apart by the last row and column alone."""

    def forward(self, images: Tensor) -> Tensor:
        edge = images[:, 0, -1].sum(1) + images[:, 0, :-1, -1].sum(1)
        return torch.stack([torch.full_like(edge, 7.5), edge], dim=1)


def test_square_reaches_the_last_row_and_column():
    images = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = Edge()(images).argmax(1)
    square, pgd = (
        run(Edge(), name, data=(images, labels), epsilon=0.12, parameters=parameters)
        for name, parameters in (("square", {"proposals": 300}), ("pgd", {}))
    )
    assert square.asr >= pgd.asr - 0.05


@pytest.mark.parametrize("shape", [(1, 1, 12), (1, 12, 1), (1, 1, 1), (2, 1, 30), (1, 2, 2), (1, 3, 9)])
@pytest.mark.parametrize("name", ["square", "square_l2"])
def test_square_works_on_images_of_any_size(name, shape):
    torch.manual_seed(0)
    pixels = math.prod(shape)
    model = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 2, bias=False))
    images = 0.5 + 0.1 * (torch.rand(20, *shape) - 0.5)
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(1, pixels) * torch.tensor([[1.0], [-1.0]]))
        logits = model(images - 0.5)
        labels = logits.argmax(1)
        least = (logits[:, 0] - logits[:, 1]).abs()
        w = (model[1].weight[0] - model[1].weight[1]).abs()
        model[1].bias = nn.Parameter(-model[1].weight.sum(1) / 2)
        epsilon = 1.05 * float((least / (w.sum() if name == "square" else w.norm())).max())
    outcome = run(model, name, data=(images, labels), epsilon=epsilon, parameters={"proposals": 300})
    assert outcome.asr > (0.9 if name == "square" else 0.2)
    check(outcome, images, model)


class Shifted(nn.Module):
    """The same predictions as a model, by logits with another constant for each image."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return self.model(images) + 50 * images.mean(dim=(1, 2, 3))[:, None]


def test_one_pixel_does_not_see_what_all_logits_have_in_common():
    one, other = (run(model, "one_pixel") for model in (trained_cnn(), Shifted(trained_cnn())))
    assert torch.equal(one.fooled, other.fooled)
    torch.testing.assert_close(one.examples, other.examples)
