"""Is the quantum branch used, and for what? Its output is replaced, and nothing is retrained."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from qshield_qiskit.robustness.attacked_model import AttackedModel, predict
from qshield_qiskit.robustness.verdict.check import Check, does_not_apply
from qshield_qiskit.robustness.verdict.evidence import Evidence

Kind = Literal["constant", "shuffled", "permuted", "removed"]
USED = 0.01


class Ablated(nn.Module):
    """A hybrid whose quantum logits are replaced before the fusion.

    Args:
        model: A `HybridClassifier` with a second branch.
        kind: "constant": zeros for every image; "shuffled": those of the next image in the batch; "permuted":
            those of the next class; "removed": the classical branch alone predicts.
    """

    def __init__(self, model: nn.Module, kind: Kind) -> None:
        super().__init__()
        self.model = model
        self.kind = kind

    def forward(self, images: Tensor) -> Tensor:
        """Classify images (B, C, H, W)."""
        if self.kind == "removed":
            classical: Tensor = self.model.branches(images).classical  # type: ignore[operator]
            return classical
        readout = self.model.readout
        assert isinstance(readout, nn.Module)
        handle = readout.register_forward_hook(lambda module, inputs, logits: self._replace(logits))
        try:
            logits: Tensor = self.model(images)
        finally:
            handle.remove()
        return logits

    def _replace(self, quantum: Tensor) -> Tensor:
        if self.kind == "constant":
            return torch.zeros_like(quantum)
        return quantum.roll(1, dims=0 if self.kind == "shuffled" else 1)


def ablation(evidence: Evidence) -> Check:
    """Compare accuracy and ASR with and without the quantum branch."""
    sample = evidence.branches(evidence.images[:2])
    if sample is None or not hasattr(evidence.model, "readout"):
        return does_not_apply("ablation", "there is no quantum branch")
    accuracy = float(evidence.correct.double().mean())
    asr = evidence.apgd().asr
    said, moved = [], 0.0
    kinds: tuple[Kind, ...] = ("constant", "shuffled", "permuted", "removed")
    for kind in kinds:
        ablated = Ablated(evidence.model, kind)
        logits = predict(AttackedModel(ablated, eot=evidence.eot), evidence.images, evidence.batch_size)
        gained = float((logits.argmax(1) == evidence.labels.cpu()).double().mean()) - accuracy
        words = f"{kind} {100 * gained:+.1f}"
        moved = max(moved, abs(gained))
        if kind != "shuffled":  # an attack on it would see other images' circuits
            attacked = evidence.apgd(model=ablated)
            words += f" and {100 * (attacked.asr - asr):+.1f}"
            moved = max(moved, abs(attacked.asr - asr) if attacked.attacked else 0.0)
        said.append(words)
    passed = moved > max(USED, 1 / len(evidence.labels))
    verdict = "the quantum branch is used" if passed else "the quantum branch is not used"
    says = f"{verdict}: points of accuracy and of ASR that change when its output is {', '.join(said)}"
    return Check("ablation", False, passed, moved, USED, says)
