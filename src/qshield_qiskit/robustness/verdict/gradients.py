"""Are there gradients, and are they those of the model?"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy

from qshield_qiskit.robustness.verdict.check import Check, does_not_apply
from qshield_qiskit.robustness.verdict.evidence import Evidence

MOST_WITHOUT_PATH = 0.1
STEP = 1e-4
DIRECTIONS = 32
ALIGNED = 0.99
MOST_MISALIGNED = 0.1
MOST_ZERO = 0.01
CONSTANT = 1e-9


def gradient_path(evidence: Evidence) -> Check:
    """Follow the logits, and a hybrid's quantum logits, back to the pixels."""
    images, _ = evidence.probed
    model = evidence.attacked
    parts = {"logits": _share_without_gradient(model, images)}
    quantum = _quantum(evidence, images)
    if quantum is not None and not _is_constant(evidence):
        parts[f"{evidence.branch}'s logits"] = _share_without_gradient(
            lambda x: _quantum(evidence, x),
            images,
        )
    worst = max(parts, key=lambda part: parts[part])
    figure = parts[worst]
    passed = figure <= MOST_WITHOUT_PATH
    if not passed:
        says = f"the {worst} of {figure:.0%} of the images have no gradient to the pixels"
    elif len(parts) == 2:
        says = f"gradients reach the pixels through the prediction and through the {evidence.branch}"
    elif quantum is not None:
        says = f"gradients reach the pixels; the {evidence.branch}'s logits are the same for all images and have none"
    else:
        says = "gradients reach the pixels"
    return Check("gradient_path", True, passed, figure, MOST_WITHOUT_PATH, says)


def gradient_correctness(evidence: Evidence) -> Check:
    """Hold gradients of the margin against central differences, in float64 and with randomness frozen."""
    if evidence.counted:
        why = "answers are counted from shots, which have no differences this small; judge the run on an exact backend"
        return does_not_apply("gradient_correctness", why, hard=True)
    if not evidence.repeatable:
        return does_not_apply("gradient_correctness", "its randomness cannot be frozen", hard=True)
    device = evidence.attacked.device
    images, labels = (part.to(device) for part in evidence.probed)
    generator = torch.Generator().manual_seed(evidence.seed)
    noise = torch.rand(images.shape, generator=generator, dtype=torch.float64).to(device)
    # A generic point of the ball, off the bounds: an even background ties every max-pooling of an honest CNN.
    images = (images.double() + evidence.epsilon * (noise - 0.5)).clamp(2 * STEP, 1 - 2 * STEP)
    model = evidence.double
    directions = torch.randn((DIRECTIONS, *images.shape[1:]), generator=generator, dtype=torch.float64)
    directions /= directions.flatten(1).norm(dim=1)[:, None, None, None]  # (D, C, H, W), of length 1
    directions = directions.to(device)
    with torch.no_grad():
        rivals = model(images).scatter(1, labels[:, None], -torch.inf).argmax(1)
    leaf = images.clone().requires_grad_()
    margins = _margin(model(leaf), labels, rivals)
    gradient = _gradient(margins, leaf)
    claimed = torch.einsum("bchw,dchw->bd", gradient, directions)  # (B, D)

    def differences(step: float) -> Tensor:
        with torch.no_grad():
            sides = [
                torch.stack(
                    [
                        _margin(model((images + side * step * v).clamp(0, 1)), labels, rivals)
                        for v in directions
                    ],
                    dim=1,
                )
                for side in (1, -1)
            ]
        return sides[0] - sides[1]  # (B, D)

    measured = differences(STEP) / (2 * STEP)
    flat = (claimed.norm(dim=1) == 0) & (measured.norm(dim=1) == 0)
    corner = float(images[0].numel()) ** 0.5  # a step of epsilon in every pixel
    change = differences(corner * evidence.epsilon).abs().amax(dim=1)
    moves_far = change > 1e-6 * margins.detach().abs().median()
    tiny = torch.finfo(torch.float64).tiny
    aligned = (
        cosine_similarity(claimed, measured, dim=1, eps=tiny) > ALIGNED
    )  # by default small ones count as zero
    right = torch.where(flat, ~moves_far, aligned)
    figure = float((~right).double().mean())
    passed = figure <= MOST_MISALIGNED
    stuck = float((flat & moves_far).double().mean())
    if passed:
        says = "gradients are those of the model, by finite differences"
    elif stuck > MOST_MISALIGNED:
        says = (
            f"on {stuck:.0%} of the images the gradient is zero although steps of epsilon change the logits"
        )
    else:
        says = f"on {figure:.0%} of the images the gradient is not that of the model, by finite differences"
    return Check("gradient_correctness", True, passed, figure, MOST_MISALIGNED, says)


def zero_gradients(evidence: Evidence) -> Check:
    """Count images on which the cross entropy has no gradient: saturated logits leave an attack in the dark."""
    images, labels = evidence.standing
    dead = []
    for part, classes in zip(
        torch.split(images, evidence.batch_size), torch.split(labels, evidence.batch_size), strict=True
    ):
        leaf = part.clone().requires_grad_()
        logits = evidence.attacked(leaf)
        gradient = _gradient(cross_entropy(logits, classes.to(logits.device), reduction="none"), leaf)
        largest = gradient.abs().amax(dim=(1, 2, 3))
        dead.append((largest == 0) | ~largest.isfinite())
    figure = float(torch.cat(dead).double().mean())
    passed = figure < MOST_ZERO
    says = (
        "the loss has a gradient on the images"
        if passed
        else f"the loss has no gradient on {figure:.0%} of the images, so that gradient attacks stand still there"
    )
    return Check("zero_gradients", False, passed, figure, MOST_ZERO, says)


def _share_without_gradient(function: object, images: Tensor) -> float:
    """Give the share of images at which a random combination of a function's outputs has no gradient."""
    assert callable(function)
    leaf = images.clone().requires_grad_()
    outputs: Tensor = function(leaf)
    if not outputs.requires_grad:
        return 1.0
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(outputs.shape[1], generator=generator, dtype=torch.float64).to(outputs)
    gradient = _gradient(outputs @ mix, leaf)
    return float((gradient.abs().amax(dim=(1, 2, 3)) == 0).double().mean())


def _gradient(values: Tensor, leaf: Tensor) -> Tensor:
    """Differentiate each image's value by its pixels; zeros where there is no path at all."""
    if not values.requires_grad:
        return torch.zeros_like(leaf)
    (gradient,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
    return torch.zeros_like(leaf) if gradient is None else gradient


def _margin(logits: Tensor, labels: Tensor, rivals: Tensor) -> Tensor:
    return (logits.gather(1, labels[:, None]) - logits.gather(1, rivals[:, None])).squeeze(1)


def _quantum(evidence: Evidence, images: Tensor) -> Tensor | None:
    branches = evidence.branches(images)
    return None if branches is None else branches.quantum


def _is_constant(evidence: Evidence) -> bool:
    """Say whether the quantum logits are the same for all images and around them."""
    if evidence.random:
        return False
    images = evidence.images[: max(2, evidence.batch_size)]
    generator = torch.Generator().manual_seed(evidence.seed)
    noise = torch.rand(images.shape, generator=generator, dtype=images.dtype).to(images.device)
    around = (images + evidence.epsilon * (2 * noise - 1)).clamp(0, 1)  # a single image differs from no other
    with torch.no_grad():
        quantum = _quantum(evidence, torch.cat([images, around]))
    assert quantum is not None
    return float((quantum - quantum[:1]).abs().max()) < CONSTANT
