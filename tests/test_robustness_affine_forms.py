"""Affine forms: bounds that hold for every image of a ball, tight where they must be, layer by layer."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock

from qshield_qiskit.models.backbones import build_backbone
from qshield_qiskit.models.projection import TrainedProjection
from qshield_qiskit.robustness.certificates import packing
from qshield_qiskit.robustness.certificates.affine_form import AffineForm
from qshield_qiskit.robustness.certificates.ball import Ball
from qshield_qiskit.robustness.certificates.certificate import DoesNotApplyError
from qshield_qiskit.robustness.certificates.layers import through
from qshield_qiskit.robustness.certificates.projection import project
from qshield_qiskit.robustness.certificates.search import largest_radius

NORMS = ("linf", "l2")
balls = st.tuples(
    st.sampled_from(NORMS), st.floats(1e-3, 0.5), st.integers(0, 10**6), st.sampled_from([0, 5, 1000])
)


def image(shape: tuple[int, ...], seed: int) -> Tensor:
    """Pixels of any value, a third of them black and some white."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(shape, generator=generator, dtype=torch.float64) * 1.6 - 0.4
    return pixels.clamp(0, 1).float().double()


def members(ball: Ball, model, count: int = 40) -> Tensor:
    """Images of the ball: corners, points on its rim and within, and where each output's gradient leads."""
    generator = torch.Generator().manual_seed(1)
    change = torch.randn(count, *ball.image.shape, generator=generator, dtype=torch.float64)
    start = ball.image[None].clone().requires_grad_()
    values = model(start).flatten()
    uphill = [torch.autograd.grad(value, start, retain_graph=True)[0] for value in values]
    change = torch.cat([change, *uphill, *(-each for each in uphill)])
    if ball.norm == "linf":
        change = ball.radius * change.sign()
    else:
        change = ball.radius * change / change.flatten(1).norm(dim=1).clamp(min=1e-12)[:, None, None, None]
    change = torch.cat([change, 0.6 * change])
    return (ball.image + change).clamp(0, 1)  # clamping brings no pixel further away


