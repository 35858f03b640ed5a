"""The verdict: every planted cheat is flagged by the check that is there for it, and honest classifiers are not."""

from __future__ import annotations

import copy
import json
import math
from functools import lru_cache

import cheats
import numpy as np
import pytest
import torch
from classifiers import Jittered, images_and_labels, small_cnn, trained_cnn, trained_hybrid, training_images
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

import qshield_qiskit as qs
from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.verdict import CHECKS, CLEAR, MASKING, SUSPECT, Check, decide
from qshield_qiskit.robustness.verdict.ablation import Ablated, without_circuit
from qshield_qiskit.robustness.verdict.alternatives import black_box
from qshield_qiskit.robustness.verdict.evidence import QUICK, Effort, Evidence
from qshield_qiskit.robustness.verdict.gradients import gradient_correctness, gradient_path
from qshield_qiskit.robustness.verdict.stability import batch_invariance, determinism
from qshield_qiskit.robustness.verdict.strength import indicators, minimum_norm_agreement, unbounded

EPSILON = 0.1
NUM_IMAGES = 30


@lru_cache
def adversarially_trained_cnn() -> nn.Module:
    """A CNN trained on PGD examples of radius 0.1 (Madry et al., arXiv 1706.06083)."""
    images, labels = training_images()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = small_cnn()
        adam = torch.optim.Adam(model.parameters(), 2e-3)
        for _ in range(12):
            for part in torch.randperm(len(images)).split(64):
                x, y = images[part], labels[part]
                model.eval()
                delta = torch.empty_like(x).uniform_(-EPSILON, EPSILON)
                for _ in range(4):
                    delta.requires_grad_()
                    loss = cross_entropy(model((x + delta).clamp(0, 1)), y)
                    (gradient,) = torch.autograd.grad(loss, delta)
                    delta = (delta.detach() + EPSILON / 2 * gradient.sign()).clamp(-EPSILON, EPSILON)
                model.train()
                adam.zero_grad()
                cross_entropy(model((x + delta).clamp(0, 1)), y).backward()
                adam.step()
    return model.eval()


MODELS = {
    "cnn": trained_cnn,
    "adversarially trained": adversarially_trained_cnn,
    "hybrid": trained_hybrid,
    "detached circuit": lambda: cheats.Detached(trained_hybrid()),
    "fresh projection": lambda: cheats.FreshProjection(trained_cnn()),
    "quantised": lambda: cheats.Quantised(trained_cnn()),
    "quantised, straight through": lambda: cheats.StraightThroughWrong(trained_cnn()),
    "saturated": lambda: cheats.Saturated(trained_cnn()),
    "batch normalised": lambda: cheats.BatchNormalised(trained_cnn()),
    "shot noise": lambda: cheats.ShotNoise(trained_cnn()),
    "clipped logarithm": lambda: cheats.ClippedLogarithm(trained_cnn()),
    "constant circuit": lambda: cheats.ConstantBranch(trained_hybrid()),
}
HONEST = ("cnn", "adversarially trained", "hybrid")
FLAGGED_BY = {
    "detached circuit": {"gradient_path"},
    "fresh projection": {"determinism"},
    "quantised": {"gradient_correctness", "zero_gradients", "unbounded"},
    "quantised, straight through": {"gradient_correctness", "active_test"},
    "saturated": {"zero_gradients", "unbounded"},
    "batch normalised": {"batch_invariance"},
    "shot noise": {"determinism"},
    "clipped logarithm": {"zero_gradients", "unbounded"},
}

HARD = {"determinism", "batch_invariance", "gradient_path", "gradient_correctness", "unbounded"}
"""Checks that a model which hides nothing passes by all means."""


@lru_cache
def verdict_on(name: str) -> dict:
    return qs.verdict(MODELS[name](), *images_and_labels(NUM_IMAGES), epsilon=EPSILON, quick=True)


def failed(found: dict, *, hard: bool | None = None) -> set[str]:
    return {
        check["name"]
        for check in found["checks"]
        if check["passed"] is False and hard in {None, check["hard"]}
    }


def check_of(found: dict, name: str) -> dict:
    return next(check for check in found["checks"] if check["name"] == name)


@pytest.mark.parametrize("name", FLAGGED_BY)
def test_a_planted_cheat_is_flagged_by_its_check(name):
    found = verdict_on(name)
    assert failed(found) >= FLAGGED_BY[name], found
    assert found["verdict"] == MASKING


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_classifier_is_not_flagged_as_masking(name):
    found = verdict_on(name)
    assert failed(found, hard=True) == set(), found
    assert found["verdict"] in {CLEAR, SUSPECT}


