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
        kind: "constant": the same for every image; "shuffled": those of the next image in the batch; "permuted":
            those of the next class; "removed": the classical branch alone predicts.
        constant: What "constant" puts there, (K,).
    """

    def __init__(self, model: nn.Module, kind: Kind, constant: Tensor | None = None) -> None:
        super().__init__()
        self.model = model
        self.kind = kind
        self.constant = constant

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
        match self.kind:
            case "constant":
                assert self.constant is not None
                return self.constant.to(quantum).expand_as(quantum)
            case "shuffled":
                return quantum.roll(1, dims=0)
        return quantum.roll(1, dims=1)


def without_circuit(evidence: Evidence) -> list[Ablated]:
    """Give the two models that are left of a hybrid without its circuit: its mean output, and nothing, in its place."""
    with torch.no_grad():
        parts = [evidence.branches(part) for part in torch.split(evidence.images, evidence.batch_size)]
    quantum = [
        branches.quantum for branches in parts if branches is not None and branches.quantum is not None
    ]
    constant = torch.cat(quantum).mean(dim=0)
    return [Ablated(evidence.model, "constant", constant), Ablated(evidence.model, "removed")]


def ablation(evidence: Evidence) -> Check:
    """Compare accuracy and ASR with and without the quantum branch.

    It is used if another image's quantum output, or the mean of all images', changes accuracy or ASR. Another
    class's output, or none, also changes what is the same for all images, which is no use of the circuit.
    """
    if not evidence.has_second_branch:
        return does_not_apply("ablation", "there is no second branch")
    accuracy = float(evidence.correct.double().mean())
    asr = evidence.apgd().asr
    constant, removed = without_circuit(evidence)
    said, moved = [], 0.0
    for model in (
        constant,
        Ablated(evidence.model, "shuffled"),
        Ablated(evidence.model, "permuted"),
        removed,
    ):
        neighbours = max(2, evidence.batch_size)  # alone in a batch, an image would be its own neighbour
        logits = predict(AttackedModel(model, eot=evidence.eot), evidence.images, neighbours)
        gained = float((logits.argmax(1) == evidence.labels.cpu()).double().mean()) - accuracy
        words = f"{model.kind} {100 * gained:+.1f}"
        if model.kind in {"constant", "shuffled"}:
            moved = max(moved, abs(gained))
        if model in (constant, removed):  # an attack on the others would see other images' circuits
            attacked = evidence.apgd(model=model)
            words += f" and {100 * (attacked.asr - asr):+.1f}"
            if model is constant and attacked.attacked:
                moved = max(moved, abs(attacked.asr - asr))
        said.append(words)
    threshold = max(USED, 2 / max(1, int(evidence.correct.sum())))  # one image is chance
    passed = moved >= threshold - 1e-9
    verdict = f"the {evidence.branch} is {'' if passed else 'not '}used"
    says = f"{verdict}: points of accuracy, and of ASR, that change when its output is {', '.join(said)}"
    return Check("ablation", False, passed, moved, threshold, says)
