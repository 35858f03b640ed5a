"""Adversarial training for free: one backward pass for weights and perturbation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qshield_qiskit.training.defences.base import Defence


class Free(Defence):
    """Adversarial training for free: every backward pass serves the weights and the perturbation.

    Each batch is shown `replays` times in a row, and its perturbation goes on from step to step and from batch
    to batch. Since weights are being trained, the model is in train mode and its circuit is not fused.

    References:
        Shafahi et al., "Adversarial training for free!", arXiv 1904.12843 (2019).
    """

    crafts = True

    def begin_epoch(self, epoch: int, rank: int, device: torch.device) -> None:
        """Start the perturbation anew, so that an epoch depends on nothing but the weights before it."""
        super().begin_epoch(epoch, rank, device)
        self._perturbation: Tensor | None = None
        self._shown: Tensor | None = None
        self._radius = 0.0

    def shown(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Show the images under the perturbation so far."""
        if self._perturbation is None:
            self._perturbation = self.start(images, epsilon) - images
        self._radius = epsilon
        # batches of an epoch differ by one image, and the larger ones come first
        perturbation = self._perturbation[: len(images)].clamp(-epsilon, epsilon)
        self._shown = (images + perturbation).clamp(0, 1).detach().requires_grad_()
        self._perturbation = perturbation
        return self._shown

    def after_backward(self) -> None:
        """Take a step with the gradient that came along."""
        if self._shown is None or self._shown.grad is None or self._perturbation is None:
            return
        given = self.settings.step_size
        step_size = given * self._radius / self.epsilon if given else self._radius
        # where a gradient in half precision has overflowed, the optimizer passes the step over, and so do we
        direction = torch.nan_to_num(self._shown.grad.sign())
        self._perturbation = (self._perturbation + step_size * direction).clamp(-self._radius, self._radius)
