"""Noise-augmented training: images as a bad camera or a careless hand might deliver them."""

from __future__ import annotations

from typing import ClassVar

from qshield_qiskit.training.defences.base import Defence


class Noise(Defence):
    """Show a share of the images under noise, each under one kind, which is drawn at random.

    References:
        Azimi et al., "QShield", arXiv 2604.10933 (2026).
    """

    always_augments: ClassVar[bool] = True