def model_of(seed: int) -> nn.Sequential:
    """Convolutions, norms, pooling over ties, a residual block and linear layers, with random statistics."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        BasicBlock(4, 4),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.Conv2d(4, 4, 3, stride=2, groups=2),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(4, 6),
        nn.BatchNorm1d(6),
        nn.Tanh(),
        nn.Linear(6, 3),
    ).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.3, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias, std=0.3)
    return model.eval().requires_grad_(False)


@given(balls)
@settings(max_examples=25)
def test_bounds_hold_for_random_networks(ball):
    norm, radius, seed, symbols = ball
    model, pixels = model_of(seed), image((2, 10, 10), seed)
    ball = Ball(pixels, norm, radius)
    form = through(model, AffineForm.of_images(ball, symbols))
    low, high = form.bounds()
    values = model(members(ball, model))
    assert (values >= low - 1e-9).all()
    assert (values <= high + 1e-9).all()
    assert (form.low <= high + 1e-9).all()  # the interval on its own holds as well
    assert (values >= form.low - 1e-9).all()
    assert (values <= form.high + 1e-9).all()


@given(balls, st.sampled_from([3, 4, 6, 9]), st.sampled_from([(14, 14), (8, 20), (17, 6)]))
@settings(max_examples=25)
def test_pixels_that_share_a_row_change_no_bound(ball, period, sides):
    norm, radius, seed, symbols = ball
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(3, 3, 3, padding=2, stride=2, dilation=2),
        nn.ReLU(),
        BasicBlock(3, 3),
        nn.Flatten(),
    )
    model = model.double().eval().requires_grad_(False)
    ball = Ball(image((2, *sides), seed), norm, radius)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for each in (period, 100):
            patch.setattr(packing, "PERIOD", each)
            form = AffineForm.of_images(ball, symbols)
            assert (form.packing is not None) == (each < max(sides))
            found.append(through(model, form).bounds())
    for shared, own in zip(*found, strict=True):
        assert torch.allclose(shared, own, rtol=1e-4, atol=1e-5)


@given(balls)
@settings(max_examples=25)
def test_bounds_hold_through_layer_norm(ball):
    norm, radius, seed, symbols = ball
    torch.manual_seed(seed)
    before = nn.Sequential(nn.Flatten(), nn.Linear(12, 7), nn.ReLU()).double()
    projection = TrainedProjection(7, 4).double()
    nn.init.normal_(projection[0].weight)
    nn.init.normal_(projection[0].bias)
    nn.init.normal_(projection[1].weight)
    model = nn.Sequential(before, projection, nn.Tanh()).requires_grad_(False)
    ball = Ball(image((3, 2, 2), seed), norm, radius)
    form = project(*projection, through(before, AffineForm.of_images(ball, symbols))).tanh()
    low, high = form.bounds()
    values = model(members(ball, model))
    assert (values >= low - 1e-9).all()
    assert (values <= high + 1e-9).all()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("projected", [False, True])
def test_for_small_balls_the_bounds_are_the_gradient(norm, projected):
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 5)
    ).double()
    projection = TrainedProjection(5, 3).double()
    nn.Sequential(model, projection).eval().requires_grad_(False)
    pixels = 0.2 + 0.6 * torch.rand(2, 6, 6, dtype=torch.float64)
    whole = nn.Sequential(model, projection, nn.Tanh()) if projected else model
    start = pixels[None].requires_grad_()
    outputs = whole(start).flatten()
    gradients = torch.stack(
        [torch.autograd.grad(value, start, retain_graph=True)[0].flatten() for value in outputs]
    )
    slopes = gradients.abs().sum(1) if norm == "linf" else gradients.norm(dim=1)
    radius = 1e-6
    form = through(model, AffineForm.of_images(Ball(pixels.detach(), norm, radius)))
    form = project(*projection, form).tanh() if projected else form
    low, high = form.bounds()
    assert torch.allclose((high - low) / (2 * radius), slopes, rtol=2e-3)
    assert torch.allclose((high + low) / 2, outputs, atol=1e-6)


def test_a_balls_extremes_are_reached():
    generator = torch.Generator().manual_seed(0)
    slopes = torch.randn(6, 50, generator=generator)
    pixels = torch.tensor([0.0, 1.0, 0.5, 0.02, 0.97, 0.4], dtype=torch.float64).reshape(1, 2, 3)
    radius = 0.1
    low, high = Ball(pixels, "linf", radius).extremes(slopes)
    lower, upper = (pixels - radius).clamp(min=0) - pixels, (pixels + radius).clamp(max=1) - pixels
    best = torch.where(slopes > 0, upper.reshape(6, 1), lower.reshape(6, 1))
    worst = torch.where(slopes > 0, lower.reshape(6, 1), upper.reshape(6, 1))
    assert torch.allclose(high, (best * slopes).sum(0), rtol=1e-3)
    assert torch.allclose(low, (worst * slopes).sum(0), rtol=1e-3)
    assert (high >= (best * slopes).sum(0)).all()
    # in L2 the black pixel can only grow and the white one only shrink
    useful = slopes.clone()
    useful[0].clamp_(min=0)
    useful[1].clamp_(max=0)
    _, high = Ball(pixels, "l2", 0.01).extremes(slopes)
    assert torch.allclose(high, 0.01 * useful.double().norm(dim=0), rtol=1e-3)
    # a symbol adds its magnitude
    _, with_symbol = Ball(pixels, "l2", 0.01).extremes(torch.cat([slopes, torch.full((1, 50), -2.0)]))
    assert torch.allclose(with_symbol, high + 2, rtol=1e-3)


def test_symbols_only_ever_help_and_do_help():
    model, pixels = model_of(5), image((2, 10, 10), 5)
    widths = []
    for symbols in (0, 20, 1000):
        low, high = through(model, AffineForm.of_images(Ball(pixels, "linf", 0.02), symbols)).bounds()
        widths.append(float((high - low).sum()))
    assert widths[0] > widths[1] > widths[2]


@pytest.mark.parametrize(
    ("name", "shape", "useful"),
    [
        ("small_cnn", (1, 8, 8), True),
        ("dnn", (1, 4, 4), True),
        ("resnet18", (1, 16, 16), False),  # 18 layers deep, what little is lost in each adds up to everything
    ],
)
def test_every_backbone_is_bounded(name, shape, useful):
    torch.manual_seed(0)
    model = build_backbone(name, shape).double().eval().requires_grad_(False)
    ball = Ball(image(shape, 0), "linf", 1e-3)
    low, high = through(model, AffineForm.of_images(ball, 16)).bounds()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        change = torch.randn(20, *shape, generator=generator, dtype=torch.float64).sign() * ball.radius
        values = model((ball.image + change).clamp(0, 1))
    assert (values >= low - 1e-9).all()
    assert (values <= high + 1e-9).all()
    seen = values.amax(0) - values.amin(0)
    assert bool(float((high - low).mean()) < 10 * float(seen.mean())) == useful


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (nn.GELU(), "GELU"),
        (nn.BatchNorm2d(1, track_running_stats=False), "running statistics"),
        (nn.Conv2d(1, 1, 3, padding="same"), "padding"),
        (nn.MaxPool2d(2, dilation=2), "dilation"),
    ],
)
def test_layers_without_a_rule_are_named(layer, says):
    with pytest.raises(DoesNotApplyError, match=says):
        through(layer, AffineForm.of_images(Ball(image((1, 4, 4), 0), "linf", 0.1)))


@given(st.floats(1e-5, 0.9), st.floats(1e-4, 1))
@settings(max_examples=40)
def test_the_search_ends_just_below_the_largest_radius(truth, guess):
    tried = []

    def margin(radius):
        tried.append(radius)
        return truth - radius

    found = largest_radius(margin, guess, 1.0)
    assert truth / 1.08 <= found < truth
    assert found in tried
    assert largest_radius(margin, guess, truth / 2) == truth / 2
    assert largest_radius(lambda radius: -1.0, guess, 1.0) == 0
    assert largest_radius(lambda radius: -math.inf, guess, 1.0, {truth: 1.0}) == truth
