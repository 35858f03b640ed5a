"""Every setting of a run in one frozen tree: its name, its default, its range and a sentence on what it does.

A run is an experiment (a YAML file of names and numbers) plus overrides typed as `training.epochs=5`. What
comes out is complete and checked, is saved beside the results, and loads back to an equal tree.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from qshield_qiskit import catalog, overrides
from qshield_qiskit.errors import InputError

DEFAULT_EXPERIMENT = "digits"


Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A frozen group of settings that knows all its keys; the sentence under each is its description."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class DatasetSettings(Section):
    """Which images."""

    name: str = "digits"
    """Data set, a name that `qshield list datasets` shows."""
    file: Path | None = None
    """An .npz file or an image folder of one's own, in place of the name."""


class DataSettings(Section):
    """Where images lie and how they are split."""

    root: Path | None = None
    """Folder that holds data sets and receives downloads; null: QSHIELD_DATA, else a cache."""
    mirror: str | None = None
    """Address to download from instead of the publisher's."""
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the training images that is held out to choose the best epoch; 0: none, and the last epoch counts."""
    train_images: Count | None = None
    """How many training images to use; null: all."""
    test_images: Count | None = None
    """How many test images to use; null: all."""


class CircuitSettings(Section):
    """The circuit of the quantum layer; null leaves a setting to the circuit's own file."""

    name: str = "full"
    """Template, a name of circuits/ or a path to a Python file."""
    num_qubits: Count | None = None
    """Number of qubits; null: as many as the classes need, at least 2."""
    reps: Count | None = None
    """Number of entangling layers."""
    encoding: str | None = None
    """How angles enter: angle, enhanced_angle, amplitude or zz."""
    ansatz: str | None = None
    """What is trained before each entangler: none or rotations."""
    readout: str | list[str] | None = None
    """What is read: probabilities, z, or a list of Pauli strings."""
    reupload: bool | None = None
    """Whether the encoding is repeated before every layer."""
    options: dict[str, JsonValue] = {}
    """Further settings that the circuit's own file declares."""

    def qubits_for(self, num_classes: int) -> int:
        """Give the number of qubits: as set, else a basis state for every class, max(2, ceil(log2 K))."""
        return self.num_qubits or max(2, (num_classes - 1).bit_length())

    def build_options(self) -> dict[str, Any]:
        """Give what the circuit's `build` receives besides num_qubits: every setting that is not null."""
        return _given(self, {"name", "num_qubits", "options"}) | self.options


class BackendSettings(Section):
    """What the circuit runs on; null leaves a setting to the backend's own file."""

    name: str = "aer_noisy"
    """Backend, a name of backends/, fake_<device> or a path to a Python file."""
    calibration: str | None = None
    """Calibration of a real device, where the backend takes one."""
    channel: str | None = None
    """Noise channel of paper_noise: depolarizing, amplitude_damping, phase_damping or mixed."""
    p: Probability | None = None
    """Strength of that channel, a probability."""
    options: dict[str, JsonValue] = {}
    """Further settings that the backend's own file declares."""

    def build_options(self) -> dict[str, Any]:
        """Give what the backend's `build` receives besides num_qubits: every setting that is not null."""
        return _given(self, {"name", "options"}) | self.options


class ModelSettings(Section):
    """The classifier around the circuit."""

    backbone: Literal["small_cnn", "resnet18", "dnn"] = "small_cnn"
    """Network that turns an image into features."""
    branch: Literal["circuit", "control", "none"] = "circuit"
    """What stands beside the classical head: the circuit, a small MLP of equal size, or nothing."""
    fusion: Literal["dynamic", "entropy", "weighted_sum", "product", "quantum_only", "classical_only"] = (
        "product"
    )
    """How the two branches become one prediction."""
    pretrained: bool = False
    """Whether resnet18 starts from its ImageNet weights."""
    features: Literal["backbone", "logits"] = "backbone"
    """What the second branch is fed with: the backbone's features, or the classical head's class logits."""
    projection: Literal["trained", "random_expansion"] = "trained"
    """How that becomes angles: by a trained map, or by a random orthogonal matrix, a new one at every forward."""
    detach_circuit: bool = False
    """Whether the second branch is cut off from autograd at its input, so that no gradient passes through it."""
    readout: Literal["trained", "basis_states"] = "trained"
    """How outcomes become class scores: by a trained map, or as the probabilities of the first basis states."""

    @model_validator(mode="after")
    def _fusion_has_its_branch(self) -> ModelSettings:
        if self.branch == "none" and self.fusion == "quantum_only":
            raise ValueError("fusion=quantum_only needs a branch, but branch=none; try branch=circuit")
        return self

    @model_validator(mode="after")
    def _readout_has_its_basis_states(self) -> ModelSettings:
        if self.branch == "control" and self.readout == "basis_states":
            raise ValueError("readout=basis_states needs a circuit, but branch=control; try readout=trained")
        return self

    @model_validator(mode="after")
    def _something_trains_the_backbone(self) -> ModelSettings:
        if self.detach_circuit and self.fusion == "quantum_only":
            raise ValueError(
                "fusion=quantum_only with detach_circuit=true leaves the backbone untrained; "
                "try fusion=product or detach_circuit=false"
            )
        return self


