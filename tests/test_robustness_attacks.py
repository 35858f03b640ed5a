"""All attacks by one table: they fool, they stay where they may go, and they leave everything as it was."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from art.attacks.evasion import MomentumIterativeMethod
from classifiers import (
    Counting,
    Detached,
    Jittered,
    Noisy,
    Quantised,
    images_and_labels,
    small_cnn,
    trained_cnn,
    trained_hybrid,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from qshield_qiskit import seeding
from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.attacked_model import AttackedModel
from qshield_qiskit.robustness.attacking import NOTHING_TO_FOLLOW, attack, weakness
from qshield_qiskit.robustness.attacks import ATTACKS, PRESETS, build, choose
from qshield_qiskit.robustness.attacks.gradient import SteppedAttack
from qshield_qiskit.robustness.attacks.victim import Victim
from qshield_qiskit.robustness.attacks.vmi_fgsm import VarianceTuningMethod
from qshield_qiskit.robustness.outcome import Outcome, sizes

TOLERANCE = 1e-6

CHEAP: dict[str, dict[str, Any]] = {
    "fgsm": {},
    "pgd": {"steps": 10},
    "apgd": {"steps": 10, "restarts": 1},
    "apgd_dlr": {"steps": 10, "restarts": 1},
    "mim": {"steps": 10},
    "vmi_fgsm": {"steps": 5, "neighbours": 3},
    "cw_l2": {"steps": 15, "binary_search_steps": 3, "initial_constant": 1, "learning_rate": 0.06},
    "cw_linf": {"descents": 4, "steps": 10, "learning_rate": 0.05},
    "deepfool": {"steps": 15},
    "one_pixel": {"steps": 3, "population": 20, "pixels": 3},
    "square": {"proposals": 60},
    "square_l2": {"proposals": 60},
    "hopskipjump": {"steps": 3, "first_evaluations": 20, "most_evaluations": 60},
    "boundary": {"steps": 10, "trials": 5, "candidates": 5},
    "ensemble": {"steps": 10, "targets": 2, "descents": 3, "proposals": 30},
}
"""Little work for each attack; those that look for the smallest perturbation find one, though not the smallest."""

LEAST = dict.fromkeys(ATTACKS, 1.0) | {"fgsm": 0.7, "one_pixel": 0.2, "square_l2": 0.8}
"""Share of the images that must be fooled, at a large epsilon."""

RANDOM = (
    "pgd",
    "apgd",
    "apgd_dlr",
    "vmi_fgsm",
    "one_pixel",
    "square",
    "square_l2",
    "hopskipjump",
    "boundary",
)
"""Attacks that follow the seed."""

MODELS: dict[str, Callable[[], nn.Module]] = {"cnn": trained_cnn, "hybrid": trained_hybrid}


def large(name: str) -> float:
    return 3.0 if ATTACKS[name].norms[0] == "l2" else 0.5


def run(model: nn.Module, name: str, n: int = 12, **changes: Any) -> Outcome:
    images, labels = changes.pop("data", None) or images_and_labels(n)
    settings: dict[str, Any] = {"epsilon": large(name), "parameters": CHEAP[name]} | changes
    return attack(model, images, labels, name, **settings)


def check(outcome: Outcome, images: Tensor, model: nn.Module | None = None) -> None:
    """Hold an outcome against what any outcome must be."""
    examples, correct = outcome.examples, outcome.correct
    assert examples.dtype == torch.float32
    assert examples.shape == images.shape
    assert examples.min() >= 0
    assert examples.max() <= 1
    measured = sizes(images, examples)
    for norm in ("l0", "l2", "linf"):
        given = getattr(outcome, norm)
        assert given[~correct].isnan().all()
        torch.testing.assert_close(given[correct], measured[norm][correct])
    if outcome.epsilon is not None:
        assert measured[outcome.norm].max() <= outcome.epsilon + TOLERANCE
    assert torch.equal(examples[~correct], images[~correct])
    assert not correct[outcome.clean != outcome.labels].any()
    assert not outcome.fooled[~correct].any()
    assert outcome.asr == float(outcome.fooled.sum()) / max(1, float(correct.sum()))
    if model is not None:
        with torch.no_grad():
            predicted = model.eval()(examples).argmax(1)
            assert torch.equal(outcome.clean, model(images).argmax(1))
        assert torch.equal(outcome.adversarial, predicted)


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
    weak = {"fgsm", "one_pixel"} | ({"boundary", "hopskipjump"} if target == "unlikely" else set())
    assert outcome.asr >= (0.0 if name in weak else 0.75)


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
    assert outcome.asr >= {"fgsm": 0.5, "one_pixel": 0.0, "square_l2": 0.3}.get(name, LEAST[name])


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


def test_the_ensemble_is_as_strong_as_its_members():
    model, epsilon = trained_cnn(), 0.09
    best = run(model, "ensemble", n=60, epsilon=epsilon)
    for name in ("fgsm", "apgd", "square"):
        assert best.asr >= run(model, name, n=60, epsilon=epsilon).asr
    assert 0 < best.asr < 1


@pytest.mark.parametrize("eot", [1, 4])
@pytest.mark.parametrize("name", ATTACKS)
def test_queries_and_gradients_are_those_that_the_model_saw(name, eot):
    if eot > 1 and name in {"boundary", "hopskipjump", "one_pixel", "ensemble"}:
        pytest.skip("slow, and black boxes have nothing to average but decisions")
    model = Counting(trained_cnn())
    progress: list[int] = []
    outcome = run(model, name, eot=eot, progress=lambda *now: progress.append(now[2]))
    assert outcome.gradients * outcome.attacked == pytest.approx(model.gradients)
    judged = 12 + outcome.attacked * (1 + 1)  # before, after, and once more for the outcome
    if len(progress) == 1:
        assert outcome.queries * outcome.attacked == pytest.approx(model.queries - eot * judged)


def test_fgsm_takes_one_query_and_pgd_one_gradient_a_step():
    fgsm, pgd = run(trained_cnn(), "fgsm"), run(trained_cnn(), "pgd", parameters={"steps": 7})
    assert (fgsm.queries, fgsm.gradients) == (1, 1)
    assert pgd.gradients == 7
    assert 7 <= pgd.queries <= 9  # ART looks before and after


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_eot_sees_through_noise(name):
    """Judged by the mean of 300 draws, attacks on the mean of 30 turn more images than attacks on one."""
    model = Jittered(trained_cnn(), 0.4)
    turned = []
    for eot in (1, 30):
        outcome = run(model, name, n=60, epsilon=0.1, eot=eot)
        torch.manual_seed(0)
        with torch.no_grad():
            mean = AttackedModel(model, eot=300)(outcome.examples).argmax(1)
        turned.append(float((mean != outcome.labels)[outcome.correct].double().mean()))
    assert turned[1] > turned[0] + 0.1


def test_bpda_breaks_what_hides_its_gradient():
    smooth = trained_cnn()
    model = Quantised(smooth)
    settings: dict[str, Any] = {"n": 24, "epsilon": 0.3, "parameters": {"steps": 20}}
    assert run(model, "pgd", **settings).asr < 0.3
    bpda = run(model, "pgd", differentiable=smooth, **settings)
    assert bpda.asr > 0.9
    check(bpda, images_and_labels(24)[0], model)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_model_without_a_gradient_is_no_crash_and_its_figure_no_success(name):
    outcome = run(Detached(trained_cnn()), name, epsilon=0.05 if name != "square_l2" else 3.0)
    assert outcome.weak == (NOTHING_TO_FOLLOW if ATTACKS[name].white_box else None)
    if name in {"fgsm", "mim", "cw_l2", "cw_linf", "deepfool"}:
        assert outcome.asr == 0


def test_transfer_makes_examples_on_the_source_and_tries_them_on_the_model():
    images, labels = images_and_labels(24)
    model, source = trained_cnn(), Counting(trained_hybrid())
    outcome = run(model, "mim", n=24, epsilon=0.2, source=source)
    check(outcome, images, model)
    direct = run(source.model, "mim", data=(images[outcome.correct], labels[outcome.correct]), epsilon=0.2)
    both = direct.correct
    torch.testing.assert_close(
        outcome.examples[outcome.correct][both], direct.examples[both], rtol=0, atol=1e-5
    )
    assert outcome.gradients * outcome.attacked == source.gradients
    assert 0 < outcome.asr < 1


def linear(margin: float = 0.05) -> tuple[nn.Sequential, Tensor, Tensor, Tensor, Tensor]:
    """Two linear classes near the middle of the cube: model, images, labels, |margins| and the weights' difference."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    images = 0.5 + 0.1 * (torch.rand(12, 1, 4, 4) - 0.5)
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


