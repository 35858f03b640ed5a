"""All settings of a run, resolved from an experiment and overrides."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from qshield_qiskit import catalog, overrides
from qshield_qiskit.config.robustness import AttackSettings, CertificateSettings, VerdictSettings
from qshield_qiskit.config.section import Section
from qshield_qiskit.config.sections import (
    SAMPLING,
    BackendSettings,
    CircuitSettings,
    DatasetSettings,
    DataSettings,
    EvaluationSettings,
    ModelSettings,
    TrainingSettings,
)
from qshield_qiskit.config.sweep import SweepSettings
from qshield_qiskit.errors import InputError

DEFAULT_EXPERIMENT = "digits"

_PART_OF_A_GRID = re.compile(r"sweep\.(axes|attacks)\.")


class Settings(Section):
    """All settings of one run."""

    experiment: str = DEFAULT_EXPERIMENT
    """Name of the experiment, and of its folder of runs."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Seed of every random generator."""
    dataset: DatasetSettings = DatasetSettings()
    """Which images."""
    data: DataSettings = DataSettings()
    """Where images lie and how they are split."""
    circuit: CircuitSettings = CircuitSettings()
    """The circuit of the quantum layer."""
    backend: BackendSettings = BackendSettings()
    """What the circuit runs on."""
    model: ModelSettings = ModelSettings()
    """The classifier around the circuit."""
    training: TrainingSettings = TrainingSettings()
    """How the weights are found."""
    evaluation: EvaluationSettings = EvaluationSettings()
    """How a trained model is measured."""
    attack: AttackSettings = AttackSettings()
    """How a trained model is attacked."""
    verdict: VerdictSettings = VerdictSettings()
    """How it is judged whether robustness figures may be believed."""
    certificate: CertificateSettings = CertificateSettings()
    """How a trained model's predictions are certified."""
    runs: Path = Path("runs")
    """Folder that receives the run folders."""

    @model_validator(mode="after")
    def _experiment_is_a_folder_name(self) -> Settings:
        parts = self.experiment.split("/")
        if not all(re.fullmatch(r"[\w.+-]+", part) and part not in {".", ".."} for part in parts):
            raise ValueError(
                f"experiment={self.experiment}: expected a folder's name of letters, digits, . _ + - /"
            )
        return self

    def to_yaml(self) -> str:
        """Write every setting as YAML that `load_settings` reads back to an equal tree."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def load_settings(experiment: str | Path | None = None, dotted: Sequence[str] = ()) -> Settings:
    """Resolve an experiment and its overrides.

    Args:
        experiment: A name of experiments/, or a YAML file. None takes the experiment named like the data set
            that the overrides ask for, if there is one, and else the default.
        dotted: Overrides such as "training.epochs=5"; "circuit=full" is short for "circuit.name=full", and
            likewise for every section that has a name.

    Returns:
        The complete, checked settings.

    Raises:
        InputError: No such experiment, a file that is no YAML mapping, an unknown key, a value out of range.
    """
    changes = overrides.parse(dotted, named_sections())
    found, content = _read(experiment, changes)
    content.pop("sweep", None)  # for `load_sweep`
    try:
        validate(content)
    except InputError as error:
        raise InputError(f"{found.path}: {error}") from error
    for section in ("circuit", "backend"):
        _leave_behind(content, changes, section)
    return validate(overrides.merge(content, changes))


def load_sweep(experiment: str | Path | None = None, dotted: Sequence[str] = ()) -> SweepSettings:
    """Read what an experiment says about a sweep.

    Args:
        experiment: As for `load_settings`.
        dotted: Overrides; of `sweep.` settings alone, and of the data set that may name the experiment.

    Returns:
        The checked settings; the defaults, without an axis, where the experiment has no section `sweep`.

    Raises:
        InputError: As for `load_settings`.
    """
    for override in dotted:
        if _PART_OF_A_GRID.match(override):
            whole = ".".join(override.split(".")[:2])
            raise InputError(
                f"{override}: give the whole of {whole}, such as {whole}={{...}}, or choose by axis=value"
            )
    changes = overrides.parse(dotted, named_sections())
    found, content = _read(experiment, changes)
    given = content.get("sweep") or {}
    section = {"sweep": given | changes.get("sweep", {}) if isinstance(given, dict) else given}
    try:
        return _SweepFile.model_validate(section).sweep
    except ValidationError as error:
        raise InputError(f"{found.path}: {overrides.explain(error, _SweepFile)}") from error


class _SweepFile(Section):
    """The part of an experiment's file that only a sweep reads."""

    sweep: SweepSettings = SweepSettings()


