"""The search for the way of running a circuit on a device that is most likely to succeed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from qiskit import QuantumCircuit
from qiskit.transpiler import Target, generate_preset_pass_manager

from qshield_qiskit.devices.compiling.respelling import spellings
from qshield_qiskit.devices.compiling.success import log_fidelity, log_success
from qshield_qiskit.quantum.calibration import Calibration

SEEDS = range(6)
MAX_ROUNDS = 4


def best_routing(circuit: QuantumCircuit, calibration: Calibration, target: Target) -> QuantumCircuit:
    """Transpile a circuit in many ways and keep the one of highest estimated success.

    First every spelling of its CX blocks, in the layout it was written for or else under several seeds of
    Qiskit's layout search; then, from the best of these, pairs of qubits change places in the initial layout
    as long as that helps. All of it is deterministic.

    Args:
        circuit: Standard gates, final measurements.
        calibration: The device's figures.
        target: The same device as Qiskit's transpiler sees it.

    Returns:
        The circuit in the device's gates, scheduled as late as possible, with its layout.
    """
    tried = []
    for spelling in spellings(circuit, _coupling_costs(calibration), calibration.num_qubits):
        for seed in SEEDS if spelling.layout is None else SEEDS[:1]:
            found = _transpiled(spelling.circuit, target, seed, spelling.layout)
            tried.append((log_success(found, calibration), found, spelling.circuit))
    success, best, spelled = max(tried, key=lambda attempt: attempt[0])
    for _ in range(MAX_ROUNDS):
        layout = best.layout.initial_index_layout(filter_ancillas=True)
        for near in _swaps(layout, calibration.num_qubits):
            found = _transpiled(spelled, target, SEEDS[0], near)
            tried.append((log_success(found, calibration), found, spelled))
        before = success
        success, best, _ = max(tried, key=lambda attempt: attempt[0])
        if success == before:
            break
    return best


def _coupling_costs(calibration: Calibration) -> dict[tuple[int, int], float]:
    """What the better direction of each coupled pair's two-qubit gate takes from `log_success`."""
    costs: dict[tuple[int, int], float] = {}
    for gate in calibration.gates:
        if len(gate.qubits) == 2:
            pair = (min(gate.qubits), max(gate.qubits))
            costs[pair] = min(-log_fidelity(gate.error or 0.0), costs.get(pair, float("inf")))
    return costs


def _swaps(layout: Sequence[int], num_physical: int) -> Iterator[list[int]]:
    """Layouts that differ from a given one by two physical qubits having changed places."""
    for a, b in itertools.combinations(range(num_physical), 2):
        if a in layout or b in layout:
            trade = {a: b, b: a}
            yield [trade.get(qubit, qubit) for qubit in layout]


def _transpiled(
    circuit: QuantumCircuit, target: Target, seed: int, layout: Sequence[int] | None
) -> QuantumCircuit:
    passes = generate_preset_pass_manager(
        optimization_level=3,
        target=target,
        initial_layout=None if layout is None else list(layout),
        seed_transpiler=seed,
        scheduling_method="alap",
    )
    return passes.run(circuit)