def test_an_honest_hybrids_circuit_is_differentiated_and_used():
    found = verdict_on("hybrid")
    assert "the quantum branch" in check_of(found, "gradient_path")["says"]
    assert check_of(found, "ablation")["passed"] is True
    assert check_of(found, "transfer")["passed"] is True


def test_a_constant_circuit_is_not_used_rather_than_masking():
    found = verdict_on("constant circuit")
    assert failed(found, hard=True) == set()
    assert "ablation" in failed(found)
    assert check_of(found, "ablation")["figure"] == 0
    assert "the quantum branch is not used" in check_of(found, "ablation")["says"]
    assert "have none" in check_of(found, "gradient_path")["says"]
    assert found["verdict"] == SUSPECT


def test_checks_of_a_hybrid_do_not_count_for_a_plain_cnn():
    found = verdict_on("cnn")
    assert {check["name"] for check in found["checks"] if check["passed"] is None} == {
        "transfer",
        "ablation",
        "reporting",
    }


def test_enough_draws_make_a_random_model_admissible():
    model = cheats.FreshProjection(trained_cnn(), strength=0.3)
    once, often = (
        Evidence(model, *images_and_labels(12), EPSILON, eot, seed=0, batch_size=256, effort=QUICK)
        for eot in (1, 20)
    )
    assert determinism(once).passed is False
    assert "use eot=20" in determinism(once).says
    assert determinism(often).passed is True
    assert "average over 20 draws" in determinism(often).says
    assert batch_invariance(often).passed is None
    frozen = often.double(images_and_labels(4)[0].double())
    assert torch.equal(frozen, often.double(images_and_labels(4)[0].double()))


def test_an_honest_random_model_with_enough_draws_does_not_mask_its_gradient():
    model, effort = Jittered(trained_cnn(), 0.15), Effort(40, 1, 1, 20, 10, 0)
    evidence = Evidence(model, *images_and_labels(12), EPSILON, 20, seed=0, batch_size=256, effort=effort)
    assert unbounded(evidence).passed is True
    assert minimum_norm_agreement(evidence).passed is None


class Disguised(nn.Module):
    """A classifier whose logits are multiplied, with a class that is never named beside them."""

    def __init__(self, model, factor=1.0, unnamed=None):
        super().__init__()
        self.model, self.factor, self.unnamed = model, factor, unnamed

    def forward(self, images):
        logits = self.factor * self.model(images)
        if self.unnamed is None:
            return logits
        return torch.cat([logits, torch.full_like(logits[:, :1], self.unnamed)], dim=1)


DISGUISES = [
    {"factor": 1e-9},
    {"factor": 1e-6},
    {"factor": 1e4},
    {"unnamed": -1e9},
    {"unnamed": -float("inf")},
]


@pytest.mark.parametrize("disguise", DISGUISES, ids=str)
@pytest.mark.parametrize(
    ("cheat", "check"),
    [
        (cheats.FreshProjection, determinism),
        (cheats.BatchNormalised, batch_invariance),
        (cheats.Quantised, gradient_correctness),
    ],
)
def test_neither_a_factor_nor_a_class_that_is_never_named_buys_a_check(cheat, check, disguise):
    for model, passed in ((trained_cnn(), True), (cheat(trained_cnn()), False)):
        evidence = Evidence(
            Disguised(model, **disguise).eval(), *images_and_labels(12), EPSILON, 1, 0, 256, QUICK
        )
        found = check(evidence)
        assert found.passed is passed, found
        assert math.isfinite(found.figure)


def test_a_class_that_is_masked_is_no_masking():
    model = Disguised(trained_cnn(), unnamed=-float("inf"))
    found = qs.verdict(model, *images_and_labels(8), epsilon=EPSILON, quick=True)
    assert failed(found, hard=True) == set(), found
    assert "planted adversarial examples" in check_of(found, "active_test")["says"]
    json.dumps(found, allow_nan=False)


