"""Bounds on how far a class leads over a ball of images, through both branches of a hybrid and their fusion."""

from __future__ import annotations

import copy
import math
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from qshield_qiskit.models.control import ControlLayer
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.models.projection import TrainedProjection
from qshield_qiskit.models.readout import BasisStates, TrainedReadout
from qshield_qiskit.quantum.layer import QuantumLayer
from qshield_qiskit.quantum.lipschitz import DerivativeBounds
from qshield_qiskit.robustness.certificates.affine_form import AffineForm
from qshield_qiskit.robustness.certificates.ball import Ball
from qshield_qiskit.robustness.certificates.certificate import DoesNotApplyError
from qshield_qiskit.robustness.certificates.circuit import bounded_sums, exact_network, sum_bounds
from qshield_qiskit.robustness.certificates.layers import through
from qshield_qiskit.robustness.certificates.projection import project

TOLERANCE = 1e-4
"""A lead counts only beyond this many logits: the model itself computes in lower precision than the bounds."""

ROUNDINGS = 64
"""How often the model may round its largest logit, where that is more."""


class Leads(NamedTuple):
    """Bounds from below of a class's lead over each other class, (K - 1,), in logits."""

    transfer: Tensor  # the best that is known
    generators: Tensor  # with nothing known of the circuit but its generators


