"""Noise on images: each kind's mean and spread, what stays untouched, and bounds whatever the strength."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qshield_qiskit.config import DefenceSettings, NoiseSettings
from qshield_qiskit.training.defences import build_defence
from qshield_qiskit.training.noises import NOISES


def noisy(kind, images, seed=0, **strength):
    return NOISES[kind](images, NoiseSettings(**strength), torch.Generator().manual_seed(seed))


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(NOISES)),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    st.floats(0, 1),
    st.integers(0, 99),
)
def test_images_stay_images(kind, shape, strength, seed):
    options = {
        "gaussian": 3 * strength,
        "salt_and_pepper": strength,
        "occlusion": strength,
        "photons": 0.1 + strength,
        "rotation": 180 * strength,
        "scaling": 0.9 * strength,
        "shift": strength,
    }
    images = torch.rand(shape, generator=torch.Generator().manual_seed(seed))
    before = images.clone()
    found = noisy(kind, images, seed, **options)
    assert found.shape == images.shape and found.dtype == images.dtype
    assert found.min() >= 0 and found.max() <= 1
    assert torch.equal(images, before)
    assert torch.equal(found, noisy(kind, images, seed, **options))


@pytest.mark.parametrize(
    ("kind", "none"),
    [
        ("gaussian", {"gaussian": 0}),
        ("salt_and_pepper", {"salt_and_pepper": 0}),
        ("occlusion", {"occlusion": 0}),
        ("poisson", {"photons": 1e9}),
        ("geometric", {"rotation": 0, "scaling": 0, "shift": 0}),
    ],
)
def test_noise_that_vanishes_leaves_the_image(kind, none):
    images = torch.rand(3, 2, 7, 9, dtype=torch.float64)
    torch.testing.assert_close(noisy(kind, images, **none), images, rtol=0, atol=3e-4)


def test_gaussian_noise_has_its_spread():
    images = torch.full((1, 1, 200, 200), 0.5)
    change = noisy("gaussian", images, gaussian=0.05) - images
    assert change.std() == pytest.approx(0.05, rel=0.03)
    assert abs(change.mean()) < 1e-3


def test_poisson_noise_has_the_variance_of_its_mean():
    for grey in (0.2, 0.6):
        found = noisy("poisson", torch.full((1, 1, 300, 300), grey), photons=100)
        assert found.mean() == pytest.approx(grey, rel=0.01)
        assert found.var() == pytest.approx(grey / 100, rel=0.05)


def test_salt_and_pepper_hit_whole_pixels_half_and_half():
    images = torch.full((1, 3, 200, 200), 0.5)
    found = noisy("salt_and_pepper", images, salt_and_pepper=0.2)
    assert torch.equal(found[:, 0], found[:, 2])
    assert (found == 1).float().mean() == pytest.approx(0.1, rel=0.1)
    assert (found == 0).float().mean() == pytest.approx(0.1, rel=0.1)
    assert (found == 0.5).float().mean() == pytest.approx(0.8, rel=0.02)


def test_an_occlusion_is_one_black_square_that_may_lie_anywhere():
    images = torch.ones(2000, 1, 6, 8)
    found = noisy("occlusion", images, occlusion=0.5)  # a side of 3
    black = (found == 0).squeeze(1)
    assert (black.sum(dim=(1, 2)) == 9).all()
    assert (black.any(1).sum(1) == 3).all() and (black.any(2).sum(1) == 3).all()
    assert black.any(0).all()
    corners = black[:, 0, 0].float().mean()
    assert corners == pytest.approx(1 / (4 * 6), rel=0.3)


def test_a_turn_keeps_shapes_and_goes_both_ways():
    """A bar turned by an angle t has its end moved sideways by r sin t, in pixels, also where width is not height."""
    images = torch.zeros(400, 1, 41, 61)
    images[:, :, :, 30] = 1.0
    found = noisy("geometric", images, rotation=20, scaling=0, shift=0)
    columns = torch.arange(61.0)
    centre = [(found[:, 0, row] * columns).sum(1) / found[:, 0, row].sum(1) for row in (5, 20, 35)]
    assert (centre[1] - 30).abs().max() < 0.1
    assert (centre[0] - 30 + centre[2] - 30).abs().max() < 0.2
    slopes = (centre[2] - centre[0]) / 30  # tan of the turn
    assert slopes.abs().max() == pytest.approx(math.tan(math.radians(20)), rel=0.05)
    assert slopes.min() < -0.3 and slopes.max() > 0.3


def test_a_shift_and_a_scale_move_and_stretch():
    images = torch.zeros(300, 1, 21, 21)
    images[:, :, 8:13, 8:13] = 1.0
    place = torch.arange(21.0)
    shifted = noisy("geometric", images, rotation=0, scaling=0, shift=0.2)
    rows = (shifted.sum((1, 3)) * place).sum(1) / shifted.sum((1, 2, 3)) - 10
    assert rows.abs().max() == pytest.approx(0.2 * 21, rel=0.05)
    stretched = noisy("geometric", images, rotation=0, scaling=0.4, shift=0).sum((1, 2, 3)) / 25
    assert stretched.min() < 0.5 and stretched.max() > 1.7


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_each_image_meets_one_of_the_chosen_kinds_or_none(share):
    options = {"kinds": ["occlusion", "salt_and_pepper"], "share": share, "salt_and_pepper": 1.0}
    defence = build_defence(DefenceSettings(name="noise", noise=options), seed=0)
    defence.begin_epoch(0, 0, torch.device("cpu"))
    images = torch.full((2000, 1, 8, 8), 0.5)
    shown = defence.augmented(images)
    untouched = (shown == 0.5).all(-1).all(-1).float().mean()
    peppered = (shown != 0.5).all(-1).all(-1).float().mean()
    assert untouched == pytest.approx(1 - share, abs=0.03)
    assert peppered == pytest.approx(share / 2, abs=0.03)


def test_noise_is_drawn_by_seed_epoch_and_process():
    images = torch.rand(16, 1, 8, 8)
    draws = []
    for seed, epoch, rank in ((0, 0, 0), (0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)):
        defence = build_defence(DefenceSettings(name="noise"), seed)
        defence.begin_epoch(epoch, rank, torch.device("cpu"))
        draws.append(defence.augmented(images))
    assert torch.equal(draws[0], draws[1])
    assert not any(torch.equal(draws[0], other) for other in draws[2:])


def test_other_defences_start_from_noisy_images_if_asked():
    images, labels = torch.rand(16, 1, 4, 4), torch.arange(16) % 2
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    for name in ("noise", "pgd", "trades", "fast"):
        built = {
            wanted: build_defence(DefenceSettings(name=name, epsilon=0.1, augment=wanted), seed=0)
            for wanted in (False, True)
        }
        for each in built.values():
            each.begin_epoch(0, 0, torch.device("cpu"))
        noisy_images = built[True].augmented(images)
        assert not torch.equal(noisy_images, images)
        assert torch.equal(built[False].augmented(images), images) == (name != "noise")
        shown = built[True].shown(model, noisy_images, labels, 0.1)
        assert (shown[-16:] - noisy_images).abs().max() <= 0.1 + 1e-6
