"""`attack`: run one attack on a batch of images, and judge what came of it."""

from __future__ import annotations

import sys
import time
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from qshield_qiskit.errors import BudgetSpent, InputError
from qshield_qiskit.robustness.attacked_model import AttackedModel, predict
from qshield_qiskit.robustness.attacks import Attack, Norm, build
from qshield_qiskit.robustness.outcome import Outcome, sizes
from qshield_qiskit.robustness.rounds import Goal, Progress, Rounds
from qshield_qiskit.robustness.undisturbed import seeded, undisturbed
from qshield_qiskit.seeding import derive

TARGETS = ("likely", "unlikely")
"""Targets by name: the likeliest and the least likely wrong class of each image."""

NOTHING_TO_FOLLOW = (
    "the model gives no gradient to follow; try square, hopskipjump, a stand-in or another source"
)


def attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    name: str = "apgd",
    *,
    epsilon: float | None = None,
    norm: str | None = None,
    parameters: dict[str, Any] | Attack | None = None,
    target: str | int | None = None,
    eot: int = 1,
    differentiable: nn.Module | None = None,
    source: nn.Module | None = None,
    seed: int = 0,
    batch_size: int = 256,
    max_queries: int | None = None,
    watch: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Attack a classifier on the images that it classifies correctly.

    The model's mode, weights and gradients, and all random generators, are afterwards as they were. The same
    arguments give the same images, bit for bit, on the same machine's CPU.

    Args:
        model: Any classifier, images (B, C, H, W) in [0, 1] to logits (B, K).
        images: (N, C, H, W), [0, 1].
        labels: (N,), classes.
        name: One of `attacks.ATTACKS`.
        epsilon: Largest perturbation in (0, 1], for a bounded attack.
        norm: "linf", "l2" or "l0", where the attack has a choice.
        parameters: Those that differ from the attack's defaults, or the attack itself.
        target: None to leave the label; "likely" or "unlikely" to arrive at that wrong class of each image; a
            class to arrive at.
        eot: Draws over which gradients and decisions of a random model are averaged.
        differentiable: A model that is differentiated in its place (BPDA).
        source: A model on which the images are made, to be tried on `model` (transfer).
        seed: In [0, 2**32).
        batch_size: Images that are attacked at a time.
        max_queries: Images that the attack may put to the model, every draw counted; then it ends with what it has
            found.
        watch: Whether what an attack finds on its way is kept, should a device's budget end it.
        progress: Called after every batch.

    Returns:
        The outcome.

    Raises:
        InputError: An argument does not fit the attack, or images lie outside [0, 1].
    """
    method = parameters if isinstance(parameters, Attack) else build(name, parameters or {})
    images, labels = images.detach(), labels.detach()
    check_images(images, labels)
    if batch_size < 1:
        raise InputError(f"attack.batch_size={batch_size}: expected 1 image or more")
    if max_queries is not None and max_queries < 1:
        raise InputError(f"attack.max_queries={max_queries}: expected 1 image or more")
    labels = labels.long()
    measure = check_method(name, method, epsilon, norm, target)
    start = time.perf_counter()
    models = [model, *(each for each in (source, differentiable) if each is not None)]
    with (
        undisturbed(nn.ModuleList(models)),
        seeded(derive(seed, "attack", name, str(epsilon))),
        torch.inference_mode(False),
        torch.enable_grad(),
    ):
        judge = AttackedModel(model, eot=eot)
        logits = predict(judge, images, batch_size)
        check_logits(logits, len(images))
        _check_labels(labels, logits.shape[1])
        for role, other in (("source", source), ("differentiable", differentiable)):
            if other is not None:
                _check_other(role, predict(AttackedModel(other), images[:1], 1), logits.shape[1])
        method.check_classes(name, logits.shape[1])
        classes, correct = _goals(logits, labels, target)
        ball = epsilon if method.bounded else None
        goal = Goal(images, logits, classes, correct, measure, ball, targeted=target is not None)
        maker = AttackedModel(
            source or model, eot=eot, differentiable=differentiable, max_queries=max_queries
        )
        watched = watch or max_queries is not None
        found = Rounds(name, method, goal, maker, judge, batch_size, watched, progress).run()
        attacked = torch.nonzero(correct).squeeze(1)
        if len(attacked):
            try:
                found.predicted[attacked] = predict(judge, found.examples[attacked], batch_size).argmax(1)
                # The examples of a random model were chosen by draws that fooled it: another one is to say how often.
                found.fooled[attacked] = goal.is_reached(attacked, found.predicted[attacked])
            except BudgetSpent as reason:  # a device's; the attack's own queries are the maker's
                once = "; every success was seen once only" if found.fooled.any() else ""
                found.spent = f"{reason}{once}"
    perturbations: dict[str, Any] = {
        key: torch.where(correct, size.cpu(), torch.nan)
        for key, size in sizes(images, found.examples).items()
    }
    count = max(1, len(attacked))
    return Outcome(
        attack=name,
        norm=measure,
        epsilon=ball,
        parameters=method.model_dump(),
        seed=seed,
        labels=labels.cpu(),
        clean=goal.clean,
        adversarial=found.predicted,
        correct=correct,
        fooled=found.fooled,
        examples=found.examples,
        **perturbations,
        queries=maker.queries / count,
        gradients=maker.gradients / count,
        seconds=time.perf_counter() - start,
        weak=found.spent or (weakness(method, epsilon) if maker.follows else NOTHING_TO_FOLLOW),
    )


def weakness(method: Attack, epsilon: float | None) -> str | None:
    """Say why an attack's steps cannot be enough: they do not cross the ball, 2 epsilon, or None."""
    reach = None if epsilon is None else method.reach(epsilon)
    if epsilon is None or reach is None or reach >= 2 * epsilon * (1 - 1e-9):
        return None
    return f"its steps go {reach:.3g} together, less than the ball's diameter of {2 * epsilon:.3g}"