class MarginBounds:
    """A hybrid classifier, its twin or its control, made ready for bounds.

    The fusions differ in what they let be said. In the product the lead is half the sum of the branches' leads, and
    what both owe to the same pixel is added up with its sign. In every other mixture of two branches a class that leads
    in both leads, whatever their weights: the lead is bounded by the smaller one of the two.

    Args:
        model: The classifier; a copy of it is used, in eval mode and double precision.
        new_symbols: How many errors of each layer are followed one by one; see `AffineForm`.

    Raises:
        DoesNotApplyError: A part of it cannot be bounded, or it computes in less than single precision.
    """

    def __init__(self, model: HybridClassifier, new_symbols: int) -> None:
        precisions = {parameter.dtype for parameter in model.parameters()}
        for low in precisions - {torch.float32, torch.float64}:
            raise DoesNotApplyError(
                f"the model computes in {str(low).removeprefix('torch.')}, which rounds by more than the bounds allow "
                "for; certify model.float()"
            )
        self.new_symbols = new_symbols
        self.smallest = max(torch.finfo(precision).eps for precision in precisions)
        self.model = copy.deepcopy(model).double().eval().requires_grad_(False)
        self._bounds: dict[int, tuple[Tensor, Tensor, DerivativeBounds]] = {}
        if not self.has_second_branch:
            return
        if not isinstance(model.projection, TrainedProjection):
            raise DoesNotApplyError("the model draws a new random projection at every forward pass")
        if isinstance(model.layer, QuantumLayer):
            exact_network(model.layer)

    @property
    def has_second_branch(self) -> bool:
        """Whether anything but the classical head has a say."""
        return self.model.template is not None and self.model.fusion_name != "classical_only"

    @property
    def has_circuit(self) -> bool:
        """Whether a circuit has a say."""
        return self.has_second_branch and isinstance(self.model.layer, QuantumLayer)

    @property
    def circuit(self) -> QuantumLayer:
        """The circuit that has a say."""
        assert isinstance(self.model.layer, QuantumLayer)
        return self.model.layer

    def tolerance(self, image: Tensor) -> float:
        """Give how far a class must lead, in logits, for the model's own rounding not to turn an image (C, H, W)."""
        branches = self.model.branches(image[None].double())
        logits = [each for each in (branches.classical, branches.quantum) if each is not None]
        largest = max(float(each.abs().max()) for each in logits)
        return max(TOLERANCE, ROUNDINGS * self.smallest * largest)

    def leads(self, ball: Ball, label: int) -> Leads:
        """Bound a class's lead over every other one, for all images of a ball."""
        features = self._features(ball)
        rows, offsets = self._over_others(self.model.head.weight, self.model.head.bias, label)
        classical = features.linear(linear, rows, offsets)
        if not self.has_second_branch:
            low = classical.bounds()[0]
            return Leads(low, low)
        angles = self._angles_from(features)
        if isinstance(self.model.layer, ControlLayer):
            readout = self.model.readout
            assert isinstance(readout, TrainedReadout)
            rows, offsets = self._over_others(readout.weight, readout.bias, label)
            outcomes = through(self.model.layer[1], through(self.model.layer[0], angles))
            low = self._fused(classical, outcomes.linear(linear, rows, offsets))
            return Leads(low, low)
        rows, offsets, bounds = self._sums(label)
        forms = bounded_sums(self.circuit, rows, offsets, bounds, angles)
        if isinstance(self.model.readout, BasisStates):
            known = [self._in_logarithms(form, classical, label) for form in forms]
        else:
            known = [self._fused(classical, form) for form in forms]
        return Leads(torch.stack(known).amax(0), known[2])

    def angles(self, ball: Ball) -> AffineForm:
        """Bound the circuit's angles, (I,), in radians, for all images of a ball."""
        return self._angles_from(self._features(ball))

    def _features(self, ball: Ball) -> AffineForm:
        return through(self.model.backbone, AffineForm.of_images(ball, self.new_symbols))

    def _angles_from(self, features: AffineForm) -> AffineForm:
        values = features
        if self.model.features_name == "logits":
            values = features.linear(linear, self.model.head.weight, self.model.head.bias)
        norm, mapping = cast("tuple[nn.LayerNorm, nn.Linear]", tuple(self.model.projection.children()))
        form = project(norm, mapping, values).tanh()
        pi = torch.tensor(math.pi, dtype=torch.float64, device=form.centre.device)
        return form.scaled(pi, torch.zeros_like(pi))

    def _sums(self, label: int) -> tuple[Tensor, Tensor, DerivativeBounds]:
        """Give the sums of outcomes whose bounds are wanted: weights (R, O), offsets (R,), bounds of derivatives."""
        readout = self.model.readout
        key = label if isinstance(readout, TrainedReadout) else -1
        if key not in self._bounds:
            if isinstance(readout, TrainedReadout):
                rows, offsets = self._over_others(readout.weight, readout.bias, label)
                if readout.probabilities:  # the outcomes are first multiplied by their number, less 1
                    rows, offsets = rows * readout.in_features, offsets - rows.sum(dim=1)
            else:
                rows = torch.eye(self.model.num_classes, self.circuit.num_outputs).to(self.model.head.weight)
                offsets = rows.new_zeros(len(rows))
            self._bounds[key] = rows, offsets, sum_bounds(self.circuit, rows)
        return self._bounds[key]

    def _fused(self, classical: AffineForm, second: AffineForm) -> Tensor:
        """Bound the fused lead from the branches' leads."""
        if self.model.fusion_name == "quantum_only":
            return second.bounds()[0]
        if self.model.fusion_name == "product":
            return classical.plus(second).bounds()[0] / 2
        return torch.minimum(classical.bounds()[0], second.bounds()[0])

    def _in_logarithms(self, outcomes: AffineForm, classical: AffineForm, label: int) -> Tensor:
        """Bound the fused lead where logits are logarithms of the first K outcomes, (K,)."""
        low, high = outcomes.bounds()
        room = ROUNDINGS * self.smallest  # the model rounds probabilities, and logarithms magnify that
        low = (low - room).clamp(min=self.smallest).log()
        high = (high + room).clamp(min=self.smallest).log()
        second = low[label] - high[self._others(label)]
        if self.model.fusion_name == "quantum_only":
            return second
        first = classical.bounds()[0]
        return (first + second) / 2 if self.model.fusion_name == "product" else torch.minimum(first, second)

    def _over_others(self, weight: Tensor, bias: Tensor, label: int) -> tuple[Tensor, Tensor]:
        others = self._others(label)
        return weight[label] - weight[others], bias[label] - bias[others]

    def _others(self, label: int) -> list[int]:
        return [k for k in range(self.model.num_classes) if k != label]
