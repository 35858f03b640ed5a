"""Which qubits of a calibrated device to use."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

from qshield_qiskit.errors import InputError

if TYPE_CHECKING:
    from qshield_qiskit.quantum.calibration import Calibration

EXACT_UP_TO = 10
"""Largest subset that is searched exhaustively; beyond it, the best of greedy growths from every qubit."""

PULSES = ("sx", "u2")
"""The pulse that a device makes its one-qubit gates of: sx, or u2 before 2021."""


def best_subset(calibration: Calibration, num_qubits: int) -> tuple[int, ...]:
    """Choose connected qubits of least total error.

    The cost of a subset S is

        sum over its qubits of (readout error + sx error)  +  the cheapest tree of two-qubit gates connecting
        it

    Best-first search over connected subsets, each grown qubit by qubit through its cheapest coupling: since
    growing never lowers the cost, the first subset of the wanted size to be reached is the best one.

    Args:
        calibration: The device.
        num_qubits: How many qubits to choose.

    Returns:
        Positions in `calibration.qubits`: along the chain if the subset is one, else from one of its leaves.

    Raises:
        InputError: The device has too few qubits, or too few that work and are connected.
    """
    if not 1 <= num_qubits <= calibration.num_qubits:
        raise InputError(
            f"{calibration.device} has {calibration.num_qubits} qubits, not {num_qubits}; "
            f"choose 1 to {calibration.num_qubits}"
        )
    costs, couplings = _qubit_costs(calibration), _coupling_costs(calibration)
    subset = (_search if num_qubits <= EXACT_UP_TO else _greedy)(costs, couplings, num_qubits)
    if subset is None:
        raise InputError(
            f"no {num_qubits} working qubits of {calibration.device} are connected; "
            "try fewer qubits or another device"
        )
    return _in_order(subset, couplings)


Couplings = dict[int, dict[int, float]]


def _qubit_costs(calibration: Calibration) -> dict[int, float]:
    """Readout error plus error of the one-qubit pulse, for every qubit whose pulse works."""
    names = {gate.name for gate in calibration.gates}
    pulse = next((name for name in PULSES if name in names), None)
    if pulse is None:
        return {i: qubit.readout_error for i, qubit in enumerate(calibration.qubits)}
    errors = {gate.qubits[0]: gate.error or 0.0 for gate in calibration.gates if gate.name == pulse}
    return {i: errors[i] + calibration.qubits[i].readout_error for i in sorted(errors)}


def _coupling_costs(calibration: Calibration) -> Couplings:
    """Error of the best two-qubit gate of every coupled pair, in both directions."""
    couplings: Couplings = {}
    for gate in calibration.gates:
        if len(gate.qubits) == 2:
            error = gate.error or 0.0
            for a, b in (gate.qubits, gate.qubits[::-1]):
                couplings.setdefault(a, {})[b] = min(error, couplings.get(a, {}).get(b, error))
    return couplings


def _search(costs: dict[int, float], couplings: Couplings, size: int) -> frozenset[int] | None:
    cheapest = min(costs.values(), default=0.0) + min(
        (error for near in couplings.values() for error in near.values()), default=0.0
    )
    # (lower bound of the full subset's cost, the subset, its cost): sorted tuples make ties deterministic
    queue: list[tuple[float, tuple[int, ...], float]] = [
        (cost + (size - 1) * cheapest, (qubit,), cost) for qubit, cost in costs.items()
    ]
    heapq.heapify(queue)
    done = set()
    while queue:
        bound, subset, cost = heapq.heappop(queue)
        if len(subset) == size:
            return frozenset(subset)
        if subset in done:
            continue
        done.add(subset)
        for qubit, error in _neighbours(subset, costs, couplings).items():
            step = costs[qubit] + error
            grown = tuple(sorted((*subset, qubit)))
            if grown not in done:
                heapq.heappush(queue, (bound + step - cheapest, grown, cost + step))
    return None


def _greedy(costs: dict[int, float], couplings: Couplings, size: int) -> frozenset[int] | None:
    best: tuple[float, list[int]] | None = None
    for start, cost in costs.items():
        subset, total = [start], cost
        while len(subset) < size:
            steps = _neighbours(tuple(subset), costs, couplings)
            if not steps:
                break
            qubit = min(steps, key=lambda near: (costs[near] + steps[near], near))
            subset.append(qubit)
            total += costs[qubit] + steps[qubit]
        if len(subset) == size and (best is None or total < best[0]):
            best = (total, subset)
    return None if best is None else frozenset(best[1])


def _neighbours(subset: tuple[int, ...], costs: dict[int, float], couplings: Couplings) -> dict[int, float]:
    """Working qubits next to a subset, each with the error of the best gate that reaches it."""
    reach: dict[int, float] = {}
    for inside in subset:
        for outside, error in couplings.get(inside, {}).items():
            if outside in costs and outside not in subset:
                reach[outside] = min(error, reach.get(outside, error))
    return reach


def _in_order(subset: frozenset[int], couplings: Couplings) -> tuple[int, ...]:
    """Walk the subset depth first, from its least connected qubit, so that a chain comes out as a chain."""
    near = {qubit: sorted(subset & couplings.get(qubit, {}).keys()) for qubit in subset}
    stack, order = [min(subset, key=lambda qubit: (len(near[qubit]), qubit))], []
    while stack:
        qubit = stack.pop()
        if qubit not in order:
            order.append(qubit)
            stack.extend(reversed(near[qubit]))
    return tuple(order)
