"""Were the attacks strong enough? What strong attacks do must be ordered, saturated, and unlimited at epsilon 1."""

from __future__ import annotations

import statistics

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.robustness.attacked_model import AttackedModel, predict
from qshield_qiskit.robustness.outcome import Outcome
from qshield_qiskit.robustness.verdict.check import POINT, Check, all_but_one, does_not_apply
from qshield_qiskit.robustness.verdict.evidence import Evidence, union

AGREEMENT = 1.5
MOST_UNSETTLED = 0.1
NOISE = 64
"""Images of noise of each kind that a model is asked for another class on."""


def ladder(evidence: Evidence) -> Check:
    """Order FGSM, PGD and APGD by success, and PGD by epsilon."""
    epsilon = evidence.epsilon
    rungs = [
        ("FGSM", evidence.attack("fgsm"), "PGD", evidence.pgd()),
        ("PGD", evidence.pgd(), "APGD", evidence.apgd()),
        ("PGD at half epsilon", evidence.pgd(epsilon / 2), "PGD", evidence.pgd()),
        ("PGD", evidence.pgd(), "PGD at twice epsilon", evidence.pgd(min(1.0, 2 * epsilon))),
    ]
    figure = max(0.0, *(weaker.asr - stronger.asr for _, weaker, _, stronger in rungs))
    broken = [
        f"{low} ({weaker.asr:.1%}) beats {high} ({stronger.asr:.1%})"
        for low, weaker, high, stronger in rungs
        if _interval(weaker)[0] > _interval(stronger)[1]
    ]
    says = "; ".join(broken) or "stronger attacks and larger epsilons fool no fewer images"
    return Check("ladder", False, not broken, figure, None, says)


def budget(evidence: Evidence) -> Check:
    """Double the steps and restarts of PGD and APGD: they must fool no image that was left standing."""
    missed = evidence.missed
    more = torch.zeros_like(missed)
    if missed.any():
        steps, restarts = 2 * evidence.effort.steps, 2 * evidence.effort.restarts
        again = [
            evidence.attack(name, only=missed, steps=steps, restarts=restarts).fooled
            for name in ("pgd", "apgd")
        ]
        more[missed] = again[0] | again[1]
    figure = float(more.double().mean())
    threshold = all_but_one(POINT, len(more))
    weak = evidence.pgd().weak
    passed = figure <= threshold and weak is None
    says = f"twice the steps and restarts fool another {figure:.1%} of the images"
    if not passed:
        says += f"; {weak}" if weak else ": the attacks had not converged, and the figure is too low"
    return Check("budget", False, passed, figure, threshold, says)


def unbounded(evidence: Evidence) -> Check:
    """Without a bound everything must break: cross-entropy PGD at epsilon 1, and minimum-norm attacks.

    What these find on a random model lies where the next draw may be right again, and proves nothing.
    """
    pgd = evidence.attack("pgd", epsilon=1.0, steps=evidence.effort.steps, restarts=1)
    tried = {"PGD at epsilon 1": (pgd.attacked, int(pgd.fooled.sum()))}
    if not evidence.random:
        attacked, fooled = union(evidence.minimum_norm)
        tried["minimum-norm attacks"] = (int(attacked.sum()), int(fooled.sum()))
    if min(n for n, _ in tried.values()) < 2:
        return does_not_apply("unbounded", "a single image proves nothing", hard=True)
    left = {name: 1 - fooled / n - all_but_one(POINT, n) for name, (n, fooled) in tried.items()}
    worst = max(left, key=lambda name: left[name])
    if left[worst] > 0 and _names_one_class(evidence):
        return does_not_apply("unbounded", "the model names one class only", hard=True)
    n, count = tried[worst]
    figure, threshold, passed = count / n, 1 - all_but_one(POINT, n), left[worst] <= 0
    says = (
        f"without a bound nothing stands: {worst} fool {count} of {n} images"
        if passed
        else f"{worst} fool only {figure:.1%}, where nothing should be left: the gradient does not show the way"
    )
    return Check("unbounded", True, passed, figure, threshold, says)


