"""Seven numbers that say how two class distributions look, for the paper's fusion network."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import log_softmax

NUM_STATISTICS = 7
VARIANCE_FLOOR = 1e-4  # added to variances: a spread of 0.01 between class probabilities counts as none


def seven_statistics(classical: Tensor, quantum: Tensor) -> Tensor:
    """Compute std, max and kurtosis of both outputs' probabilities, and their correlation.

    The floor keeps the roots and ratios smooth where all classes are equally likely: kurtosis and correlation
    go to 0 there.

    Args:
        classical: Logits, (B, K).
        quantum: Logits, (B, K).

    Returns:
        (B, 7): std, max, kurtosis of the classical output, the same of the quantum output, correlation.

    References:
        Azimi et al., "QShield", arXiv 2604.10933 (2026).
    """
    columns: list[Tensor] = []
    deviations: list[Tensor] = []
    for logits in (classical, quantum):
        probabilities = logits.softmax(dim=-1)
        deviation = probabilities - probabilities.mean(dim=-1, keepdim=True)
        variance = deviation.square().mean(dim=-1) + VARIANCE_FLOOR  # (B,)
        columns += [
            variance.sqrt(),
            probabilities.amax(dim=-1),
            deviation.pow(4).mean(dim=-1) / variance.square(),
        ]
        deviations.append(deviation / variance.sqrt()[:, None])
    correlation = (deviations[0] * deviations[1]).mean(dim=-1)
    return torch.stack([*columns, correlation], dim=-1)


def entropy(logits: Tensor) -> Tensor:
    """Give the Shannon entropy of the distribution that logits (B, K) stand for, (B,), in nats."""
    log_probabilities = log_softmax(logits, dim=-1)
    return -(log_probabilities.exp() * log_probabilities).sum(dim=-1)
