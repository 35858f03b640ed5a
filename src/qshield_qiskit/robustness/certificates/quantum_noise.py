r"""The quantum-noise certificate: depolarising noise as differential privacy.

A measurement whose outcomes are decided by depolarising noise with probability p, whatever the state, cannot tell two
states apart for sure. For states at trace distance \tau, in D dimensions,

    P(o | \sigma) <= e^\epsilon P(o | \rho),   \epsilon = \log(1 + D (1 - p) \tau / p),

and class y, announced with probability y_C, still wins at \sigma if y_C > e^{2 \epsilon} y_k at \rho for all others.

Here p is read off the transfer matrix: the largest p for which every outcome's operator, evolved backwards through the
circuit and all of its noise, is p Tr(E) / D times the identity plus something positive. For depolarising noise at the
end that is its own strength.

The limit of this (Winderl et al. 2023): noise moves y_C towards y_k as well, both towards 1 / D, and D is at least the
number of classes. For two classes more noise can help; for many classes it has been seen to stop helping. Du et al.'s
theorem is a certificate, not a promise that noise protects.

References:
    Du et al., "Quantum noise protects quantum classifiers against adversaries", arXiv 2003.09416 (2020).
    Winderl et al., "Quantum neural networks under depolarization noise: exploring white-box attacks and defenses",
    arXiv 2311.17458 (2023).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from qshield_qiskit.config import CertificateSettings
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.models.readout import TrainedReadout
from qshield_qiskit.quantum.lipschitz import encoding, operators, transfer_matrix
from qshield_qiskit.quantum.simulator import ExactSimulator
from qshield_qiskit.robustness.certificates.ball import Ball
from qshield_qiskit.robustness.certificates.certificate import Certified, DoesNotApplyError, Norm, Progress
from qshield_qiskit.robustness.certificates.circuit import exact_network, refusals_as_reasons
from qshield_qiskit.robustness.certificates.lipschitz import largest_of_interest, predict_classes, radii_of
from qshield_qiskit.robustness.certificates.margins import MarginBounds
from qshield_qiskit.robustness.certificates.search import largest_radius

FIRST_GUESS = 1e-3
"""Where the search for a radius begins."""

LEAST_NOISE = 1e-9
"""A depolarising share below this is rounding."""

ROUNDING = 1e-5
"""Relative room for the rounding of class probabilities in single precision."""

LIMIT = "more noise need not certify more: for many classes it has been seen to stop helping (Winderl et al. 2023)"


@dataclass(frozen=True)
class Privacy:
    """What noise hides of a state.

    Attributes:
        share: p, the probability that depolarising noise decides the outcome.
        dimension: D, of the space of states.
    """

    share: float
    dimension: int

    def distance(self, ratio: float) -> float:
        r"""Give the trace distance up to which e^{2 \epsilon} stays below a ratio of class probabilities."""
        if ratio <= 1:
            return 0.0
        if self.share >= 1:
            return math.inf  # nothing can be told of any state
        return self.share / (self.dimension * (1 - self.share)) * (math.sqrt(ratio) - 1)


def quantum_noise(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    settings: CertificateSettings,
    seed: int,
    progress: Progress | None = None,
) -> Iterator[Certified]:
    """Find for each image the largest ball whose states are private enough for the class to stay ahead.

    Args:
        model: A hybrid whose circuit alone predicts, from outcome probabilities.
        images: (N, C, H, W), [0, 1].
        labels: (N,); only images that are classified correctly are looked at.
        settings: norm, symbols, batch_size.
        seed: Nothing is random here.
        progress: Called after every image.

    Raises:
        DoesNotApplyError: There is no circuit, no noise, or something besides the circuit that predicts.
    """
    certifier = _Certifier(model, settings.symbols)
    predicted = predict_classes(model, images, settings.batch_size)
    privacy = certifier.privacy
    says = (
        f"holds for the model itself; depolarising share p = {privacy.share:.3g} in {privacy.dimension} dimensions; "
        f"{LIMIT}"
    )
    figures = {
        "depolarising_share": privacy.share,
        "dimension": privacy.dimension,
        "symbols": settings.symbols,
    }
    for norm in settings.norms:
        start = time.perf_counter()
        radii = radii_of(partial(certifier.radius, norm), images, labels, predicted, progress, 1)[:, 0]
        yield Certified(norm, predicted, radii, time.perf_counter() - start, says, figures)


def depolarising_share(outcomes: Tensor, num_qubits: int) -> float:
    """Find how much depolarising noise a noisy measurement contains.

    Args:
        outcomes: (O, 4^n), the Pauli coefficients of every outcome's operator; together they are the identity.
        num_qubits: n.

    Returns:
        The largest p in [0, 1] with E - p Tr(E) / D >= 0 for every outcome E.
    """
    effects = operators(outcomes.numpy(), num_qubits)
    least = np.linalg.eigvalsh(effects)[:, 0]
    traces = np.trace(effects, axis1=1, axis2=2).real
    possible = traces > LEAST_NOISE  # an outcome that never occurs hides nothing and shows nothing
    shares = 2**num_qubits * least[possible] / traces[possible]
    return float(np.clip(shares.min(), 0.0, 1.0)) if possible.any() else 1.0


def announced(weight: Tensor, bias: Tensor) -> tuple[Tensor, float]:
    """Turn a trained readout into probabilities of announcing each class, without changing which one is ahead.

    Outcome by outcome the least score is taken from all classes', which changes no difference between them; what is
    left is not negative and scaled to at most 1.

    Args:
        weight: (K, O), of the outcomes' probabilities.
        bias: (K,).

    Returns:
        (K, O): the probability that class k is announced when outcome o is measured; and the logits that a
        probability of 1 is worth.
    """
    scores = weight + bias[:, None]  # probabilities add up to 1
    scores = scores - scores.amin(dim=0)
    worth = scores.sum(dim=0).max().clamp(min=1e-300)
    return scores / worth, float(worth)


def ratio_beyond(first: float, second: float, room: float) -> float:
    r"""Give the largest e^{2 \epsilon} at which a class still leads by some room, whatever its states tell.

    That is where e^{-\epsilon} first - e^\epsilon second = room; without room, first / second.

    Args:
        first: Its probability, at least 0.
        second: That of another class, at least 0.
        room: At least 0.
    """
    root = math.sqrt(room**2 + 4 * max(first, 0.0) * max(second, 0.0))
    leads = 2 * first / max(room + root, 1e-300)
    return leads * leads


class _Certifier:
    """A model whose circuit alone predicts."""

    def __init__(self, model: nn.Module, new_symbols: int) -> None:
        if not isinstance(model, HybridClassifier) or model.template is None or model.branch != "circuit":
            raise DoesNotApplyError("the model has no circuit that noise could protect")
        if model.fusion_name != "quantum_only":
            raise DoesNotApplyError(
                f"fusion {model.fusion_name}: the classical branch has a say as well, and quantum noise does not "
                "protect it; it needs fusion=quantum_only"
            )
        if model.template.observables is not None:
            raise DoesNotApplyError(
                "the circuit reads observables; the theorem is about outcome probabilities"
            )
        self.bounds = MarginBounds(model, new_symbols)
        copy, layer = self.bounds.model, self.bounds.circuit
        simulator, weights = exact_network(layer).simulator, layer.weight.detach()
        num_qubits = simulator.lowered.num_qubits
        with refusals_as_reasons():
            share = depolarising_share(transfer_matrix(simulator, weights), num_qubits)
            self._moves = torch.from_numpy(_state_moves(simulator, weights))
        self.privacy = Privacy(share, 2**num_qubits)
        if self.privacy.share < LEAST_NOISE:
            raise DoesNotApplyError(
                "the circuit's noise has no depolarising part, so it hides nothing for sure"
            )
        readout = copy.readout
        if isinstance(readout, TrainedReadout):
            weight = readout.weight * readout.in_features
            self._announced, self._worth = announced(weight, readout.bias - readout.weight.sum(dim=1))
        else:  # logits are logarithms of these, and differ by more than these do
            self._announced = torch.eye(copy.num_classes, layer.num_outputs, dtype=torch.float64)
            self._worth = 1.0

    def radius(self, norm: Norm, image: Tensor, label: int, last: list[float] | None) -> list[float]:
        """Search the largest radius around one image, (C, H, W)."""
        model = self.bounds.model
        image = image.to(model.head.weight.device)
        branches = model.branches(image[None].double())
        assert branches.angles is not None
        assert branches.outcomes is not None
        angles = branches.angles[0]
        chances = self._announced.to(image.device) @ branches.outcomes[0]  # (K,)
        others = chances[[k for k in range(len(chances)) if k != label]]
        room = self.bounds.tolerance(image) / self._worth
        ratio = ratio_beyond(float(chances[label]), float(others.max()), room)
        allowed = self.privacy.distance(ratio * (1 - ROUNDING))
        moves = self._moves.to(image.device)

        def margin(radius: float) -> float:
            low, high = self.bounds.angles(Ball(image, norm, radius)).bounds()
            furthest = torch.maximum(high - angles, angles - low)
            return allowed - float(moves @ furthest)

        if allowed <= 0:
            return [0.0]
        guess = last[0] if last and last[0] > 0 else FIRST_GUESS
        return [largest_radius(margin, guess, largest_of_interest(image, norm))]


def _state_moves(simulator: ExactSimulator, weights: Tensor) -> NDArray[np.float64]:
    """Bound how far, in trace distance, a change of each angle by one radian moves the encoded state, (I,)."""
    gates = encoding(simulator, weights)
    moves: NDArray[np.float64] = gates.contraction @ gates.slopes / 2
    return moves
