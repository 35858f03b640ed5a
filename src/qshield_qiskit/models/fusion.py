"""Fusions: how the classical and the quantum branch's class scores become one prediction.

Every fusion works in log space on both branches' logits. Nothing is clipped and no constant hides inside a
logarithm, so gradients stay finite, and honest, for sure predictions (p = 0 or 1) as well as for uniform
ones.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax, logsigmoid

from qshield_qiskit.errors import unknown
from qshield_qiskit.models.statistics import NUM_STATISTICS, disagreement, entropy, seven_statistics


class Fused(NamedTuple):
    """One prediction made of two."""

    logits: Tensor  # (B, K)
    quantum_weight: Tensor  # (B,), [0, 1]: the share of the quantum branch


class DynamicFusion(nn.Module):
    r"""The paper's fusion: a small network chooses each image's mixing angle from how both branches look.

    p_k \propto (\alpha \sqrt{p^c_k} + \sqrt{1 - \alpha^2} \sqrt{p^q_k})^2, where \alpha in (0, 1) is the
    sigmoid of an MLP (three hidden layers of 128, batch norm, LeakyReLU 0.2) on seven statistics of the two
    outputs. The share of the quantum branch is 1 - \alpha^2.

    References:
        Azimi et al., "QShield", arXiv 2604.10933 (2026).
    """

    def __init__(self, num_classes: int, width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        size = NUM_STATISTICS
        for _ in range(3):
            layers += [nn.Linear(size, width), nn.BatchNorm1d(width), nn.LeakyReLU(0.2)]
            size = width
        self.gate = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, classical: Tensor, quantum: Tensor) -> Fused:
        """Fuse two branches' logits, each (B, K)."""
        gate = self.gate(seven_statistics(classical, quantum))  # (B, 1)
        log_alpha = logsigmoid(gate)
        # 1 - alpha^2 = (1 - alpha)(1 + alpha), both factors without cancellation
        log_quantum_weight = logsigmoid(-gate) + torch.log1p(torch.sigmoid(gate))
        return superpose(classical, quantum, 2 * log_alpha, log_quantum_weight)


class EntropyFusion(nn.Module):
    r"""The paper's fusion without a network: the surer branch weighs more.

    \alpha^2 = e^{-H_c} / (e^{-H_c} + e^{-H_q}) with the Shannon entropies H of the two outputs, in nats, in
    the amplitudes of DynamicFusion. It has nothing to train.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()

    def forward(self, classical: Tensor, quantum: Tensor) -> Fused:
        """Fuse two branches' logits, each (B, K)."""
        # (B, 1), nats, positive where the quantum branch is surer
        advantage = (entropy(classical) - entropy(quantum)).unsqueeze(-1)
        return superpose(classical, quantum, logsigmoid(-advantage), logsigmoid(advantage))


class WeightedSumFusion(nn.Module):
    r"""p = w_c p^c + w_q p^q with w_c + w_q = 1, each image weighed by a trained gate on both outputs.

    The gate starts at w_c = w_q = 1/2.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * num_classes, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, classical: Tensor, quantum: Tensor) -> Fused:
        """Fuse two branches' logits, each (B, K)."""
        gate = self.gate(torch.cat([classical.softmax(-1), quantum.softmax(-1)], dim=-1))  # (B, 1)
        log_classical = logsigmoid(-gate) + log_softmax(classical, dim=-1)
        log_quantum = logsigmoid(gate) + log_softmax(quantum, dim=-1)
        return Fused(_log_add(log_classical, log_quantum), gate.sigmoid().squeeze(-1))


class ProductFusion(nn.Module):
    r"""p_k \propto \sqrt{p^c_k p^q_k}: both branches have an equal say, and either can veto a class.

    In a sum a sure branch outvotes the other, whatever that one says; here both must agree.

    References:
        Hinton, "Training products of experts by minimizing contrastive divergence", Neural Computation 14 (2002).
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()

    def forward(self, classical: Tensor, quantum: Tensor) -> Fused:
        """Fuse two branches' logits, each (B, K)."""
        mean = (log_softmax(classical, dim=-1) + log_softmax(quantum, dim=-1)) / 2
        return Fused(log_softmax(mean, dim=-1), torch.full_like(mean[:, 0], 0.5))


