"""A training step of the hybrid beside that of its classical twin: what the quantum branch costs in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import torch

from benchmarks.timing import take_turns
from qshield_qiskit import HybridClassifier, load_backend, load_circuit
from qshield_qiskit.config import DefenceSettings
from qshield_qiskit.training.defences import build_defence

BATCH, NUM_QUBITS, EPSILON = 128, 4, 32 / 255
CASES = [("resnet18", "none"), ("small_cnn", "none"), ("small_cnn", "pgd")]
WORK = {"none": "training step", "pgd": "4-step adversarial training step"}
SHAPE = (1, 28, 28)


def measure(device: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield a titled list of result rows for each backbone and defence."""
    for backbone, defence in CASES:
        steps = {branch: training_step(backbone, branch, defence, device) for branch in ("circuit", "none")}
        timings = take_turns(steps, rounds=70, seconds=0.01)
        rows = []
        for branch, timing in timings.items():
            rows.append(
                {
                    "engine": "qshield" if branch == "circuit" else "twin",
                    "version": version("qshield-qiskit"),
                    "work": WORK[defence],
                    "qubits": NUM_QUBITS,
                    "depth": 1,
                    "batch": BATCH,
                    "noise": "aer_noisy" if branch == "circuit" else "",
                    "reupload": False,
                    "dtype": "float32",
                    "threads": torch.get_num_threads(),
                    "milliseconds": timing.milliseconds,
                    "spread": timing.spread,
                    "ratio": timing.milliseconds / timings["circuit"].milliseconds,
                }
            )
        cost = timings["circuit"].milliseconds / timings["none"].milliseconds
        yield f"{backbone}: the hybrid's {WORK[defence]} costs {cost:.3f}x its twin's", rows


def training_step(backbone: str, branch: str, defence: str, device: str) -> Callable[[], object]:
    """One step of Adam on a batch of random images, or on what a defence makes of them, until the device is done."""
    torch.manual_seed(0)
    template, backend = load_circuit("full", NUM_QUBITS), load_backend("aer_noisy", NUM_QUBITS)
    model = HybridClassifier(
        template, backend, num_classes=10, input_shape=SHAPE, backbone=backbone, branch=branch
    ).to(device)
    optimiser = torch.optim.Adam(model.parameters())
    images, labels = torch.rand(BATCH, *SHAPE).to(device), torch.randint(10, (BATCH,)).to(device)
    defend = build_defence(DefenceSettings(name=defence, epsilon=EPSILON), seed=0)  # type: ignore[arg-type]
    defend.begin_epoch(0, 0, images.device)

    def call() -> object:
        optimiser.zero_grad()
        shown = defend.shown(model, images, labels, EPSILON)
        loss = defend.loss(model(shown), labels)
        torch.autograd.backward(loss)
        optimiser.step()
        return loss.item()  # waits for the GPU

    return call