class OwnNoise(nn.Module):
    """Pixels with noise from a generator that is the model's own."""

    def __init__(self, model, kind):
        super().__init__()
        self.model, self.kind = model, kind
        self.torch = torch.Generator().manual_seed(0)
        self.numpy = np.random.default_rng(0)

    def forward(self, images):
        if self.kind == "torch":
            noise = torch.randn(images.shape, generator=self.torch, dtype=images.dtype)
        else:
            numpy = self.numpy if self.kind == "numpy" else np.random.default_rng()
            noise = torch.from_numpy(numpy.standard_normal(images.shape)).to(images)
        return self.model(images + 0.05 * noise)


@pytest.mark.parametrize(("kind", "passed"), [("torch", True), ("numpy", True), ("fresh", None)])
def test_an_honest_random_model_may_have_a_generator_of_its_own(kind, passed):
    evidence = Evidence(
        OwnNoise(trained_cnn(), kind).eval(), *images_and_labels(12), EPSILON, 20, 0, 256, QUICK
    )
    found = gradient_correctness(evidence)
    assert found.passed is passed, found
    assert ("cannot be frozen" in determinism(evidence).says) == (passed is None)
    wrong = OwnNoise(cheats.StraightThroughWrong(trained_cnn()), kind).eval()
    masked = Evidence(wrong, *images_and_labels(12), EPSILON, 20, 0, 256, QUICK)
    assert gradient_correctness(masked).passed is (None if passed is None else False)


def test_that_nothing_breaks_a_model_that_names_one_class_only_is_no_masking():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        model[1].bias[3] += 40
    images, labels = images_and_labels(60)
    effort = Effort(steps=10, restarts=1, targets=1, proposals=5, probed=6, walked=0)
    found = unbounded(Evidence(model, images, labels, EPSILON, 1, 0, batch_size=256, effort=effort))
    assert found.passed is None, found
    assert found.says == "the model names one class only"


@pytest.mark.parametrize("n", [1, 2])
def test_a_circuit_that_is_cut_off_is_seen_on_a_single_image(n):
    model = cheats.Detached(trained_hybrid()).eval()
    found = gradient_path(Evidence(model, *images_and_labels(n), EPSILON, 1, 0, 256, QUICK))
    assert found.passed is False, found


class Casting(nn.Module):
    """A classifier that casts what it is given, and makes tensors of single precision."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        images = images.float().to(torch.float32).to(dtype=torch.float32)
        return self.model(images + torch.zeros(1, dtype=torch.float32))


class Unregistered(nn.Module):
    """Weights in a plain list, as autograd sees them, and images as it does or does not."""

    def __init__(self, *, detached):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weights = [torch.randn(64, 10, generator=generator).requires_grad_()]
        self.detached = detached

    def forward(self, images):
        return (images.detach() if self.detached else images).flatten(1) @ self.weights[0]


def test_a_cast_inside_a_classifier_does_not_touch_its_float64_copy():
    images, labels = images_and_labels(8)
    evidence = Evidence(Casting(trained_cnn()).eval(), images, labels, EPSILON, 1, 0, 256, QUICK)
    exact = trained_cnn().double()(images.double())
    assert torch.equal(evidence.double(images.double()), exact)
    assert gradient_correctness(evidence).passed is True


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Casting(trained_cnn()), set()),
        (lambda: trained_cnn().bfloat16(), set()),
        (lambda: Unregistered(detached=False), set()),
        (lambda: Unregistered(detached=True), {"gradient_path", "gradient_correctness", "unbounded"}),
    ],
    ids=["casting", "bfloat16", "plain list", "plain list, cut off"],
)
def test_any_torch_classifier_is_judged(make, says):
    model, images = make(), images_and_labels(8)[0]
    with torch.no_grad():
        labels = model(images.to(next(iter(model.parameters()), images).dtype)).argmax(1)
    found = qs.verdict(model, images, labels, epsilon=EPSILON, quick=True)
    assert failed(found, hard=True) == says, found


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (lambda logits: logits[:, 0], "the model turns 8 images into (8,): expected logits (N, K)"),
        (lambda logits: (logits, None), "the model answers with a tuple: expected a tensor of logits (B, K)"),
        (lambda logits: logits / 0 * 0, "not a number on some images"),
        (lambda logits: logits.softmax(1), "the model returns probabilities"),
    ],
)
def test_what_is_no_logits_is_one_line(answer, line):
    class Answering(nn.Module):
        def forward(self, images):
            return answer(images.flatten(1)[:, 20:30])

    with pytest.raises(InputError) as error:
        qs.verdict(Answering(), *images_and_labels(8), epsilon=EPSILON, quick=True)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


class FewShot(nn.Module):
    """A classifier with attributes that mean something else than a hybrid's."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList([trained_cnn()])
        self.readout, self.shots = nn.Identity(), 5

    def forward(self, images):
        return self.readout(self.branches[0](images))


