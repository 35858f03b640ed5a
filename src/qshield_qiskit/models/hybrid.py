"""The hybrid classifier: one image, two branches, one prediction."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.models.backbones import build_backbone
from qshield_qiskit.models.control import ControlLayer, matched_units
from qshield_qiskit.models.fusion import build_fusion
from qshield_qiskit.models.projection import build_projection
from qshield_qiskit.models.readout import build_readout
from qshield_qiskit.models.saved import SavedSampling
from qshield_qiskit.quantum.layer import QuantumLayer
from qshield_qiskit.quantum.pub import Executor
from qshield_qiskit.quantum.template import CircuitTemplate

BRANCHES = ("circuit", "control", "none")
FEATURES = ("backbone", "logits")


class Branches(NamedTuple):
    """All that happens to a batch of images on its way to a prediction; the twin has no second branch."""

    classical: Tensor  # (B, K) logits
    quantum: Tensor | None  # (B, K) logits
    angles: Tensor | None  # (B, num_inputs), radians, (-pi, pi)
    outcomes: Tensor | None  # (B, num_outputs): probabilities, or expectation values in [-1, 1]
    weight: Tensor | None  # (B,), [0, 1]: the share of the quantum branch in the fusion
    logits: Tensor  # (B, K): the prediction

    @classmethod
    def joined(cls, parts: Sequence[Branches]) -> Branches:
        """Lay the stages of several batches behind each other."""
        stages = zip(*parts, strict=True)
        return cls(*(None if stage[0] is None else torch.cat(stage) for stage in stages))  # type: ignore[arg-type]

    def part(self, images: slice) -> Branches:
        """Give every stage of some of the images."""
        return Branches(*(None if stage is None else stage[images] for stage in self))  # type: ignore[arg-type]


class HybridClassifier(nn.Module):
    """Classify images by a backbone with a linear head, and by a circuit fed with the same features.

    features -> projection -> angles = pi tanh(.) -> circuit -> readout -> fusion with the classical logits.
    Nothing is detached or rounded on the way unless it is asked for, so gradients reach the pixels through both
    branches. For the same seed a hybrid, its twin and its control start from the same backbone and head.

    Args:
        template: The circuit; None only with branch "none".
        backend: What runs it; None only with branch "none" or "control".
        num_classes: Number of classes K.
        input_shape: (C, H, W) of one image.
        backbone: One of `backbones.BACKBONES`.
        fusion: One of `fusion.FUSIONS`.
        branch: "circuit" for the hybrid; "none" for the classical twin, the same backbone and head alone;
            "control" for a small tanh network in the circuit's place, with as many parameters.
        pretrained: Start the backbone from ImageNet weights.
        features: What the second branch is fed with: "backbone" for the backbone's features, "logits" for the
            classical head's K logits.
        projection: One of `projection.PROJECTIONS`.
        detach_circuit: Cut what the second branch is fed with off from autograd.
        readout: One of `readout.READOUTS`.
        sampling: How the layer runs the circuit: `shots`, `gradient` and `gradient_draws` of `QuantumLayer`; by
            default exactly, or by the backend's own defaults.
        seed: Seed of the noise, where it is sampled in trajectories.

    Raises:
        InputError: An unknown name, images that do not suit the backbone, a missing template or backend, or a
            projection or readout that does not suit the template.
    """

    def __init__(
        self,
        template: CircuitTemplate | None = None,
        backend: Backend | None = None,
        *,
        num_classes: int,
        input_shape: tuple[int, int, int],
        backbone: str = "small_cnn",
        fusion: str = "product",
        branch: str = "circuit",
        pretrained: bool = False,
        features: str = "backbone",
        projection: str = "trained",
        detach_circuit: bool = False,
        readout: str = "trained",
        sampling: Mapping[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if branch not in BRANCHES:
            raise unknown("branch", branch, BRANCHES)
        if features not in FEATURES:
            raise unknown("kind of features", features, FEATURES)
        self.template = template if branch != "none" else None
        self.backend = backend if branch == "circuit" else None
        self.num_classes = num_classes
        self.input_shape = input_shape
        self.backbone_name = backbone
        self.fusion_name = fusion
        self.branch = branch
        self.features_name = features
        self.projection_name = projection
        self.detach_circuit = detach_circuit
        self.readout_name = readout
        self.sampling = dict(sampling or {})
        self.seed = seed
        for key in self.sampling.keys() - SavedSampling.model_fields.keys():
            raise unknown("setting of sampling", key, SavedSampling.model_fields)

        # What the twin has too is drawn first, so that the seed gives all three the same start.
        self.backbone = build_backbone(backbone, input_shape, pretrained=pretrained)
        num_features = self.backbone.num_features
        assert isinstance(num_features, int)
        self.head = nn.Linear(num_features, num_classes)
        fuse = build_fusion(fusion, num_classes)
        if self.template is None:
            if branch != "none":
                raise InputError(
                    f"model.branch={branch} needs a circuit template; without one, use branch='none'"
                )
            return
        self.layer = self._second_branch(self.template)
        num_values = num_features if features == "backbone" else num_classes
        self.projection = build_projection(projection, num_values, self.layer.num_inputs)
        probabilities = branch == "circuit" and self.template.observables is None
        self.readout = build_readout(
            readout, self.layer.num_outputs, num_classes, probabilities=probabilities
        )
        self.fusion = fuse

    def _second_branch(self, template: CircuitTemplate) -> QuantumLayer | ControlLayer:
        if self.branch == "control":
            return ControlLayer(template.num_inputs, matched_units(template, self.num_classes))
        if self.backend is None:
            raise InputError(
                "model.branch=circuit needs a backend; try backend=load_backend('aer_ideal', num_qubits=...)"
            )
        return QuantumLayer(template, self.backend, seed=self.seed, **self.sampling)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images.

        Args:
            images: (B, C, H, W), [0, 1].

        Returns:
            Logits, (B, K).
        """
        return self.branches(images).logits

    def branches(self, images: Tensor) -> Branches:
        """Classify images and keep every stage.

        Args:
            images: (B, C, H, W), [0, 1].

        Returns:
            Both branches' logits, the angles, the outcomes, the fusion's weight and the prediction.
        """
        classical, angles = self.encode(images)
        if angles is None:
            return self.conclude(classical, None, None)
        with torch.autocast(angles.device.type, enabled=False):  # as in `encode`, and for the control alike
            outcomes = self.layer(angles)
        return self.conclude(classical, angles, outcomes)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Go as far as the circuit.

        Args:
            images: (B, C, H, W), [0, 1].

        Returns:
            The classical logits (B, K), and the circuit's angles (B, num_inputs) in radians, in (-pi, pi); the twin
            has none.
        """
        features = self.backbone(images)  # (B, num_features)
        classical = self.head(features)
        if self.template is None:
            return classical, None
        # Half precision would cost the circuit its accuracy and gains it nothing: mixed precision ends here.
        with torch.autocast(features.device.type, enabled=False):
            values = self._fed(features, classical).to(self.head.weight.dtype)  # (B, num_features) or (B, K)
            return classical, math.pi * torch.tanh(self.projection(values))

    def conclude(self, classical: Tensor, angles: Tensor | None, outcomes: Tensor | None) -> Branches:
        """Go on from the circuit's outcomes to the prediction.

        Args:
            classical: (B, K) logits, as `encode` gives them.
            angles: (B, num_inputs), as `encode` gives them.
            outcomes: (B, num_outputs), what `layer` made of the angles; None for the twin.
        """
        if outcomes is None:
            return Branches(classical, None, None, None, None, classical)
        with torch.autocast(classical.device.type, enabled=False):
            quantum = self.readout(outcomes)  # (B, K) logits
            logits, weight = self.fusion(classical.to(self.head.weight.dtype), quantum)
        return Branches(classical, quantum, angles, outcomes, weight, logits)

    def _fed(self, features: Tensor, logits: Tensor) -> Tensor:
        """Choose what the second branch is fed with."""
        values = features if self.features_name == "backbone" else logits
        return values.detach() if self.detach_circuit else values

    @property
    def shots(self) -> int | None:
        """How often the circuit is run for each image; None if nothing is sampled."""
        layer = getattr(self, "layer", None)
        return layer.shots if isinstance(layer, QuantumLayer) else None

    @property
    def executor(self) -> Executor | None:
        """What runs the circuit; None if its outcomes are computed."""
        layer = getattr(self, "layer", None)
        return layer.executor if isinstance(layer, QuantumLayer) else None

    @property
    def mixes_branches(self) -> bool:
        """Whether two branches make the prediction together."""
        return self.template is not None and self.fusion_name not in {"quantum_only", "classical_only"}

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return _count(self)

    @property
    def num_parameters_matched(self) -> int:
        """Number of trainable parameters of the hybrid that a control stands for; else its own."""
        if self.branch != "control" or self.template is None:
            return self.num_parameters
        circuit_and_readout = self.template.num_weights + (self.template.num_outputs + 1) * self.num_classes
        return self.num_parameters - _count(self.layer) - _count(self.readout) + circuit_and_readout

    def with_backend(self, backend: Backend, sampling: Mapping[str, Any] | None = None) -> HybridClassifier:
        """Give a copy whose circuit runs on another backend, with the same weights and nothing retrained.

        Args:
            backend: What runs the copy's circuit.
            sampling: How; see the class.

        Returns:
            The copy; this model itself stays as it is.
        """
        model = copy.deepcopy(self)
        if model.branch == "circuit" and model.template is not None:
            reference, weight = self.head.weight, self.layer.weight
            assert isinstance(weight, Tensor)
            model.sampling = dict(sampling or {})
            layer = QuantumLayer(
                model.template,
                backend,
                initial_weights=weight,  # none are drawn, so nobody's random numbers move
                seed=self.seed,
                **model.sampling,
            )
            layer.to(reference.device, reference.dtype)
            layer.load_state_dict(self.layer.state_dict())  # to the last bit
            layer.weight.requires_grad_(weight.requires_grad)
            model.layer, model.backend = layer.train(self.training), backend
        return model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write model.safetensors, config.json and circuit.qpy into a folder, each at once or not at all."""
        from qshield_qiskit.models.pretrained import save  # noqa: PLC0415, it needs this class

        save(self, Path(folder))

    @classmethod
    def from_pretrained(cls, folder: str | Path, *, backend: Backend | None = None) -> HybridClassifier:
        """Read what `save_pretrained` wrote.

        Nothing in the folder is run, and nothing is asked for in the user's name: of the backend that it names, only
        what the catalog lists is made, and no device of IBM's.

        Args:
            folder: The folder.
            backend: What runs the circuit; by default the backend that the model was saved with.

        Returns:
            The model, in eval mode, on the CPU.

        Raises:
            InputError: Files that are missing, unreadable or of another shape, or a backend that must be given: a
                Python file, a device of IBM's, or one that the catalog did not make.
        """
        from qshield_qiskit.models.pretrained import load  # noqa: PLC0415, it needs this class

        return load(Path(folder), backend=backend)


def _count(module: nn.Module) -> int:
    return sum(int(parameter.numel()) for parameter in module.parameters() if parameter.requires_grad)