def check_images(images: Tensor, labels: Tensor) -> None:
    """Raise InputError unless images (N, C, H, W) lie in [0, 1] and have a label each."""
    if images.dim() != 4 or len(images) == 0 or labels.shape != images.shape[:1]:
        raise InputError(
            f"images of shape {tuple(images.shape)} with labels of shape {tuple(labels.shape)}: "
            "expected (N, C, H, W) and (N,) with N of at least 1"
        )
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise InputError(
            f"images range from {low:g} to {high:g}: expected [0, 1]; divide by 255, and put any "
            "normalisation into the model"
        )


def check_method(
    name: str, method: Attack, epsilon: float | None, norm: str | None, target: str | int | None
) -> Norm:
    """Give the norm that an attack works in.

    Args:
        name: Of the attack.
        method: The attack.
        epsilon: Radius of the ball.
        norm: What was asked for, None for the attack's first.
        target: As for `attack`.

    Raises:
        InputError: The attack does not know this norm or such a ball, or cannot aim at a class.
    """
    measure = _norm(name, method, norm)
    _check_epsilon(name, method, epsilon, measure)
    if target is not None and not method.can_target:
        raise InputError(f"attack {name} cannot aim at a class; leave attack.target out, or try pgd")
    return measure


def _goals(logits: Tensor, labels: Tensor, target: str | int | None) -> tuple[Tensor, Tensor]:
    """Give the class to leave, or to arrive at, and which images are attacked, each (N,)."""
    labels = labels.to(logits.device)
    correct = logits.argmax(1) == labels
    if target is None:
        return labels, correct
    num_classes = logits.shape[1]
    if target in TARGETS:
        sign = 1 if target == "likely" else -1
        ranked = (sign * logits).scatter(1, labels[:, None], -torch.inf)
        return ranked.argmax(1), correct
    if not str(target).isdecimal() or int(target) >= num_classes:
        raise InputError(
            f"attack.target={target}: expected {', '.join(TARGETS)} or a class from 0 to {num_classes - 1}"
        )
    goal = torch.full_like(labels, int(target))
    return goal, correct & (labels != goal)


def _norm(name: str, method: Attack, norm: str | None) -> Norm:
    """Find the norm that was asked for among an attack's; the first of them if none was."""
    for known in method.norms:
        if norm in {None, known}:
            return known
    raise InputError(f"attack.norm={norm}: {name} works in {' and '.join(method.norms)}")


def _check_epsilon(name: str, method: Attack, epsilon: Any, norm: str) -> None:
    if not method.bounded:
        return
    largest = 1 if norm == "linf" else sys.float_info.max
    if not isinstance(epsilon, Real) or not 0 < float(epsilon) <= largest:
        raise InputError(
            f"attack.epsilon={epsilon!r}: {name} needs a radius above 0"
            f"{' and up to 1, in pixel values' if norm == 'linf' else ''}; try 0.1 or 8/255"
        )


def check_logits(logits: Tensor, count: int) -> None:
    """Refuse what is no logits, and probabilities: losses on logits would be meant for something else."""
    if logits.dim() != 2 or len(logits) != count or logits.shape[1] < 2:
        raise InputError(
            f"the model turns {count} images into {tuple(logits.shape)}: expected logits (N, K) of two classes or more"
        )
    sums = logits.sum(dim=1)
    if bool((logits >= 0).all() and (logits <= 1).all() and ((sums - 1).abs() < 1e-3).all()):
        raise InputError(
            "the model returns probabilities, but attacks need logits; return their logarithms, log_softmax"
        )


def _check_labels(labels: Tensor, num_classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= num_classes:
        raise InputError(
            f"labels from {low} to {high}: the model has logits of {num_classes} classes, 0 to {num_classes - 1}"
        )


def _check_other(role: str, logits: Tensor, num_classes: int) -> None:
    """Refuse a model beside the attacked one that has other classes."""
    if logits.shape != (1, num_classes):
        raise InputError(
            f"{role}: it turns an image into logits of {tuple(logits.shape)}, but the attacked model has "
            f"{num_classes} classes; take one of the same classes"
        )
