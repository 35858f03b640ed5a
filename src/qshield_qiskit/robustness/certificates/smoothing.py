r"""Randomized smoothing by ART: a radius for the classifier that says what the model mostly says under Gaussian noise.

The smoothed classifier is g(x) = argmax_k P(f(x + \eta) = k), \eta ~ N(0, \sigma^2). If p_A, the probability of its
class, is at least 1/2, no change of L2 norm below \sigma \Phi^{-1}(p_A) moves g. n0 draws choose the class, n others
bound p_A from below at confidence 1 - alpha (Clopper-Pearson); a class that stays below 1/2 is not named at all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from art.estimators.certification.randomized_smoothing import PyTorchRandomizedSmoothing
from numpy.typing import NDArray
from torch import Tensor, nn

from qshield_qiskit.config import CertificateSettings
from qshield_qiskit.robustness.attacked_model import AttackedModel
from qshield_qiskit.robustness.certificates.certificate import Certified, Progress


class SmoothedClassifier(PyTorchRandomizedSmoothing):  # type: ignore[misc]
    """ART's method on one of our models, its draws counted batch by batch.

    ART keeps all draws of an image in memory and predicts through a data loader. Here draws are made where the model
    is, as many as fit into a batch, from torch's generator.

    Args:
        model: The classifier f.
        input_shape: (C, H, W).
        num_classes: K.
        settings: sigma, n0, alpha and batch_size.
    """

    def __init__(
        self,
        model: nn.Module,
        input_shape: tuple[int, ...],
        num_classes: int,
        settings: CertificateSettings,
    ) -> None:
        judged = AttackedModel(model)
        super().__init__(
            model=judged,
            loss=nn.CrossEntropyLoss(),
            input_shape=input_shape,
            nb_classes=num_classes,
            device_type="gpu" if judged.device.type == "cuda" else "cpu",
            sample_size=settings.n0,
            scale=settings.sigma,
            alpha=settings.alpha,
        )
        self._model.to(judged.device)
        self.judged, self.batch_size = judged, settings.batch_size

    def _prediction_counts(
        self, x: NDArray[Any], n: int | None = None, batch_size: int = 128
    ) -> NDArray[np.float64]:
        """Count how often each class is predicted in n draws around one image, (K,)."""
        image = torch.as_tensor(np.asarray(x, dtype=np.float32)).to(self.judged.device)
        counts = torch.zeros(self.nb_classes, dtype=torch.float64)
        left = self.sample_size if n is None else n
        with torch.no_grad():
            while left > 0:
                size = min(left, self.batch_size)
                noise = self.scale * torch.randn(size, *image.shape, device=image.device)
                classes = self.judged(image + noise).argmax(1).cpu()
                counts += torch.bincount(classes, minlength=self.nb_classes)
                left -= size
        numbers: NDArray[np.float64] = counts.numpy()
        return numbers


def smoothing(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: CertificateSettings,
    seed: int,
    progress: Progress | None = None,
) -> Iterator[Certified]:
    """Certify the smoothed classifier in the L2 norm.

    It holds for the smoothed classifier, not for the model: an attack on the model within the radius may succeed. Each
    radius holds with confidence 1 - alpha.

    Args:
        model: Any classifier.
        images: (N, C, H, W), [0, 1].
        labels: (N,).
        settings: sigma, n, n0, alpha, batch_size.
        seed: Of the draws; the generators have it already.
        progress: Called after every image.

    References:
        Cohen et al., "Certified adversarial robustness via randomized smoothing", arXiv 1902.02918 (2019).
    """
    start = time.perf_counter()
    with torch.no_grad():
        num_classes = AttackedModel(model)(images[:1]).shape[1]
    smoothed = SmoothedClassifier(model, tuple(images.shape[1:]), num_classes, settings)
    predicted, radii = [], []
    for i, image in enumerate(images):
        classes, found = smoothed.certify(image[None].float().cpu().numpy(), n=settings.n)
        predicted.append(int(classes[0]))
        radii.append(float(found[0]))
        if progress is not None:
            progress(i + 1, len(images))
    says = (
        f"holds for the smoothed classifier only, the majority of the model's answers under noise of "
        f"{settings.sigma:g}, each image with confidence {100 * (1 - settings.alpha):g} %"
    )
    figures = {"sigma": settings.sigma, "n": settings.n, "n0": settings.n0, "alpha": settings.alpha}
    yield Certified(
        "l2",
        torch.tensor(predicted),
        torch.tensor(radii, dtype=torch.float64),
        time.perf_counter() - start,
        says,
        figures,
    )
