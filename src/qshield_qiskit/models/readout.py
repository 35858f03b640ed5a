"""Readouts: how the second branch's outcomes become class scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import log_softmax

from qshield_qiskit.errors import InputError, unknown


class TrainedReadout(nn.Linear):
    """A trained linear map from outcomes (B, num_outcomes) to logits (B, num_classes).

    Probabilities, which are 1 / num_outcomes on average, are first moved to mean 0 and a scale of 1;
    everything else is taken as it is.
    """

    def __init__(self, num_outcomes: int, num_classes: int, *, probabilities: bool) -> None:
        super().__init__(num_outcomes, num_classes)
        self.probabilities = probabilities

    def forward(self, outcomes: Tensor) -> Tensor:
        """Score the classes."""
        return super().forward(outcomes * self.in_features - 1 if self.probabilities else outcomes)


class BasisStates(nn.Module):
    r"""The paper's readout, with nothing to train: basis state k stands for class k.

    log p_k = log(P_k / \sum_{j < K} P_j) with the outcome probabilities P in Qiskit's order. What lies below
    the precision of the tensor, where a simulated probability is rounding and may be negative, counts as that
    precision.

    Raises:
        InputError: The outcomes are no probabilities, or fewer than the classes.

    References:
        Azimi et al., "QShield", arXiv 2604.10933 (2026).
    """

    def __init__(self, num_outcomes: int, num_classes: int, *, probabilities: bool) -> None:
        super().__init__()
        if not probabilities:
            raise InputError(
                "model.readout=basis_states needs a circuit that reads probabilities, no control and no "
                "observables; try model.readout=trained or circuit.readout=probabilities"
            )
        if num_classes > num_outcomes:
            raise InputError(
                f"model.readout=basis_states: {num_classes} classes, but the circuit has only {num_outcomes} "
                f"basis states; try circuit.num_qubits={(num_classes - 1).bit_length()}"
            )
        self.num_classes = num_classes

    def forward(self, outcomes: Tensor) -> Tensor:
        """Give the classes' log-probabilities, (B, num_classes), from probabilities (B, num_outcomes)."""
        smallest = torch.finfo(outcomes.dtype).eps
        return log_softmax(outcomes[:, : self.num_classes].clamp_min(smallest).log(), dim=-1)


READOUTS: dict[str, type[nn.Module]] = {"trained": TrainedReadout, "basis_states": BasisStates}


def build_readout(name: str, num_outcomes: int, num_classes: int, *, probabilities: bool) -> nn.Module:
    """Make the readout of that name, from outcomes (B, num_outcomes) to class scores (B, num_classes).

    Args:
        name: One of READOUTS.
        num_outcomes: Number of outcomes.
        num_classes: Number of classes K.
        probabilities: Whether the outcomes are the probabilities of all basis states.

    Raises:
        InputError: An unknown name, or outcomes that do not suit it.
    """
    if name not in READOUTS:
        raise unknown("readout", name, READOUTS)
    return READOUTS[name](num_outcomes, num_classes, probabilities=probabilities)