def test_a_classifier_is_no_hybrid_because_its_attributes_have_like_names():
    found = qs.verdict(FewShot(), *images_and_labels(8), epsilon=EPSILON, quick=True)
    assert check_of(found, "ablation")["passed"] is None
    assert check_of(found, "gradient_correctness")["passed"] is True


def test_the_result_is_the_contract():
    found = verdict_on("cnn")
    assert set(found) == {"verdict", "checks", "epsilon", "eot", "n", "seed", "quick", "seconds"}
    assert [check["name"] for check in found["checks"]] == [*(c.__name__ for c in CHECKS), "reporting"]
    assert len(found["checks"]) == 15
    assert {check["name"] for check in found["checks"] if check["hard"]} == HARD
    for check in found["checks"]:
        assert set(check) == {"name", "hard", "passed", "figure", "threshold", "says"}
        assert check["passed"] in {True, False, None}
        assert check["says"]
    assert json.loads(json.dumps(found)) == found  # plain values


def test_the_model_and_the_generators_stay_as_they_were():
    model = trained_cnn().train()
    weight = next(model.parameters())
    weight.grad = torch.ones_like(weight)
    next(iter(model[4].parameters())).requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    flags = [p.requires_grad for p in model.parameters()]
    torch.manual_seed(5), np.random.seed(5)
    expected = torch.rand(3), np.random.rand(3)
    torch.manual_seed(5), np.random.seed(5)
    qs.verdict(model, *images_and_labels(8), epsilon=EPSILON, quick=True)
    assert torch.equal(torch.rand(3), expected[0])
    assert np.array_equal(np.random.rand(3), expected[1])
    assert all(module.training for module in model.modules())
    assert [p.requires_grad for p in model.parameters()] == flags
    assert torch.equal(weight.grad, torch.ones_like(weight))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_surrounding_no_grad_does_not_look_like_masking():
    model = trained_cnn()
    with torch.no_grad():
        found = qs.verdict(model, *images_and_labels(8), epsilon=EPSILON, quick=True)
    assert failed(found, hard=True) == set()


@pytest.mark.parametrize("seed", range(4))
def test_black_box_attacks_on_a_random_model_that_answers_otherwise_when_asked_again(seed):
    effort = Effort(steps=3, restarts=1, targets=1, proposals=5, probed=4, walked=5)
    model = cheats.FreshProjection(trained_cnn(), strength=3.0)
    evidence = Evidence(model, *images_and_labels(16), EPSILON, 1, seed, batch_size=256, effort=effort)
    assert 0 <= black_box(evidence).figure <= 1


def test_the_same_seed_gives_the_same_figures():
    model, images, labels = trained_cnn(), *images_and_labels(10)
    first, second = (qs.verdict(model, images, labels, epsilon=EPSILON, quick=True, seed=3) for _ in range(2))
    assert first["checks"] == second["checks"]


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_labels_may_be_of_any_integer_type(dtype):
    images, labels = images_and_labels(4)
    settings = {"epsilon": EPSILON, "quick": True}
    found = qs.verdict(trained_cnn(), images, labels.to(dtype), **settings)
    assert found["checks"] == qs.verdict(trained_cnn(), images, labels, **settings)["checks"]


def test_a_single_image_leaves_open_what_one_image_cannot_say():
    found = qs.verdict(trained_cnn(), *images_and_labels(1), epsilon=EPSILON, quick=True)
    assert check_of(found, "unbounded")["passed"] is None
    assert check_of(found, "gradient_path")["passed"] is True


class Stubborn(nn.Module):
    """Right on the images at some positions, whatever is done to them."""

    def __init__(self, model, images, positions):
        super().__init__()
        self.model, self.images, self.positions = model, images.flatten(1), positions

    def forward(self, images):
        mine = torch.cdist(images.flatten(1), self.images).argmin(1)
        held = torch.isin(mine, torch.tensor(self.positions))
        with torch.no_grad():
            clean = self.model(self.images[mine].view_as(images))
        return torch.where(held[:, None], clean, self.model(images))