def _read(experiment: str | Path | None, changes: dict[str, Any]) -> tuple[catalog.Entry, dict[str, Any]]:
    """Find an experiment's file and read it."""
    if experiment is None:
        wanted = overrides.look_up(changes, "dataset.name")
        known = isinstance(wanted, str) and wanted in catalog.find("experiments")
        experiment = wanted if known else DEFAULT_EXPERIMENT
    found = catalog.entry("experiments", str(experiment))
    content = overrides.read_yaml(found.path, named_sections())
    content.setdefault("experiment", re.sub(r"[^\w.+/-]+", "-", found.name))
    return found, content


def _leave_behind(content: dict[str, Any], changes: dict[str, Any], section: str) -> None:
    """Drop an experiment's settings of a circuit or backend that another one, typed in its place, does not know."""
    name = overrides.look_up(changes, f"{section}.name")
    own = content.get(section)
    if not isinstance(own, dict) or not isinstance(name, str) or name == own.get("name"):
        return
    declared = catalog.declared_settings(f"{section}s", name)
    if declared is not None:
        kept = declared | {"name", "num_qubits", *(SAMPLING if section == "backend" else ())}
        content[section] = {key: value for key, value in own.items() if key in kept}
        if isinstance(options := own.get("options"), dict):
            content[section]["options"] = {key: value for key, value in options.items() if key in declared}


def validate(content: dict[str, Any]) -> Settings:
    """Check a tree of plain values.

    Raises:
        InputError: A key is unknown or a value out of range; the line names the dotted key and the
            nearest one.
    """
    try:
        settings = Settings.model_validate(content)
    except ValidationError as error:
        raise InputError(overrides.explain(error, Settings)) from error
    return _defended_where_attacked(settings)


def override(trained: Settings, dotted: Sequence[str], allowed: Sequence[str]) -> Settings:
    """Lay overrides over a run's settings; another backend starts from its own defaults.

    Args:
        trained: The run's settings.
        dotted: The overrides.
        allowed: Sections and keys that may change; all else belongs to the training.

    Raises:
        InputError: Something else is changed, or a value does not fit.
    """
    changes = overrides.parse(dotted, named_sections())
    for key, value in changes.items():
        for dotted_key in [f"{key}.{name}" for name in value] if isinstance(value, dict) else [key]:
            if key not in allowed and dotted_key not in allowed:
                raise InputError(
                    f"{dotted_key} belongs to the training and cannot change any more; "
                    f"what can: {', '.join(allowed)}"
                )
    content = trained.model_dump(mode="json")
    name = overrides.look_up(changes, "backend.name")
    if name is not None and name != trained.backend.name:
        content.pop("backend")
    return validate(overrides.merge(content, changes))


def _defended_where_attacked(settings: Settings) -> Settings:
    """Give a defence without a radius of its own that of the attack, if that is one in the sup norm."""
    training, attack = settings.training, settings.attack
    given = training.defence.name in {"none", "noise"} or training.defence.epsilon is not None
    if given or attack.norm not in {None, "linf"}:
        return settings
    defence = training.defence.model_copy(update={"epsilon": max(attack.radii())})
    return settings.model_copy(update={"training": training.model_copy(update={"defence": defence})})


def named_sections() -> frozenset[str]:
    """List the sections whose name can be typed alone: circuit=full is circuit.name=full."""
    return frozenset(_named(Settings))


def _named(section: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        below = field.annotation
        if isinstance(below, type) and issubclass(below, Section):
            if "name" in below.model_fields:
                yield prefix + name
            yield from _named(below, f"{prefix}{name}.")
