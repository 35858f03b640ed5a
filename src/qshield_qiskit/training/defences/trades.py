"""TRADES: accuracy on clean images, and predictions that do not change under perturbations."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from qshield_qiskit.training.crafting import ascend, frozen
from qshield_qiskit.training.defences.adversarial import PGD

NEAR = 1e-3
"""Scale of the Gaussian start, without which the first gradient would be zero."""


class Trades(PGD):
    r"""Accuracy and robustness apart: CE(f(x), y) + \beta \max_{x'} KL(f(x) \| f(x')).

    Both versions of an image go through the model in one pass, so that batch norm normalises them alike, as
    it does later.

    References:
        Zhang et al., "Theoretically principled trade-off between robustness and accuracy", arXiv 1901.08573 (2019).
    """

    def shown(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Show the images, and after them the same ones perturbed so that their predictions change."""
        with frozen(model):
            with torch.no_grad():
                clean = model(images)
            noise = torch.randn(images.shape, generator=self.generator, device=images.device)
            perturbed = ascend(
                lambda found: divergence(clean, model(found)).sum(),
                images,
                images + NEAR * noise.to(images.dtype),
                epsilon=epsilon,
                step_size=self.step_size(epsilon),
                steps=self.steps,
            )
        return torch.cat([images, perturbed])

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Add the divergence, weighed by beta, to the clean images' cross entropy."""
        clean, perturbed = logits.chunk(2)
        return cross_entropy(clean, labels) + self.settings.beta * divergence(clean, perturbed).mean()


def divergence(wanted: Tensor, found: Tensor) -> Tensor:
    """Give KL(softmax(wanted) || softmax(found)) of logits (B, K), for each image, (B,), in nats."""
    both = log_softmax(found, dim=-1), log_softmax(wanted, dim=-1)
    return kl_div(*both, reduction="none", log_target=True).sum(dim=-1)
