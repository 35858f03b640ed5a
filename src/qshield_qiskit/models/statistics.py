"""Numbers that say how two class distributions look: the paper's seven, their entropy, how much they disagree."""

from __future__ import annotations

import math

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


def disagreement(classical: Tensor, quantum: Tensor) -> Tensor:
    r"""Measure how much two predictions disagree, by the Jensen-Shannon divergence of their distributions.

    D = (KL(p^c \| m) + KL(p^q \| m)) / 2 with m = (p^c + p^q) / 2: 0 where they are equal, log 2 where they have no
    class in common, smooth everywhere.

    Args:
        classical: Logits, (B, K).
        quantum: Logits, (B, K).

    Returns:
        (B,), nats, from 0 to log 2.

    References:
        Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37 (1991).
    """
    both = torch.stack([log_softmax(classical, dim=-1), log_softmax(quantum, dim=-1)])  # (2, B, K)
    mean = torch.logsumexp(both, dim=0) - math.log(2)
    return (both.exp() * (both - mean)).sum(dim=-1).mean(dim=0)
