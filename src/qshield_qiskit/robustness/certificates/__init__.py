"""Certificates: radii within which a prediction cannot change, whatever the attack."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import ValidationError
from torch import Tensor, nn

from qshield_qiskit import overrides
from qshield_qiskit.config import CertificateSettings
from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.robustness.attacking import check_images
from qshield_qiskit.robustness.certificates.certificate import Certified, DoesNotApplyError, Progress
from qshield_qiskit.robustness.certificates.lipschitz import lipschitz
from qshield_qiskit.robustness.certificates.quantum_noise import quantum_noise
from qshield_qiskit.robustness.certificates.smoothing import smoothing
from qshield_qiskit.robustness.undisturbed import seeded, undisturbed
from qshield_qiskit.seeding import derive

__all__ = ["CERTIFICATES", "Certified", "DoesNotApplyError", "certify", "chosen"]

CERTIFICATES: dict[str, Callable[..., Iterator[Certified]]] = {
    "smoothing": smoothing,
    "lipschitz": lipschitz,
    "noise": quantum_noise,
}
"""By the name that one types."""


def chosen(names: str) -> list[str]:
    """Read a list of certificates, separated by commas.

    Raises:
        InputError: There is none of that name.
    """
    wanted = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in wanted:
        if name not in CERTIFICATES:
            raise unknown("certificate", name, CERTIFICATES)
    return wanted


def certify(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    name: str = "lipschitz",
    *,
    seed: int = 0,
    progress: Progress | None = None,
    **settings: Any,
) -> list[Certified]:
    """Certify a classifier's predictions.

    The model's mode, weights and gradients, and all random generators, are afterwards as they were.

    Args:
        model: A classifier, images (B, C, H, W) in [0, 1] to logits (B, K); "lipschitz" and "noise" know the insides
            of a `HybridClassifier`, "smoothing" takes any.
        images: (N, C, H, W), [0, 1].
        labels: (N,), classes.
        name: One of CERTIFICATES, or several, separated by commas.
        seed: In [0, 2**32).
        progress: Called after every image.
        **settings: Those of `CertificateSettings` that differ from their defaults.

    Returns:
        The certificates, one for each name, norm and kind of bound.

    Raises:
        DoesNotApplyError: One of them says nothing about this model.
        InputError: An argument does not fit, or images lie outside [0, 1].
    """
    names = chosen(name)
    images, labels = images.detach(), labels.detach().cpu().long()
    check_images(images, labels)
    try:
        given = CertificateSettings(name=name, **settings)
    except ValidationError as refusal:
        why = overrides.explain(refusal, CertificateSettings)
        raise InputError(f"certificate {name}: {why}") from refusal
    found: list[Certified] = []
    for each in names:
        with undisturbed(model), seeded(derive(seed, "certificate", each)):
            found += CERTIFICATES[each](model, images, labels, given, seed, progress)
    return found
