"""Which representation and which fusions are cheapest: an estimate, made once when a circuit is compiled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.quantum.blocks import Block, GroupedCircuit

Engine = Literal["auto", "pauli_transfer", "statevector", "trajectories"]

NOMINAL_BATCH = 128
MAX_NOISY_QUBITS = 8
"""Beyond this many qubits 4^n coefficients no longer pay, and noise is sampled by trajectories."""

CALL = 50_000
"""What one tensor operation costs before it has done anything, in multiply-adds."""

MAX_FUSED_ENTRIES = 2**25
"""No fused matrix grows beyond this many entries (256 MiB in float64)."""


@dataclass(frozen=True)
class Plan:
    """How a circuit will be run.

    `fuse[i]` says whether the i-th segment's image-independent part becomes one matrix. `multiply_adds` is the estimate
    for one forward pass of 128 images while the weights are being trained.
    """

    engine: Engine
    fuse: tuple[bool, ...]
    multiply_adds: float


def plan(
    circuit: GroupedCircuit, num_outputs: int, noisy: bool, samples: int, engine: Engine = "auto"
) -> Plan:
    """Choose an engine and its fusions.

    Args:
        circuit: The grouped circuit.
        num_outputs: Length of the output.
        noisy: Whether channels act before the readout.
        samples: Trajectories, where noise is sampled.
        engine: One engine to force, or "auto".

    Returns:
        The cheapest plan among those that are exact, or trajectories for noisy circuits beyond 8 qubits.

    Raises:
        InputError: No such engine, or a statevector was asked for where there is noise.
    """
    if engine not in get_args(Engine):
        raise unknown("engine", engine, get_args(Engine))
    if engine == "statevector" and noisy:
        raise InputError(
            "engine 'statevector' cannot hold noise; use 'pauli_transfer' (exact) or 'trajectories' (sampled)"
        )
    if engine != "auto":
        candidates: tuple[Engine, ...] = (engine,)
    elif not noisy:
        candidates = ("pauli_transfer", "statevector")
    else:
        candidates = ("pauli_transfer",) if len(circuit.prefixes) <= MAX_NOISY_QUBITS else ("trajectories",)
    plans = [
        _estimate(circuit, num_outputs, samples if name == "trajectories" else 1, name) for name in candidates
    ]
    return min(plans, key=lambda each: each.multiply_adds)


def _estimate(circuit: GroupedCircuit, num_outputs: int, samples: int, engine: Engine) -> Plan:
    transfer = engine == "pauli_transfer"
    dimension, width = (4, 1) if transfer else (2, 4)  # a complex product is four real ones
    size = dimension ** len(circuit.prefixes)
    scale = width * samples

    def pass_through(blocks: Sequence[Block], states: int) -> float:
        return sum(CALL + float(scale * states * size * dimension ** len(block.qubits)) for block in blocks)

    fuse: list[bool] = []
    total = 0.0 if transfer else 40.0 * CALL  # squaring and ordering amplitudes takes calls of its own
    for i, segment in enumerate(circuit.segments):
        last = i == len(circuit.segments) - 1
        rows = num_outputs if last and transfer else size
        direct = pass_through(segment.independent, NOMINAL_BATCH)
        if last and transfer:
            direct += CALL + scale * NOMINAL_BATCH * rows * size
        build = 0.0 if segment.fixed else pass_through(segment.independent, rows)
        fused = CALL + build + scale * NOMINAL_BATCH * rows * size
        fuse.append(
            bool(segment.independent) and fused <= direct and samples * rows * size <= MAX_FUSED_ENTRIES
        )
        total += pass_through(segment.dependent, NOMINAL_BATCH) + (fused if fuse[-1] else direct)
    if transfer and not circuit.segments:  # the readout alone, on all prefixes
        total += CALL + scale * NOMINAL_BATCH * num_outputs * size
    return Plan(engine, tuple(fuse), total)