def minimum_norm_agreement(evidence: Evidence) -> Check:
    """Compare the median L2 of two settings of C&W, and of DeepFool; a random model's boundary is in no one place.

    DeepFool takes the classifier for linear and may end farther away, but not much nearer.
    """
    if evidence.random:
        return does_not_apply("minimum_norm_agreement", "the boundary of a random model moves")
    outcomes = evidence.minimum_norm
    common = torch.stack([outcome.fooled for outcome in outcomes]).all(dim=0)
    if not common.any():
        says = "the minimum-norm attacks share no success"
        return Check("minimum_norm_agreement", False, False, None, AGREEMENT, says)
    deepfool, *carlini_wagner = (statistics.median(outcome.l2[common].tolist()) for outcome in outcomes)
    smallest = max(min(deepfool, *carlini_wagner), 1e-12)
    figure = max(carlini_wagner) / smallest
    passed = figure <= AGREEMENT
    first, second = carlini_wagner
    says = (
        f"two settings of C&W find median L2 norms of {first:.3g} and {second:.3g}, DeepFool {deepfool:.3g}"
    )
    if not passed:
        says += ": the optimiser is misled"
    elif deepfool > AGREEMENT * smallest:
        says += "; believe C&W's, not DeepFool's"
    return Check("minimum_norm_agreement", False, passed, figure, AGREEMENT, says)


def indicators(evidence: Evidence) -> Check:
    """Watch PGD's own path: the loss must have stopped rising, and no success on the way may be lost at the end.

    References:
        Pintor et al., "Indicators of attack failure", arXiv 2106.09947 (2022).
    """
    batches = zip(*(torch.split(part, evidence.batch_size) for part in evidence.standing), strict=True)
    paths, reached = zip(*(_walk(evidence, images, labels) for images, labels in batches), strict=True)
    steps = evidence.effort.steps
    path, hits = torch.cat(paths, dim=1), torch.cat(reached, dim=1)  # (steps + 1, S)
    rise = (path.amax(0) - path[0]).clamp_min(1e-12)
    late = path[-1] - path[-(steps // 10) - 1]
    still_rising = ~hits.any(0) & (late / rise > 0.1) & (rise > 1e-6)
    lost = hits.any(0) & ~hits[-1]
    figure = float((still_rising | lost).double().mean())
    passed = figure <= MOST_UNSETTLED
    says = (
        f"the loss is still rising on {float(still_rising.double().mean()):.0%} of the images at the end of PGD, "
        f"and {float(lost.double().mean()):.0%} were fooled on the way but not at the end"
    )
    return Check("indicators", False, passed, figure, MOST_UNSETTLED, says)


def _walk(evidence: Evidence, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Go PGD's way from images (B, C, H, W), and give losses and success at every step, (steps + 1, B) each."""
    model = AttackedModel(evidence.model, eot=evidence.eot)
    labels = labels.to(model.device)
    steps, epsilon = evidence.effort.steps, evidence.epsilon
    start = images.to(model.device)
    x = start.clone()
    losses, fooled = [], []
    for step in range(steps + 1):
        leaf = x.clone().requires_grad_()
        logits = model(leaf)
        loss = cross_entropy(logits, labels, reduction="none")
        losses.append(loss.detach())
        fooled.append(logits.argmax(1) != labels)
        gradient = torch.autograd.grad(loss.sum(), leaf)[0] if loss.requires_grad else torch.zeros_like(leaf)
        length = 2 * epsilon * (1 - step / steps) / 10  # it shrinks to nothing, so that the path can settle
        x = (x + length * gradient.sign()).clamp(start - epsilon, start + epsilon).clamp(0, 1)
    return torch.stack(losses), torch.stack(fooled)


def _names_one_class(evidence: Evidence) -> bool:
    """Say whether all images and noise, grey and black and white, get the same class."""
    generator = torch.Generator().manual_seed(evidence.seed)
    grey = torch.rand((NOISE, *evidence.images.shape[1:]), generator=generator)
    noise = torch.cat([grey, grey.round()]).to(evidence.images)
    classes = predict(evidence.attacked, noise, evidence.batch_size).argmax(1)
    return bool((torch.cat([classes, evidence.logits.argmax(1)]) == classes[0]).all())


def _interval(outcome: Outcome) -> tuple[float, float]:
    return wilson_interval(int(outcome.fooled.sum()), max(1, outcome.attacked))