class DisagreementFusion(nn.Module):
    r"""p_k \propto (p^c_k)^{1 - w} (p^q_k)^w: where the branches disagree, trust moves from one to the other.

    An attack moves the branches by different amounts, so that they disagree. The share of the quantum branch is

        w = sigmoid(b + b_1 D + b_2 A + b_3 D A)

    with the disagreement D of `statistics.disagreement` and A = H_c - H_q, the entropies' difference, positive where
    the quantum branch is surer. b_1 is learned to say which branch attacks move in general, b_3 whether the surer or
    the less sure one was moved where they disagree; adversarial training shows both to the fusion. All four start at
    0, which is the product fusion.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.gate = nn.Linear(3, 1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, classical: Tensor, quantum: Tensor) -> Fused:
        """Fuse two branches' logits, each (B, K)."""
        apart = disagreement(classical, quantum)  # (B,), nats
        advantage = entropy(classical) - entropy(quantum)  # (B,), nats
        gate = self.gate(torch.stack([apart, advantage, apart * advantage], dim=-1))  # (B, 1)
        pooled = gate.sigmoid() * log_softmax(quantum, dim=-1) + (-gate).sigmoid() * log_softmax(
            classical, dim=-1
        )
        return Fused(log_softmax(pooled, dim=-1), gate.sigmoid().squeeze(-1))


class QuantumOnly(nn.Module):
    """The quantum branch alone predicts."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()

    def forward(self, classical: Tensor, quantum: Tensor) -> Fused:
        """Return the quantum logits, (B, K)."""
        return Fused(quantum, torch.ones_like(quantum[:, 0]))


class ClassicalOnly(nn.Module):
    """The classical branch alone predicts."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()

    def forward(self, classical: Tensor, quantum: Tensor) -> Fused:
        """Return the classical logits, (B, K)."""
        return Fused(classical, torch.zeros_like(classical[:, 0]))


FUSIONS: dict[str, type[nn.Module]] = {
    "dynamic": DynamicFusion,
    "entropy": EntropyFusion,
    "weighted_sum": WeightedSumFusion,
    "product": ProductFusion,
    "disagreement": DisagreementFusion,
    "quantum_only": QuantumOnly,
    "classical_only": ClassicalOnly,
}


def build_fusion(name: str, num_classes: int) -> nn.Module:
    """Make the fusion of that name, from two logits (B, K) to Fused.

    Raises:
        InputError: An unknown name.
    """
    if name not in FUSIONS:
        raise unknown("fusion", name, FUSIONS)
    return FUSIONS[name](num_classes)


def superpose(
    classical: Tensor, quantum: Tensor, log_classical_weight: Tensor, log_quantum_weight: Tensor
) -> Fused:
    r"""Add the branches' amplitudes: p_k \propto (\sqrt{w_c p^c_k} + \sqrt{w_q p^q_k})^2.

    Args:
        classical: Logits, (B, K).
        quantum: Logits, (B, K).
        log_classical_weight: log w_c, (B, 1), at most 0.
        log_quantum_weight: log w_q, (B, 1), at most 0.

    Returns:
        The normalised log-probabilities as logits, and w_q.
    """
    log_amplitude = _log_add(
        (log_classical_weight + log_softmax(classical, dim=-1)) / 2,
        (log_quantum_weight + log_softmax(quantum, dim=-1)) / 2,
    )
    return Fused(log_softmax(2 * log_amplitude, dim=-1), log_quantum_weight.exp().squeeze(-1))


def _log_add(a: Tensor, b: Tensor) -> Tensor:
    """Give log(e^a + e^b).

    torch.logaddexp has the same value, but its second derivative is nan where a and b lie far apart.
    """
    return torch.logsumexp(torch.stack([a, b]), dim=0)
