"""A training step of the hybrid beside that of its classical twin: what the quantum branch costs in all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from benchmarks.timing import take_turns
from qshield_qiskit import HybridClassifier, load_backend, load_circuit

BATCH, NUM_QUBITS = 128, 4
CASES = {"resnet18": (1, 28, 28), "small_cnn": (1, 28, 28)}


def measure() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield a titled list of result rows for each backbone."""
    for backbone, shape in CASES.items():
        steps = {branch: training_step(backbone, shape, branch) for branch in ("circuit", "none")}
        timings = take_turns(steps, rounds=70, seconds=0.01)
        rows = []
        for branch, timing in timings.items():
            rows.append(
                {
                    "engine": "qshield" if branch == "circuit" else "twin",
                    "version": version("qshield-qiskit"),
                    "work": "training step",
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
        yield f"{backbone}: the hybrid's step costs {cost:.3f}x its twin's", rows


def training_step(backbone: str, shape: tuple[int, int, int], branch: str) -> Callable[[], object]:
    """One step of Adam on a batch of random images."""
    torch.manual_seed(0)
    template, backend = load_circuit("full", NUM_QUBITS), load_backend("aer_noisy", NUM_QUBITS)
    model = HybridClassifier(
        template, backend, num_classes=10, input_shape=shape, backbone=backbone, branch=branch
    )
    optimiser = torch.optim.Adam(model.parameters())
    images, labels = torch.rand(BATCH, *shape), torch.randint(10, (BATCH,))

    def call() -> object:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        torch.autograd.backward(loss)
        optimiser.step()
        return loss

    return call
