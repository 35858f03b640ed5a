"""The attacks, by ART; beside randomized smoothing the only room that imports it."""

from qshield_qiskit.robustness.attacks.base import Attack, Norm, Task
from qshield_qiskit.robustness.attacks.presets import ATTACKS, PRESETS, build, choose, default_norms

__all__ = ["ATTACKS", "PRESETS", "Attack", "Norm", "Task", "build", "choose", "default_norms"]
