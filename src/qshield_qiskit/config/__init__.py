"""Every setting of a run in one frozen tree: its name, its default, its range and a sentence on what it does.

A run is an experiment (a YAML file of names and numbers) plus overrides typed as `training.epochs=5`. What
comes out is complete and checked, is saved beside the results, and loads back to an equal tree.
"""

from qshield_qiskit.config.defence import DefenceSettings, NoiseSettings
from qshield_qiskit.config.loading import (
    Settings,
    load_settings,
    load_sweep,
    named_sections,
    override,
    validate,
)
from qshield_qiskit.config.robustness import AttackSettings, CertificateSettings, VerdictSettings
from qshield_qiskit.config.section import Count, NotNegative, Positive, Probability, Section
from qshield_qiskit.config.sections import (
    BackendSettings,
    CircuitSettings,
    DatasetSettings,
    DataSettings,
    EvaluationSettings,
    ModelSettings,
    TrainingSettings,
)
from qshield_qiskit.config.studies import CircuitStudySettings
from qshield_qiskit.config.sweep import SweepSettings

__all__ = [
    "AttackSettings",
    "BackendSettings",
    "CertificateSettings",
    "CircuitSettings",
    "CircuitStudySettings",
    "Count",
    "DataSettings",
    "DatasetSettings",
    "DefenceSettings",
    "EvaluationSettings",
    "ModelSettings",
    "NoiseSettings",
    "NotNegative",
    "Positive",
    "Probability",
    "Section",
    "Settings",
    "SweepSettings",
    "TrainingSettings",
    "VerdictSettings",
    "load_settings",
    "load_sweep",
    "named_sections",
    "override",
    "validate",
]
