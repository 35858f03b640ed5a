"""Cheapest circuits of CX gates on a few coupled qubits, found by looking at all of them.

A circuit of CX gates computes an invertible linear map of bits. On 4 qubits there are 20,160 such maps, few
enough to walk them all, from the identity outwards, cheapest first.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from functools import cache

MAX_QUBITS = 4

LinearMap = tuple[int, ...]
"""Row i, read as a bit mask, says which input bits add up to output bit i."""

Gates = list[tuple[int, int]]
"""CX gates in order, each as (control, target)."""


class CnotTable:
    """For every linear map of bits, the cheapest CX circuit that computes it on given couplings.

    Args:
        num_qubits: 1 to `MAX_QUBITS`.
        costs: What a CX on a coupled pair of qubits costs, in either direction.
    """

    def __init__(self, num_qubits: int, costs: Mapping[tuple[int, int], float]) -> None:
        identity = tuple(1 << i for i in range(num_qubits))
        self._cost: dict[LinearMap, float] = {identity: 0.0}
        self._last: dict[LinearMap, tuple[int, int]] = {}
        queue = [(0.0, identity)]
        while queue:
            cost, linear = heapq.heappop(queue)
            if cost > self._cost[linear]:
                continue
            for pair, step in costs.items():
                for control, target in (pair, pair[::-1]):
                    reached = _after(linear, control, target)
                    if cost + step < self._cost.get(reached, float("inf")):
                        self._cost[reached] = cost + step
                        self._last[reached] = (control, target)
                        heapq.heappush(queue, (cost + step, reached))

    def cost(self, linear: LinearMap) -> float:
        """Total cost of the cheapest circuit; infinite if the couplings do not connect what has to meet."""
        return self._cost.get(linear, float("inf"))

    def gates(self, linear: LinearMap) -> Gates:
        """The cheapest circuit itself."""
        backwards = []
        while linear in self._last:
            gate = self._last[linear]
            backwards.append(gate)
            linear = _after(linear, *gate)  # a CX undoes itself
        return backwards[::-1]


@cache
def cnot_table(num_qubits: int, costs: tuple[tuple[tuple[int, int], float], ...]) -> CnotTable:
    """Make a table, or return the one made before; `costs` as the items of a mapping."""
    return CnotTable(num_qubits, dict(costs))


def _after(linear: LinearMap, control: int, target: int) -> LinearMap:
    rows = list(linear)
    rows[target] ^= rows[control]
    return tuple(rows)
