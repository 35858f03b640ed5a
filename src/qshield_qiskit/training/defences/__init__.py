"""Defences by name: which images a training step shows the model, and what it asks of the answer."""

from __future__ import annotations

from qshield_qiskit.config import DefenceSettings
from qshield_qiskit.training.defences.adversarial import PGD, Fast
from qshield_qiskit.training.defences.base import Defence
from qshield_qiskit.training.defences.free import Free
from qshield_qiskit.training.defences.noise import Noise
from qshield_qiskit.training.defences.trades import Trades

__all__ = ["DEFENCES", "Defence", "build_defence"]

DEFENCES: dict[str, type[Defence]] = {
    "none": Defence,
    "pgd": PGD,
    "trades": Trades,
    "fast": Fast,
    "free": Free,
    "noise": Noise,
}


def build_defence(settings: DefenceSettings, seed: int) -> Defence:
    """Make the defence that settings name; its random numbers follow from the seed."""
    return DEFENCES[settings.name](settings, seed)
