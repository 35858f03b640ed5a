"""Noise-augmented training: images as a bad camera or a careless hand might deliver them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qshield_qiskit.training.defences.base import Defence
from qshield_qiskit.training.noises import NOISES


class Noise(Defence):
    """Show a share of the images under noise, each under one kind, which is drawn at random.

    References:
        Azimi et al., "QShield", arXiv 2604.10933 (2026).
    """

    def shown(self, model: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
        """Draw for each image whether it is left alone, and else which noise it meets."""
        noise = self.settings.noise
        draws = torch.rand(len(images), generator=self.generator, device=images.device)
        choice = (draws * len(noise.kinds) / noise.share).floor()  # beyond the last kind: none
        shown = images.clone()
        for index, kind in enumerate(noise.kinds):
            chosen = torch.nonzero(choice == index).squeeze(1)
            if len(chosen):
                shown[chosen] = NOISES[kind](images[chosen], noise, self.generator)
        return shown
