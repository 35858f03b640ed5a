"""All attacks by one table: they fool, they stay where they may go, and they leave everything as it was."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from attacked import CHEAP, LEAST, MODELS, RANDOM, check, large, run
from classifiers import (
    Noisy,
    images_and_labels,
    small_cnn,
    trained_cnn,
    trained_hybrid,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from qshield_qiskit import seeding
from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.attacks import ATTACKS
from qshield_qiskit.robustness.attacks.auto_pgd import APGD, TargetedAPGD
from qshield_qiskit.robustness.attacks.black_box import Square
from qshield_qiskit.robustness.attacks.ensemble import Ensemble, WithinBall

ONE_IMAGE = 1 / 12
"""Success on the one image at least that a weak attack fools of twelve."""


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("kind", MODELS)
def test_an_attack_fools_and_stays_where_it_may_go(name, kind):
    images, labels = images_and_labels(13)
    labels[5] = (labels[5] + 1) % 10  # one that the model gets wrong
    model = MODELS[kind]()
    outcome = run(model, name, data=(images, labels))
    check(outcome, images, model)
    assert not outcome.correct[5]
    assert torch.equal(outcome.correct, outcome.clean == labels)
    assert torch.equal(outcome.fooled, outcome.correct & (outcome.adversarial != labels))
    assert outcome.asr >= LEAST[name]
    assert (outcome.gradients > 0) == ATTACKS[name].white_box
    assert outcome.queries >= 1


@pytest.mark.parametrize(
    ("name", "norm"), [(name, norm) for name, kind in ATTACKS.items() for norm in kind.norms[1:]]
)
def test_an_attack_works_in_each_of_its_norms(name, norm):
    images, _ = images_and_labels(12)
    model = trained_cnn()
    outcome = run(model, name, norm=norm, epsilon=3.0 if norm == "l2" else 0.5)
    assert outcome.norm == norm
    check(outcome, images, model)
    assert outcome.asr >= LEAST[name]


@pytest.mark.parametrize("name", ATTACKS)
def test_the_same_seed_gives_the_same_images_bit_for_bit(name):
    model = trained_cnn()
    epsilon = large(name) / 5
    first = run(model, name, epsilon=epsilon, seed=3)
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    again = run(model, name, epsilon=epsilon, seed=3)
    assert torch.equal(first.examples, again.examples)
    assert torch.equal(first.fooled, again.fooled)
    assert (first.queries, first.gradients) == (again.queries, again.gradients)
    other = run(model, name, epsilon=epsilon, seed=4)
    if name != "ensemble":  # which is random only where its first members fail
        assert torch.equal(first.examples, other.examples) == (name not in RANDOM)
        assert (ATTACKS[name].starts_once is None) == (name in RANDOM)


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_on_a_random_model_is_reproducible_too(name):
    """ART draws from an unseeded generator if a start is classified otherwise the second time."""
    model = Noisy(trained_cnn(), 6.0)
    cheap = {"ensemble": {"steps": 3, "targets": 1, "descents": 1, "proposals": 5}}.get(name, CHEAP[name])
    outcomes = [run(model, name, n=24, epsilon=0.1, parameters=cheap) for _ in range(2)]
    assert torch.equal(outcomes[0].examples, outcomes[1].examples)
    assert torch.equal(outcomes[0].fooled, outcomes[1].fooled)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_model_and_all_generators_stay_as_they_were(name):
    model = trained_cnn()
    model.train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model[-1].bias.grad = torch.full((10,), 0.5)
    before_weights = {key: value.clone() for key, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    generators = seeding.state()
    run(model, name)
    assert seeding.state() == generators
    assert [module.training for module in model.modules()] == modes
    assert model.state_dict().keys() == before_weights.keys()
    for key, value in model.state_dict().items():  # batch norm's statistics among them
        assert torch.equal(value, before_weights[key])
    for parameter in model.parameters():
        assert parameter.requires_grad == (parameter is not model[0].weight)
        assert (parameter.grad is None) == (parameter is not model[-1].bias)
    assert torch.equal(model[-1].bias.grad, torch.full((10,), 0.5))


def test_source_and_stand_in_stay_as_they_were_and_so_does_all_when_an_attack_fails():
    model, source, stand_in = trained_cnn(), trained_hybrid().train(), trained_cnn().train()
    run(model, "pgd", source=source, differentiable=stand_in)
    assert source.training and stand_in.training
    assert all(parameter.requires_grad for parameter in [*source.parameters(), *stand_in.parameters()])
    generators = seeding.state()
    with pytest.raises(InputError):
        run(model.train(), "apgd", target=11)
    assert model.training and all(parameter.requires_grad for parameter in model.parameters())
    assert seeding.state() == generators


@pytest.mark.parametrize("name", ATTACKS)
def test_the_size_of_batches_changes_no_validity(name):
    images, labels = images_and_labels(12)
    model = trained_cnn()
    whole, parts = (run(model, name, batch_size=size) for size in (24, 5))
    check(parts, images, model)
    assert parts.asr >= LEAST[name] - 0.1
    if name not in (*RANDOM, "ensemble"):
        assert torch.equal(whole.fooled, parts.fooled)
    single = run(model, name, data=(images[:1], labels[:1]))
    check(single, images[:1], model)


@pytest.mark.parametrize("name", ["hopskipjump", "boundary"])
def test_decision_based_attacks_find_a_start_in_a_batch_of_one(name):
    assert run(trained_cnn(), name, batch_size=1).asr == 1
    images, labels = images_and_labels(12)
    assert int((labels == 3).sum()) == 1  # the one image of the target class is not itself attacked
    assert run(trained_cnn(), name, target=3, data=(images, labels)).asr == 1


@pytest.mark.parametrize("name", ATTACKS)
def test_a_model_in_float64(name):
    images, _ = images_and_labels(12)
    model = trained_cnn().double()
    outcome = run(model, name)
    assert outcome.asr >= LEAST[name]
    check(outcome, images)


@pytest.mark.parametrize("name", [name for name, kind in ATTACKS.items() if kind.can_target])
@pytest.mark.parametrize("target", ["likely", "unlikely", 3, "3"])
def test_a_targeted_attack_arrives(name, target):
    images, labels = images_and_labels(12)
    model = trained_cnn()
    outcome = run(model, name, target=target)
    logits = model(images).detach().scatter(1, labels[:, None], torch.nan)
    goals = {
        "likely": logits.nan_to_num(-torch.inf).argmax(1),
        "unlikely": logits.nan_to_num(torch.inf).argmin(1),
    }.get(target, torch.full_like(labels, 3))
    check(outcome, images)
    assert torch.equal(outcome.correct, (outcome.clean == labels) & (goals != labels))
    assert torch.equal(outcome.fooled, outcome.correct & (outcome.adversarial == goals))
    if (name, target) != ("one_pixel", "unlikely"):  # three pixels are too few for it
        assert outcome.asr >= {"fgsm": ONE_IMAGE, "one_pixel": ONE_IMAGE}.get(name, 0.75)


@pytest.mark.parametrize("name", [name for name, kind in ATTACKS.items() if not kind.can_target])
def test_an_attack_that_cannot_aim_says_so(name):
    with pytest.raises(InputError, match="cannot aim"):
        run(trained_cnn(), name, target="likely")


@pytest.mark.parametrize("name", ATTACKS)
def test_two_classes(name):
    images, _ = data = images_and_labels(12, num_classes=2)
    model = trained_cnn(num_classes=2)
    if name == "apgd_dlr":
        with pytest.raises(InputError, match="needs 3 classes"):
            run(model, name, data=data)
        return
    outcome = run(model, name, data=data)
    check(outcome, images, model)
    assert outcome.asr >= {"fgsm": 0.5, "one_pixel": ONE_IMAGE, "square_l2": 0.3}.get(name, LEAST[name])


@pytest.mark.parametrize("name", ATTACKS)
def test_colour_images(name):
    torch.manual_seed(0)
    model = small_cnn(channels=3, num_classes=4).eval()
    images = torch.rand(8, 3, 8, 8)
    outcome = run(model, name, data=(images, model(images).argmax(1)))
    check(outcome, images, model)
    assert outcome.attacked == 8
    if name == "one_pixel":
        assert outcome.l0.max() <= CHEAP[name]["pixels"]


@pytest.mark.parametrize("name", ["fgsm", "cw_l2", "hopskipjump", "ensemble"])
def test_nothing_to_attack(name):
    images, labels = images_and_labels(6)
    outcome = run(trained_cnn(), name, data=(images, (labels + 1) % 10))
    assert (outcome.attacked, outcome.asr, outcome.median("l2"), outcome.queries) == (0, 0.0, None, 0.0)
    assert torch.equal(outcome.examples, images)


def test_images_and_labels_of_any_kind():
    images, labels = images_and_labels(12)
    model = trained_cnn()
    expected = run(model, "pgd")
    for data in [
        (images.double(), labels.int()),
        (images.clone().requires_grad_(), labels.to(torch.uint8)),
        (images, labels.float()),
    ]:
        for target in (None, "likely"):
            outcome = run(model, "pgd", data=data, target=target)
            assert outcome.asr == 1
        assert torch.equal(run(model, "pgd", data=data).examples, expected.examples)
    two = images_and_labels(6, num_classes=2)
    assert run(trained_cnn(2), "pgd", data=(two[0], two[1].bool())).asr == 1


def test_the_median_of_two_lies_between_them():
    outcome = run(trained_cnn(), "cw_l2", n=2)
    assert outcome.fooled.all()
    assert outcome.median("l2") == pytest.approx(float(outcome.l2.mean()))


@pytest.mark.parametrize("surroundings", [torch.no_grad, torch.inference_mode])
def test_an_attack_differentiates_wherever_it_is_called(surroundings):
    model = trained_cnn()
    with surroundings():
        outcome = run(model, "pgd")
    assert outcome.asr == 1


def test_progress_is_told_after_every_batch():
    told: list[tuple[int, int, int]] = []
    outcome = run(trained_cnn(), "pgd", batch_size=5, progress=lambda *now: told.append(now))
    assert [done for done, _, _ in told] == [5, 10, 12]
    assert {total for _, total, _ in told} == {12}
    assert told[-1][2] == int(outcome.fooled.sum())


def test_restarts_go_on_with_what_is_standing():
    model, epsilon = trained_cnn(), 0.08
    once, often = (
        run(model, "pgd", n=60, epsilon=epsilon, parameters={"steps": 5, "restarts": restarts})
        for restarts in (1, 5)
    )
    assert often.fooled[once.fooled].all()
    assert torch.equal(often.examples[once.fooled], once.examples[once.fooled])
    assert often.gradients < 5 * once.gradients


@pytest.mark.parametrize("name", ["cw_l2", "cw_linf"])
def test_confidence_is_by_how_much_a_wrong_class_wins(name):
    model = trained_cnn()
    outcome = run(model, name, parameters=CHEAP[name] | {"confidence": 2.0})
    logits = model(outcome.examples[outcome.fooled])
    own = logits.gather(1, outcome.labels[outcome.fooled][:, None]).squeeze(1)
    assert outcome.fooled.any()
    assert (logits.amax(1) - own >= 2 - 1e-3).all()


def test_the_ensemble_is_as_strong_as_its_members():
    model, epsilon = trained_cnn(), 0.09
    best = run(model, "ensemble", n=60, epsilon=epsilon)
    for name in ("fgsm", "apgd", "square"):
        assert best.asr >= run(model, name, n=60, epsilon=epsilon).asr
    assert 0 < best.asr < 1


@pytest.mark.parametrize(("num_classes", "ranks"), [(2, []), (3, [1, 2]), (10, [1, 2])])
def test_the_ensembles_members_are_those_of_autoattack(num_classes, ranks):
    members = list(Ensemble(targets=2, steps=7, descents=3, proposals=30).rounds(num_classes))
    assert members == [
        APGD(steps=7),
        *(TargetedAPGD(steps=7, rank=rank) for rank in ranks),
        WithinBall(descents=3),
        Square(proposals=30),
    ]


@settings(max_examples=25, derandomize=True)
@given(
    name=st.sampled_from(["fgsm", "pgd", "apgd", "square"]),
    epsilon=st.floats(0, 1, exclude_min=True, allow_subnormal=False),
    seed=st.integers(0, 2**32 - 1),
)
def test_ball_and_bounds_at_any_epsilon(name, epsilon, seed):
    model = trained_cnn()
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(seed)).round(decimals=1)
    labels = model(images).argmax(1)
    check(run(model, name, data=(images, labels), epsilon=epsilon, seed=seed), images, model)
