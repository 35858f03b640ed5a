"""Detecting attacks: an attack moves one branch more than the other, so that they disagree."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score
from torch import Tensor

from qshield_qiskit.models.hybrid import Branches
from qshield_qiskit.models.statistics import disagreement


def branch_disagreement(branches: Branches) -> Tensor:
    """Score images by how much their two branches disagree: (B,), in nats, from 0 to log 2."""
    assert branches.quantum is not None
    return disagreement(branches.classical, branches.quantum)


def detection_auroc(clean: ArrayLike, adversarial: ArrayLike) -> float | None:
    """Give the chance that an attacked image has a higher score than a clean one, ties counting half.

    Args:
        clean: Scores of clean images, (N,).
        adversarial: Scores of attacked images, (M,).

    Returns:
        The area under the ROC curve: 1/2 for a detector that knows nothing, 1 for one that is always right; None
        without images.

    >>> detection_auroc([0.1, 0.2], [0.3, 0.15])
    0.75
    """
    scores = [np.asarray(clean, dtype=np.float64), np.asarray(adversarial, dtype=np.float64)]
    sizes = [len(each) for each in scores]
    return float(roc_auc_score(np.repeat([0, 1], sizes), np.concatenate(scores))) if all(sizes) else None