@pytest.mark.parametrize(("name", "longer"), [("deepfool", 1.025), ("cw_l2", 1.025)])
def test_the_smallest_l2_perturbation_of_a_linear_model_is_margin_over_l2(name, longer):
    """DeepFool lengthens by its overshoot of 2 %; C&W, in steps of 0.02, is held to 2.5 %."""
    model, images, labels, margins, w = linear()
    outcome = attack(model, images, labels, name)
    ratio = outcome.l2 / (margins / w.norm())
    assert outcome.asr == 1
    assert ratio.min() > 0.9999
    assert ratio.max() < longer


@pytest.mark.parametrize("margin", [0.05, 0.3])
def test_the_smallest_sup_perturbation_of_a_linear_model_is_margin_over_l1(margin):
    """Also where it is farther away than one descent goes. Steps are of 0.01, so near ones are held to 15 %."""
    model, images, labels, margins, w = linear(margin)
    outcome = attack(model, images, labels, "cw_linf")
    ratio = outcome.linf / (margins / w.abs().sum())
    assert outcome.asr == 1
    assert ratio.min() > 0.9999
    assert ratio.max() < (1.15 if margin < 0.1 else 1.03)


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
@settings(max_examples=20, deadline=None)
@given(steps=st.integers(1, 500), epsilon=st.floats(1e-4, 1))
def test_default_steps_cross_the_ball(name, steps, epsilon):
    assert weakness(build(name, {"steps": steps}), epsilon) is None