class TrainingSettings(Section):
    """How the weights are found."""

    epochs: Count = 10
    """Passes over the training images."""
    batch_size: Count = 128
    """Images in one training step."""
    learning_rate: Positive = 1e-3
    """Step size of Adam."""
    weight_decay: NotNegative = 1e-4
    """L2 penalty of Adam."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the step size goes on: down to 0 along a cosine, or constant."""
    branch_weight: NotNegative = 0.5
    """Weight of each branch's own loss beside the fused one, so that both learn; 0: the fused loss alone."""
    patience: Count | None = None
    """Epochs without a better validation loss before training stops; null: it never stops early."""
    accelerator: str = "auto"
    """Lightning's accelerator: auto, cpu or gpu."""
    devices: int | str = 1
    """Lightning's devices: how many, which ones, or auto."""
    strategy: str = "auto"
    """Lightning's strategy: auto, ddp, ..."""
    precision: Literal["32-true", "64-true", "16-mixed", "bf16-mixed"] = "32-true"
    """Lightning's precision."""
    threads: Count | None = None
    """Threads that torch uses; null: as many as it chooses."""


class EvaluationSettings(Section):
    """How a trained model is measured."""

    images: Count | None = None
    """How many test images to evaluate; null: all."""
    batch_size: Count = 256
    """Images in one evaluation step."""


def _number(text: str) -> float:
    """Read a number or a fraction, such as 0.1 or 8/255."""
    numerator, slash, denominator = text.partition("/")
    return float(numerator) / float(denominator) if slash else float(numerator)


class AttackSettings(Section):
    """How a trained model is attacked."""

    name: str = "standard"
    """Attacks and presets, separated by commas; `qshield list attacks` shows both."""
    preset: str = "standard"
    """Where the parameters of attacks that are named themselves come from."""
    epsilon: float | str | list[float | str] = "32/255"
    """Radius in pixel values: a number, a fraction, a list, or start:stop:count for a curve."""
    norm: Literal["linf", "l2", "l0"] | None = None
    """Norm of the perturbation, where an attack has a choice; null: its first."""
    images: Count | None = None
    """How many test images, from the first on; null: all, at most 1,000."""
    batch_size: Count = 256
    """Images that are attacked at a time."""
    eot: Count = 1
    """Draws over which gradients and decisions of a random model are averaged."""
    target: str | int | None = None
    """likely, unlikely or a class: what images shall be taken for; null: anything but what they are."""
    bpda: str | None = None
    """Backend whose gradient stands in for that of a backend without one; null: none."""
    options: dict[str, JsonValue] = {}
    """Parameters of the attacks, such as steps; `qshield show attack pgd` lists them."""

    @model_validator(mode="after")
    def _epsilon_can_be_read(self) -> AttackSettings:
        self.radii()
        return self

    def radii(self) -> list[float]:
        """Give every epsilon; 0 is allowed as the start of a curve only.

        Raises:
            ValueError: It cannot be read, or lies outside its range.
        """
        given = self.epsilon if isinstance(self.epsilon, list) else str(self.epsilon).split(",")
        radii: list[float] = []
        curve = False
        for part in map(str, given):
            ends = part.split(":")
            curve = curve or len(ends) == 3
            try:
                if len(ends) == 3:
                    start, stop, count = _number(ends[0]), _number(ends[1]), int(ends[2])
                    if count < 2:
                        raise ValueError
                    radii += [start + i * (stop - start) / (count - 1) for i in range(count)]
                else:
                    radii.append(_number(part))
            except (ValueError, ZeroDivisionError):
                raise ValueError(
                    f"attack.epsilon={part}: expected a number, a fraction such as 8/255, or a curve start:stop:count"
                ) from None
        smallest_allowed = all(radius > 0 or (curve and radius == 0) for radius in radii)
        if not smallest_allowed or (self.norm in {None, "linf"} and max(radii) > 1):
            raise ValueError(
                f"attack.epsilon={self.epsilon}: expected more than 0 and at most 1, in pixel values; try 8/255"
            )
        return radii


class VerdictSettings(Section):
    """How it is judged whether robustness figures may be believed."""

    images: Count = 100
    """How many test images the checks use."""
    batch_size: Count = 256
    """Images in one forward pass."""


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
    if experiment is None:
        wanted = overrides.look_up(changes, "dataset.name")
        known = isinstance(wanted, str) and wanted in catalog.find("experiments")
        experiment = wanted if known else DEFAULT_EXPERIMENT
    found = catalog.entry("experiments", str(experiment))
    content = overrides.read_yaml(found.path, named_sections())
    content.setdefault("experiment", re.sub(r"[^\w.+/-]+", "-", found.name))
    try:
        validate(content)
    except InputError as error:
        raise InputError(f"{found.path}: {error}") from error
    for section in ("circuit", "backend"):
        _leave_behind(content, changes, section)
    return validate(overrides.merge(content, changes))


def _leave_behind(content: dict[str, Any], changes: dict[str, Any], section: str) -> None:
    """Drop an experiment's settings of a circuit or backend that another one, typed in its place, does not know."""
    name = overrides.look_up(changes, f"{section}.name")
    own = content.get(section)
    if not isinstance(own, dict) or not isinstance(name, str) or name == own.get("name"):
        return
    declared = catalog.declared_settings(f"{section}s", name)
    if declared is not None:
        kept = declared | {"name", "num_qubits"}
        content[section] = {key: value for key, value in own.items() if key in kept}


def validate(content: dict[str, Any]) -> Settings:
    """Check a tree of plain values.

    Raises:
        InputError: A key is unknown or a value out of range; the line names the dotted key and the
            nearest one.
    """
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        raise InputError(overrides.explain(error, Settings)) from error


def named_sections() -> frozenset[str]:
    """List the sections whose name can be typed alone: circuit=full is circuit.name=full."""
    sections = {name: field.annotation for name, field in Settings.model_fields.items()}
    return frozenset(
        name
        for name, section in sections.items()
        if isinstance(section, type) and issubclass(section, Section) and "name" in section.model_fields
    )


def _given(section: Section, leave_out: set[str]) -> dict[str, Any]:
    return section.model_dump(exclude=leave_out, exclude_none=True)
