"""Checks of the verdict that no cheat is planted for: what each must doubt, and what it need not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from classifiers import images_and_labels, trained_cnn, trained_hybrid
from torch import Tensor, nn

from qshield_qiskit.robustness.verdict.alternatives import black_box, transfer
from qshield_qiskit.robustness.verdict.evidence import Effort, Evidence
from qshield_qiskit.robustness.verdict.strength import budget, indicators, ladder, minimum_norm_agreement

EPSILON = 0.5
CHEAP = Effort(steps=10, restarts=1, targets=1, proposals=30, probed=6, walked=0)
NUM_IMAGES = 30


def evidence_on(model: nn.Module, **known) -> Evidence:
    """Evidence on a few digits, of which some is known beforehand; gradients have missed all of them."""
    evidence = Evidence(model, *images_and_labels(NUM_IMAGES), EPSILON, 1, 0, batch_size=256, effort=CHEAP)
    vars(evidence).update({"missed": torch.ones(int(evidence.correct.sum())).bool()} | known)
    return evidence


def first(count: int, n: int = NUM_IMAGES) -> Tensor:
    """The first images of n, (n,)."""
    return torch.arange(n) < count


@pytest.mark.parametrize(
    ("check", "make", "says"),
    [
        (black_box, trained_cnn, "the gradient hides the way"),
        (transfer, trained_hybrid, "the branch hides the way"),
        (budget, trained_cnn, "the attacks had not converged"),
    ],
)
def test_what_gradients_are_said_to_have_missed_is_found_otherwise(check, make, says):
    found = check(evidence_on(make()))
    assert found.passed is False, found
    assert found.figure > 0.5
    assert says in found.says


def test_attacks_that_are_weak_by_their_own_account_are_not_enough():
    evidence = evidence_on(trained_cnn())
    evidence.missed[:] = False
    assert budget(evidence).passed is True
    for key, outcome in evidence._outcomes.items():
        evidence._outcomes[key] = replace(outcome, weak="PGD's steps are too short")
    found = budget(evidence)
    assert found.passed is False
    assert found.says.endswith("; PGD's steps are too short")


RUNGS = {("fgsm", 1.0): 8, ("pgd", 0.5): 12, ("pgd", 1.0): 16, ("pgd", 2.0): 20, ("apgd", 1.0): 18}
"""Images that each attack fools, at a multiple of epsilon."""

WEAKER_AND_STRONGER = [
    (("fgsm", 1.0), ("pgd", 1.0)),
    (("pgd", 1.0), ("apgd", 1.0)),
    (("pgd", 0.5), ("pgd", 1.0)),
    (("pgd", 1.0), ("pgd", 2.0)),
]
IN_ORDER = "stronger attacks and larger epsilons fool no fewer images"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, IN_ORDER),
        ({("fgsm", 1.0): 17}, IN_ORDER),  # one image is chance
        ({("fgsm", 1.0): 30}, "FGSM (100.0%) beats PGD (53.3%)"),
        ({("apgd", 1.0): 4}, "PGD (53.3%) beats APGD (13.3%)"),
        ({("pgd", 0.5): 28}, "PGD at half epsilon (93.3%) beats PGD (53.3%)"),
        ({("pgd", 2.0): 4}, "PGD (53.3%) beats PGD at twice epsilon (13.3%)"),
    ],
)
def test_a_ladder_is_broken_where_less_does_more(change, says):
    evidence = evidence_on(trained_cnn())
    ladder(evidence)  # runs the attacks, whose outcomes are told otherwise below
    rungs = RUNGS | change
    assert len(evidence._outcomes) == len(rungs)
    for key, outcome in evidence._outcomes.items():
        fooled = first(rungs[outcome.attack, outcome.epsilon / EPSILON])
        evidence._outcomes[key] = replace(outcome, correct=torch.ones_like(fooled), fooled=fooled)
    found = ladder(evidence)
    assert found.says == says
    assert found.passed is (says == IN_ORDER)
    worst = max(0, *(rungs[weaker] - rungs[stronger] for weaker, stronger in WEAKER_AND_STRONGER))
    assert found.figure == pytest.approx(worst / NUM_IMAGES)


@pytest.mark.parametrize(
    ("norms", "passed", "says"),
    [
        ((1.0, 1.0, 1.0), True, "DeepFool 1"),
        ((1.0, 1.4, 1.0), True, "DeepFool 1"),
        ((1.0, 1.6, 1.0), False, "the optimiser is misled"),
        ((1.0, 1.0, 1.6), False, "the optimiser is misled"),
        ((0.6, 1.0, 1.0), False, "the optimiser is misled"),  # DeepFool may not end much nearer
        ((9.0, 1.0, 1.0), True, "believe C&W's, not DeepFool's"),  # but farther away
    ],
)
def test_minimum_norms_agree_by_half_as_much_again(norms, passed, says):
    evidence = evidence_on(trained_cnn())
    one = evidence.attack("fgsm")
    evidence.minimum_norm = [
        replace(one, fooled=first(9, len(one.fooled)), l2=torch.full_like(one.l2, norm)) for norm in norms
    ]
    found = minimum_norm_agreement(evidence)
    assert found.passed is passed, found
    assert found.says.endswith(says)
    assert found.figure == pytest.approx(max(norms[1:]) / min(norms))


def test_minimum_norms_that_share_no_success_do_not_agree():
    evidence = evidence_on(trained_cnn())
    one = evidence.attack("fgsm")
    evidence.minimum_norm = [replace(one, fooled=torch.arange(len(one.fooled)) % 3 == i) for i in range(3)]
    assert minimum_norm_agreement(evidence).passed is False


class OfTwoPixels(nn.Module):
    """Two classes, by a score of two pixels: how far each is from its middle, in epsilon."""

    def __init__(self, score) -> None:
        super().__init__()
        self.score = score

    def forward(self, images: Tensor) -> Tensor:
        score = self.score(*((images - 0.5) / EPSILON).flatten(1).unbind(1))
        return torch.stack([torch.zeros_like(score), score], dim=1)


def shell(a: Tensor, b: Tensor) -> Tensor:
    """The other class only on the way, and a gradient that leads beyond it."""
    return torch.where((a - 0.5).abs() < 0.2, 1.0, -1.0) + a - a.detach()


def corner(a: Tensor, b: Tensor) -> Tensor:
    """Nothing to gain from the second pixel before the first is at its bound."""
    return -5 + 1e-3 * a + torch.where(a > 0.99, b, 0.0)


def slope(a: Tensor, b: Tensor) -> Tensor:
    """A linear classifier."""
    return -5 + a + b


@pytest.mark.parametrize(
    ("score", "passed", "says"),
    [
        (slope, True, "still rising on 0% of the images at the end of PGD, and 0%"),
        (corner, False, "still rising on 100% of the images at the end of PGD, and 0%"),
        (shell, False, "still rising on 0% of the images at the end of PGD, and 100%"),
    ],
)
def test_a_path_that_has_not_ended_or_went_too_far_is_an_indicator(score, passed, says):
    images, labels = torch.full((4, 1, 1, 2), 0.5), torch.zeros(4, dtype=torch.long)
    found = indicators(
        Evidence(OfTwoPixels(score), images, labels, EPSILON, 1, 0, batch_size=3, effort=CHEAP)
    )
    assert found.passed is passed, found
    assert says in found.says