@settings(max_examples=25, deadline=None, derandomize=True)
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


IMAGES, LABELS = images_and_labels(4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epsilon": 0}, "attack.epsilon=0"),
        ({"epsilon": 1.5}, "up to 1"),
        ({"epsilon": -0.1}, "above 0"),
        ({"epsilon": None}, "needs a radius"),
        ({"epsilon": float("nan")}, "nan"),
        ({"epsilon": float("inf")}, "inf"),
        ({"epsilon": 0, "norm": "l2"}, "above 0"),
        ({"name": "pdg"}, "did you mean pgd"),
        ({"parameters": {"step": 3}}, "did you mean steps"),
        ({"parameters": {"steps": 0}}, "steps=0"),
        ({"parameters": {"step_size": float("nan")}}, "step_size"),
        ({"parameters": {"steps": "many"}}, "steps"),
        ({"name": "ensemble", "parameters": {"restarts": 2}}, "restarts=2"),
        ({"norm": "l0"}, "linf and l2"),
        ({"norm": "l7"}, "attack.norm=l7"),
        ({"target": "nearest"}, "likely, unlikely or a class"),
        ({"target": 10}, "from 0 to 9"),
        ({"target": -1}, "from 0 to 9"),
        ({"eot": 0}, "eot=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"images": IMAGES * 255}, "divide by 255"),
        ({"images": IMAGES - 0.1}, "[0, 1]"),
        ({"images": IMAGES * float("nan")}, "nan"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "at least 1"),
        ({"images": IMAGES[:, 0]}, "(N, C, H, W)"),
        ({"labels": LABELS[:3]}, "(N,)"),
        ({"model": nn.Sequential(trained_cnn(), nn.Softmax(1))}, "probabilities"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(64, 1))}, "expected logits (N, K)"),
        (
            {
                "model": nn.Sequential(
                    nn.Flatten(0), nn.Unflatten(0, (4, 64)), nn.Linear(64, 1), nn.Flatten(0)
                )
            },
            "logits",
        ),
        (
            {"model": nn.Flatten(), "name": "square", "images": torch.rand(4, 1, 3, 3), "labels": None},
            "4 x 4",
        ),
    ],
)
def test_wrong_input_is_one_line(changes, says):
    given = {
        "model": trained_cnn(),
        "images": IMAGES,
        "labels": LABELS,
        "name": "pgd",
        "epsilon": 0.1,
    } | changes
    if given["labels"] is None:
        given["labels"] = given["images"].flatten(1).argmax(1)
    with pytest.raises(InputError) as refusal:
        attack(**given)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_presets_and_names_resolve_to_attacks():
    for preset in PRESETS:
        chosen = choose(preset, "standard", {}, 10)
        assert list(chosen) == list(PRESETS[preset])
        assert all(type(method) is ATTACKS[name] for name, method in chosen.items())
        assert "apgd_dlr" not in choose(
            preset, "standard", {}, 2
        )  # a preset leaves out what needs more classes
    mixed = choose("pgd, apgd", "paper", {"steps": 7}, 10)
    assert {name: method.model_dump() for name, method in mixed.items()} == {
        "pgd": {"restarts": 1, "steps": 7, "step_size": 2 / 255},
        "apgd": {"restarts": 1, "steps": 7},
    }
    assert choose("fgsm,pgd", "standard", {"steps": 3}, 10)["fgsm"].model_dump() == {"restarts": 1}


@pytest.mark.parametrize(
    ("names", "preset", "options", "num_classes", "says"),
    [
        ("pgd", "papre", {}, 10, "did you mean paper"),
        ("pgd,nosuch", "standard", {}, 10, "nosuch"),
        ("standrd", "standard", {}, 10, "did you mean standard"),
        ("pgd,apgd", "standard", {"proposals": 3}, 10, "proposals"),
        ("pgd", "standard", {"steps": -1}, 10, "steps=-1"),
        ("apgd_dlr", "standard", {}, 2, "needs 3 classes"),
        ("", "standard", {}, 10, "no such attack"),
    ],
)
def test_wrong_choices_are_one_line(names, preset, options, num_classes, says):
    with pytest.raises(InputError) as refusal:
        choose(names, preset, options, num_classes)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
