"""The layer on ideal, paper and calibrated noise, beside the hand-written yardstick and PennyLane."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor

from benchmarks.timing import Timing, take_turns
from benchmarks.yardstick import Yardstick
from qshield_qiskit import load_backend, load_circuit
from qshield_qiskit.quantum.network import ExactQNN

BATCH, NUM_QUBITS, LAYERS = 128, 4, 2
BACKENDS = ("paper_noise", "aer_noisy", "aer_ideal")
Run = Callable[[Tensor, Tensor], Tensor]  # angles (B, 12) and weights (24,) to outcomes (B, 16)


def measure() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield a titled list of result rows for each table."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(BATCH, 3 * NUM_QUBITS, generator=generator, dtype=torch.float64) * 6 - 3
    w = torch.rand(3 * NUM_QUBITS * LAYERS, generator=generator, dtype=torch.float64) * 6 - 3
    for work in ("i", "ii", "iii"):
        candidates = {
            ("qshield", backend, False): task(work, ours(backend, reupload=False), x, w)
            for backend in BACKENDS
        }
        candidates["qshield", "aer_noisy", True] = task(work, ours("aer_noisy", reupload=True), x, w)
        candidates["yardstick", "paper_noise", False] = yardstick_task(work, x, w)
        candidates |= pennylane_tasks(work, x, w)
        by_name = {" ".join(map(str, key)): call for key, call in candidates.items()}
        timings = dict(zip(candidates, take_turns(by_name).values(), strict=True))
        yield (
            f"({work}) 4 qubits, full entanglement, {LAYERS} layers",
            [row(key, work, timing, timings) for key, timing in timings.items()],
        )


def ours(backend: str, *, reupload: bool) -> Run:
    """The quantum layer's network on a backend."""
    template = load_circuit("full", NUM_QUBITS, reps=LAYERS, reupload=reupload)
    return ExactQNN(template, load_backend(backend, NUM_QUBITS)).evaluate


def task(work: str, run: Run, x: Tensor, w: Tensor) -> Callable[[], object]:
    """One unit of work with gradients as far as the work wants them."""
    x, w = x.clone().requires_grad_(work != "i"), w.clone().requires_grad_(work == "iii")
    wanted = [tensor for tensor in (x, w) if tensor.requires_grad]

    def call() -> object:
        with torch.set_grad_enabled(bool(wanted)):
            outputs = run(x, w)
        return torch.autograd.grad(outputs.square().sum(), wanted) if wanted else outputs

    return call


def yardstick_task(work: str, x: Tensor, w: Tensor) -> Callable[[], object]:
    """The same work by hand; like ours, it fuses anew only when the weights are trained."""
    yardstick = Yardstick()
    shaped = w.reshape(LAYERS, NUM_QUBITS, 3)
    kept = yardstick.fuse(shaped)

    def run(x: Tensor, w: Tensor) -> Tensor:
        fused = yardstick.fuse(w.reshape(shaped.shape)) if w.requires_grad else kept
        return yardstick.forward(x.reshape(BATCH, NUM_QUBITS, 3), fused)

    # Ours has qubit 0 least significant, the yardstick most: reverse the bits before comparing.
    reverse = [int(f"{i:04b}"[::-1], 2) for i in range(2**NUM_QUBITS)]
    torch.testing.assert_close(
        run(x, w)[:, reverse], ours("paper_noise", reupload=False)(x, w), atol=1e-10, rtol=0
    )
    return task(work, run, x, w)


def pennylane_tasks(work: str, x: Tensor, w: Tensor) -> dict[tuple[str, str, bool], Callable[[], object]]:
    """PennyLane's broadcast density matrix with backpropagation, on the paper's noise; nothing if not installed."""
    try:
        from benchmarks.pennylane_peer import density_matrix  # noqa: PLC0415
    except ImportError:
        return {}
    return {("pennylane default.mixed", "paper_noise", False): task(work, density_matrix(LAYERS), x, w)}


def row(
    key: tuple[str, str, bool], work: str, timing: Timing, timings: dict[tuple[str, str, bool], Timing]
) -> dict[str, Any]:
    """One line of results.json; the ratio is to our own time on the paper's noise."""
    engine, noise, reupload = key
    package = {"pennylane default.mixed": "pennylane", "qshield": "qshield-qiskit"}.get(engine)
    return {
        "engine": engine,
        "version": version(package) if package else "",
        "work": work,
        "qubits": NUM_QUBITS,
        "depth": LAYERS,
        "batch": BATCH,
        "noise": noise + (" re-uploading" if reupload else ""),
        "reupload": reupload,
        "dtype": "float64",
        "threads": torch.get_num_threads(),
        "milliseconds": timing.milliseconds,
        "spread": timing.spread,
        "ratio": timing.milliseconds / timings["qshield", "paper_noise", False].milliseconds,
    }
