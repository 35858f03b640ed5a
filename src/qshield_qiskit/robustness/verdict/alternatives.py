"""Ways around the gradient: if one of them does better, the gradient was hidden and not the boundary far."""

from __future__ import annotations

import torch

from qshield_qiskit.robustness.verdict.ablation import without_circuit
from qshield_qiskit.robustness.verdict.check import POINT, Check, all_but_one, does_not_apply
from qshield_qiskit.robustness.verdict.evidence import Evidence


def black_box(evidence: Evidence) -> Check:
    """Let Square, and HopSkipJump on a few, try the images that gradients missed."""
    missed = evidence.missed
    left = int(missed.sum())
    threshold = all_but_one(POINT, left)
    if left == 0:
        return Check("black_box", False, True, 0.0, threshold, "gradient attacks left no image to try")
    found = evidence.attack("square", only=missed, proposals=evidence.effort.proposals).fooled
    if evidence.effort.walked:
        few = torch.zeros_like(missed)
        few[torch.nonzero(missed).squeeze(1)[: evidence.effort.walked]] = True
        walk = evidence.attack("hopskipjump", only=few, norm="linf", steps=10, most_evaluations=300)
        found[: len(walk.fooled)] |= walk.fooled & (walk.linf <= evidence.epsilon)
    figure = float(found.double().mean())
    passed = figure <= threshold
    says = (
        f"of the {left} images that gradient attacks missed, black-box attacks fool {int(found.sum())}"
        f"{'' if passed else ': the gradient hides the way'}"
    )
    return Check("black_box", False, passed, figure, threshold, says)


def transfer(evidence: Evidence) -> Check:
    """Make examples on the classical branch, and on a model whose quantum output is constant, and try them here."""
    if not evidence.has_second_branch:
        return does_not_apply("transfer", "there is no second branch to go around")
    direct = 1 - float(evidence.missed.double().mean())
    around = max(evidence.apgd(source=source).asr for source in without_circuit(evidence))
    figure = around - direct
    threshold = all_but_one(POINT, len(evidence.missed))
    passed = figure <= threshold
    says = (
        f"examples made without the {evidence.branch} fool {around:.1%} of the images, direct ones {direct:.1%}"
        f"{'' if passed else ': the branch hides the way'}"
    )
    return Check("transfer", False, passed, figure, threshold, says)