@pytest.mark.parametrize(("held", "passed"), [([], True), ([3], True), ([3, 7], False)])
def test_one_image_that_stands_without_a_bound_may_be_chance_and_two_are_not(held, passed):
    images, labels = images_and_labels(16)
    keep = trained_cnn()(images).argmax(1) == labels
    images, labels = images[keep][:12], labels[keep][:12]
    model = Stubborn(trained_cnn(), images, held)
    effort = Effort(steps=40, restarts=1, targets=1, proposals=5, probed=6, walked=0)
    found = unbounded(Evidence(model, images, labels, EPSILON, 1, 0, batch_size=256, effort=effort))
    assert found.passed is passed, found
    assert found.threshold == pytest.approx(1 - 1 / 12)


def test_what_is_measured_does_not_depend_on_the_size_of_batches():
    images, labels = images_and_labels(12)
    effort = Effort(steps=5, restarts=1, targets=1, proposals=5, probed=4, walked=0)
    small, large = (
        Evidence(trained_hybrid(), images, labels, EPSILON, 1, 0, batch_size=size, effort=effort)
        for size in (5, 256)
    )
    assert indicators(small).figure == indicators(large).figure
    means = [without_circuit(each)[0].constant for each in (small, large)]
    torch.testing.assert_close(*means)


def test_a_linear_classifier_of_two_classes_passes_what_applies():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(24, 1, 4, 4, generator=generator)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    labels = model(images).argmax(1)
    found = qs.verdict(model, images, labels, epsilon=0.05, quick=True)
    assert failed(found, hard=True) == set(), found
    assert check_of(found, "gradient_correctness")["figure"] == 0


def test_a_table_of_features_is_judged_as_images_are():
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(12, 1, 1, 20, generator=generator)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(20, 16), nn.Tanh(), nn.Linear(16, 3))
    found = qs.verdict(model, features, model(features).argmax(1), epsilon=0.01, quick=True)
    assert failed(found, hard=True) == set(), found
    assert "black-box attacks fool" in check_of(found, "black_box")["says"]


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"epsilon": 0}, "epsilon=0: expected more than 0 and at most 1"),
        ({"epsilon": 1.5}, "epsilon=1.5"),
        ({"epsilon": float("nan")}, "epsilon=nan"),
        ({"batch_size": 0}, "batch_size=0: expected 1 image or more"),
        ({"seed": -1}, "seed=-1: expected at least 0"),
        ({"images": torch.ones(8, 1, 8, 8).bool()}, "try images.float()"),
        ({"eot": 0}, "eot=0: expected 1 draw or more"),
        ({"images": torch.full((8, 1, 8, 8), 255.0)}, "expected [0, 1]; divide by 255"),
        ({"images": torch.full((8, 1, 8, 8), float("nan"))}, "expected [0, 1]"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, "labels of shape (3,)"),
        ({"labels": torch.full((8,), 77)}, "none of the 8 images is classified correctly"),
    ],
)
def test_wrong_input_is_one_line(change, line):
    images, labels = images_and_labels(8)
    given = {"images": images, "labels": labels, "epsilon": EPSILON, "quick": True} | change
    with pytest.raises(InputError) as error:
        qs.verdict(trained_cnn(), **given)
    assert line in str(error.value)
    assert "\n" not in str(error.value)


def test_ablations_replace_the_quantum_logits_and_nothing_else():
    model = trained_hybrid()
    images, _ = images_and_labels(6)
    with torch.no_grad():
        branches = model.branches(images)
        classical, quantum = branches.classical, branches.quantum
        constant = quantum.mean(0)
        expected = {
            "constant": model.fusion(classical, constant.expand_as(quantum)).logits,
            "shuffled": model.fusion(classical, quantum[[5, 0, 1, 2, 3, 4]]).logits,
            "permuted": model.fusion(classical, quantum[:, [9, *range(9)]]).logits,
            "removed": classical,
        }
        for kind, logits in expected.items():
            assert torch.allclose(Ablated(model, kind, constant)(images), logits, atol=1e-6)
        assert torch.equal(model(images), branches.logits)  # the hook is gone


CHECK = st.builds(
    Check,
    st.just("a"),
    st.booleans(),
    st.sampled_from([True, False, None]),
    st.none(),
    st.none(),
    st.just(""),
)


@given(st.lists(CHECK))
def test_hard_failures_decide_and_null_does_not_count(checks):
    hard = any(check.passed is False and check.hard for check in checks)
    soft = any(check.passed is False and not check.hard for check in checks)
    assert decide(checks) == (MASKING if hard else SUSPECT if soft else CLEAR)
