"""Train, attack and honestly judge hybrid quantum-classical image classifiers in Qiskit.

>>> import qshield_qiskit as qs
>>> template = qs.load_circuit("star", num_qubits=3)
>>> layer = qs.QuantumLayer(template, qs.load_backend("aer_noisy", num_qubits=3))
>>> layer
QuantumLayer(9 inputs, 9 weights, 8 outputs, engine=pauli_transfer)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qshield_qiskit.catalog import load_backend, load_circuit
    from qshield_qiskit.data import load_dataset
    from qshield_qiskit.devices.backend import Backend
    from qshield_qiskit.errors import InputError
    from qshield_qiskit.models.hybrid import HybridClassifier
    from qshield_qiskit.quantum.layer import QuantumLayer
    from qshield_qiskit.quantum.template import CircuitTemplate
    from qshield_qiskit.robustness.attacking import attack
    from qshield_qiskit.robustness.certificates import certify
    from qshield_qiskit.robustness.verdict import verdict
    from qshield_qiskit.runs import load_run

__all__ = [
    "Backend",
    "CircuitTemplate",
    "HybridClassifier",
    "InputError",
    "QuantumLayer",
    "attack",
    "certify",
    "load_backend",
    "load_circuit",
    "load_dataset",
    "load_run",
    "verdict",
]

# Torch, Qiskit and Lightning take seconds to import, so each name is fetched when it is first asked for.
_HOMES = {
    "Backend": "devices.backend",
    "CircuitTemplate": "quantum.template",
    "HybridClassifier": "models.hybrid",
    "InputError": "errors",
    "QuantumLayer": "quantum.layer",
    "attack": "robustness.attacking",
    "certify": "robustness.certificates",
    "load_backend": "catalog",
    "load_circuit": "catalog",
    "load_dataset": "data",
    "load_run": "runs",
    "verdict": "robustness.verdict",
}


def __getattr__(name: str) -> Any:
    """Fetch a public name from its room."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
