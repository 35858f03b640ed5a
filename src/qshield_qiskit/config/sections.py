"""The groups of settings: data, circuit, backend, model, training, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, model_validator

from qshield_qiskit.config.defence import DefenceSettings
from qshield_qiskit.config.section import Count, NotNegative, Positive, Probability, Section, several

SAMPLING = ("shots", "gradient", "gradient_draws")
"""Settings of a backend that the quantum layer receives, not the backend."""

LARGEST = 1e30
"""What Adam multiplies by may be as large as this; ten times as much still fits into float32."""

Spread = Annotated[float, Field(ge=0, le=10)]
"""Standard deviation of a factor's logarithm; beyond it devices would have no coherence that a number could hold."""

Names = Annotated[tuple[str, ...], BeforeValidator(several), Field(min_length=1)]
"""One name or more."""


def _without(**settings: str) -> AfterValidator:
    """Refuse options that `build` receives by settings of their own, in whose place they would be given twice."""

    def check(options: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for option, value in options.items():
            if option in settings:
                raise ValueError(f"{option}={value} is no option; try {settings[option]}={value}")
        return options

    return AfterValidator(check)


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
    options: Annotated[
        dict[str, JsonValue], _without(name="circuit.name", num_qubits="circuit.num_qubits")
    ] = Field(default_factory=dict)
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
    """Backend: a name of backends/, fake_<device>, ibm_<device>, ibm_runtime, or a path to a Python file."""
    calibration: str | None = None
    """Calibration of a real device, where the backend takes one."""
    channel: str | None = None
    """Noise channel of paper_noise: depolarizing, amplitude_damping, phase_damping or mixed."""
    p: Probability | None = None
    """Strength of that channel, a probability."""
    resilience_level: Annotated[int, Field(ge=0, le=2)] | None = None
    """Error mitigation of IBM's Estimator: 0 none, 1 readout, 2 zero-noise extrapolation as well."""
    twirling: bool | None = None
    """Whether IBM's primitives twirl two-qubit gates."""
    dynamical_decoupling: str | None = None
    """Pulses on idle qubits by IBM's primitives: XX, XpXm or XY4."""
    max_qpu_seconds: Positive | None = None
    """Seconds of a real device's time that a run may cost on it; what is done until then is kept."""
    options: Annotated[
        dict[str, JsonValue], _without(name="backend.name", num_qubits="circuit.num_qubits")
    ] = Field(default_factory=dict)
    """Further settings that the backend's own file declares."""
    shots: Count | None = None
    """How often the circuit is run for each image; null: exact outcomes where the backend knows them."""
    gradient: Literal["exact", "shift", "spsa"] | None = None
    """How the circuit is differentiated; null: exactly where that can be, else the backend's own way."""
    gradient_draws: Count | None = None
    """Draws that SPSA averages over."""

    def build_options(self) -> dict[str, Any]:
        """Give what the backend's `build` receives besides num_qubits: every setting that is not null."""
        return _given(self, {"name", "options", *SAMPLING}) | self.options

    def sampling(self) -> dict[str, Any]:
        """Give what the quantum layer receives: every setting of shots and gradients that is not null."""
        return self.model_dump(include=set(SAMPLING), exclude_none=True)


class ModelSettings(Section):
    """The classifier around the circuit."""

    backbone: Literal["small_cnn", "resnet18", "dnn", "mlp"] = "small_cnn"
    """Network that turns an image into features."""
    branch: Literal["circuit", "control", "none"] = "circuit"
    """What stands beside the classical head: the circuit, a small MLP of equal size, or nothing."""
    fusion: Literal[
        "dynamic", "entropy", "weighted_sum", "product", "disagreement", "quantum_only", "classical_only"
    ] = "product"
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
    """Images in one training step, in each of several processes."""
    learning_rate: Annotated[float, Field(gt=0, le=LARGEST)] = 1e-3
    """Step size of Adam."""
    weight_decay: Annotated[float, Field(ge=0, le=LARGEST)] = 1e-4
    """L2 penalty of Adam."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the step size goes on: down to 0 along a cosine, or constant."""
    branch_weight: NotNegative = 0.5
    """Weight of each branch's own loss beside the fused one, so that both learn; 0: the fused loss alone."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the values that the backbone's dropout zeroes while training; null: the backbone's own share."""
    trains: Literal["all", "branch", "circuit"] = "all"
    """What is trained: all weights, those of the second branch, or the circuit's alone; the rest stays as it is."""
    start_from: Path | None = None
    """A run whose weights the training starts from; null: fresh ones. With its seed, the same images are held out."""
    lipschitz_weight: NotNegative = 0.0
    """Weight of a penalty on how fast the circuit's angles change with the features; 0: none."""
    defence: DefenceSettings = DefenceSettings()
    """What makes the model resist attacks."""
    noise_aware: Spread | Names | None = None
    """Devices drawn for each batch: a spread of the backend's figures, such as 0.3, or calibrations; null: none."""
    noise_variants: Count = 8
    """How many devices a spread draws from."""
    patience: Count | None = None
    """Epochs without a better validation loss, or accuracy under attack, before training stops; null: it never does."""
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


def _given(section: Section, leave_out: set[str]) -> dict[str, Any]:
    return section.model_dump(exclude=leave_out, exclude_none=True)
