"""The Lipschitz certificate: bounds on how fast a class's lead can shrink, from the pixels to the logits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from qshield_qiskit.config import CertificateSettings
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.robustness.attacked_model import AttackedModel, predict
from qshield_qiskit.robustness.certificates.ball import Ball
from qshield_qiskit.robustness.certificates.certificate import Certified, DoesNotApplyError, Norm, Progress
from qshield_qiskit.robustness.certificates.margins import Leads, MarginBounds
from qshield_qiskit.robustness.certificates.search import largest_radius

FIRST_GUESS = 0.005
"""Where the search begins, as a share of the largest radius of interest."""

SAYS = {
    "transfer": "holds for the model itself; circuit bounded from its transfer matrix, noise included",
    "generators": "holds for the model itself; circuit bounded from its generators alone, as if noiseless",
    "classical": "holds for the model itself, which has no circuit",
}


def lipschitz(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: CertificateSettings,
    seed: int,
    progress: Progress | None = None,
) -> Iterator[Certified]:
    r"""Find for each image the largest ball over which bounds keep every other class behind.

    Over a ball every value of the network is held between two linear functions of the pixels' changes (see
    `affine_form`), which for small balls are the gradient: the local Lipschitz constant, made rigorous by the bounds of
    all second-order terms. The circuit enters in two ways, each a certificate of its own: by its transfer matrix, and
    as in the paper by its generators, |g(x) - g(x')| <= 2 |M| \sum_j |w_j| |H_j| |x - x'|.

    Where the network's own layers grow fast, as those of an undefended CNN do, the radii are far below what attacks
    need. They are then true and of little use.

    Args:
        model: A `HybridClassifier`, twin or control.
        images: (N, C, H, W), [0, 1].
        labels: (N,); only images that are classified correctly are looked at.
        settings: norm, symbols, batch_size.
        seed: Nothing is random here.
        progress: Called after every image.

    Raises:
        DoesNotApplyError: A part of the model cannot be bounded.

    References:
        Berberich et al., "Training robust and generalizable quantum models", arXiv 2311.11871 (2023).
    """
    if not isinstance(model, HybridClassifier):
        raise DoesNotApplyError(f"there is no bound for a model of type {type(model).__name__}")
    bounds = MarginBounds(model, settings.symbols)
    predicted = predict_classes(model, images, settings.batch_size)
    kinds = ("transfer", "generators") if bounds.has_circuit else ("classical",)
    for norm in settings.norms:
        seconds = dict.fromkeys(kinds, 0.0)
        radii = radii_of(
            partial(_radii, bounds, norm, seconds), images, labels, predicted, progress, len(kinds)
        )
        for kind, each in zip(kinds, radii.T, strict=True):
            figures = {"bound": kind, "symbols": settings.symbols}
            yield Certified(norm, predicted, each, seconds[kind], SAYS[kind], figures)


def radii_of(
    search: Callable[[Tensor, int, list[float] | None], list[float]],
    images: Tensor,
    labels: Tensor,
    predicted: Tensor,
    progress: Progress | None,
    kinds: int,
) -> Tensor:
    """Search the radii of every image that is classified correctly, (N, kinds), in float64.

    Args:
        search: From an image (C, H, W), its class and what came out for the image before to radii, one a kind.
        images: (N, C, H, W).
        labels: (N,).
        predicted: (N,).
        progress: Called after every image.
        kinds: How many there are.
    """
    found: list[list[float] | None] = []
    last: list[float] | None = None
    for image, label, answer in zip(images, labels.tolist(), predicted.tolist(), strict=True):
        if answer == label:
            last = search(image, label, last)
        found.append(last if answer == label else None)
        if progress is not None:
            progress(len(found), len(images))
    return torch.tensor([radii or [0.0] * kinds for radii in found], dtype=torch.float64)


def predict_classes(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """Give the predicted classes (N,), on the CPU."""
    return predict(AttackedModel(model), images, batch_size).argmax(1)


def _radii(
    bounds: MarginBounds,
    norm: Norm,
    seconds: dict[str, float],
    image: Tensor,
    label: int,
    last: list[float] | None,
) -> list[float]:
    """Search the largest radius around one image for every kind of bound; what one has tried helps the next.

    Args:
        bounds: Of the model.
        norm: Of the radius.
        seconds: By kind of bound; what each takes beyond the ones before is added.
        image: (C, H, W).
        label: Its class.
        last: What came out for the image before.
    """
    image = image.to(bounds.model.head.weight.device)
    most = largest_of_interest(image, norm)
    guess = max(last) if last and max(last) > 0 else FIRST_GUESS * most
    tolerance = bounds.tolerance(image)
    tried: dict[float, Leads] = {}
    found = []
    for kind in seconds:
        start = time.perf_counter()

        def margin(radius: float, kind: str = kind) -> float:
            if radius not in tried:
                tried[radius] = bounds.leads(Ball(image, norm, radius), label)
            return least_lead(tried[radius], kind) - tolerance

        known = {radius: least_lead(leads, kind) - tolerance for radius, leads in tried.items()}
        found.append(largest_radius(margin, guess, most, known))
        seconds[kind] += time.perf_counter() - start
    return found


def least_lead(leads: Leads, kind: str) -> float:
    """Give the smallest of a class's leads over the others."""
    return float((leads.generators if kind == "generators" else leads.transfer).min())


def largest_of_interest(image: Tensor, norm: Norm) -> float:
    """Give the radius of a ball that holds every image."""
    return 1.0 if norm == "linf" else float(image.numel()) ** 0.5
