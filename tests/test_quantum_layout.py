"""The choice of qubits, against looking at every subset."""

import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qshield_qiskit.devices.snapshot import fake_device, take_snapshot
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum import layout
from qshield_qiskit.quantum.calibration import Calibration, GateCalibration, QubitCalibration

ERRORS = st.floats(0, 0.2)


def device(readout, pulses, couplings):
    """A calibration from readout and sx errors a qubit, and two-qubit errors a pair."""
    qubits = tuple(
        QubitCalibration(
            physical=i, t1=1e-4, t2=1e-4, prob_meas1_prep0=error, prob_meas0_prep1=error, readout_length=1e-6
        )
        for i, error in enumerate(readout)
    )
    errors = {**{("sx", (i,)): e for i, e in pulses.items()}, **{("cz", p): e for p, e in couplings.items()}}
    gates = tuple(GateCalibration(name=n, qubits=q, error=e, length=1e-8) for (n, q), e in errors.items())
    return Calibration(
        device="made_up", taken_at=datetime(2026, 1, 1, tzinfo=UTC), dt=1e-9, qubits=qubits, gates=gates
    )


@st.composite
def devices(draw):
    n = draw(st.integers(2, 6))
    pairs = [pair for pair in itertools.combinations(range(n), 2) if draw(st.booleans())]
    broken = draw(st.sets(st.integers(0, n - 1), max_size=1))
    return device(
        [draw(ERRORS) for _ in range(n)],
        {i: draw(ERRORS) for i in range(n) if i not in broken},
        {pair: draw(ERRORS) for pair in pairs},
    )


def cheapest_tree(subset, couplings):
    """Prim's algorithm; None if the subset is not connected."""
    inside, total = {subset[0]}, 0.0
    while len(inside) < len(subset):
        steps = [(e, p) for p, e in couplings.items() if set(p) <= set(subset) and len(inside & set(p)) == 1]
        if not steps:
            return None
        error, pair = min(steps)
        inside |= set(pair)
        total += error
    return total


def cost(calibration, subset):
    pulses = {gate.qubits[0]: gate.error for gate in calibration.gates if gate.name == "sx"}
    couplings = {gate.qubits: gate.error for gate in calibration.gates if gate.name == "cz"}
    tree = cheapest_tree(subset, couplings)
    if tree is None or not set(subset) <= pulses.keys():
        return None
    return tree + sum(pulses[i] + calibration.qubits[i].readout_error for i in subset)


@given(calibration=devices(), data=st.data())
@settings(max_examples=150)
def test_no_subset_is_cheaper(calibration, data):
    size = data.draw(st.integers(1, calibration.num_qubits))
    subsets = itertools.combinations(range(calibration.num_qubits), size)
    costs = [c for c in (cost(calibration, subset) for subset in subsets) if c is not None]
    if costs:
        assert cost(calibration, tuple(calibration.best_subset(size))) == pytest.approx(min(costs), abs=1e-12)
    else:
        with pytest.raises(InputError, match=f"no {size} working qubits of made_up are connected"):
            calibration.best_subset(size)


@given(calibration=devices(), data=st.data())
@settings(max_examples=50)
def test_the_greedy_search_finds_connected_subsets_wherever_there_are_any(calibration, data):
    size = data.draw(st.integers(1, calibration.num_qubits))
    qubits, couplings = layout._qubit_costs(calibration), layout._coupling_costs(calibration)
    greedy, exact = layout._greedy(qubits, couplings, size), layout._search(qubits, couplings, size)
    assert (greedy is None) == (exact is None)
    if greedy is not None and exact is not None:
        assert len(greedy) == size
        assert cost(calibration, tuple(greedy)) >= cost(calibration, tuple(exact)) - 1e-12


def test_a_chain_comes_out_as_a_chain():
    calibration = device([0.01] * 4, dict.fromkeys(range(4), 0.0), {(2, 0): 0.01, (0, 3): 0.01, (3, 1): 0.01})
    assert calibration.best_subset(4) == (1, 3, 0, 2)
    assert calibration.reduce((1, 3, 0, 2)).coupling == ((1, 0), (2, 1), (3, 2))


@pytest.mark.parametrize("size", [1, 4, 8, 10, 40])
def test_a_device_of_156_qubits(size):
    snapshot = take_snapshot(fake_device("boston"))
    chosen = snapshot.best_subset(size)
    assert len(set(chosen)) == size
    assert chosen == snapshot.best_subset(size)
    reached, couplings = {chosen[0]}, snapshot.coupling
    for _ in chosen:
        reached |= {b for a, b in couplings if a in reached and b in chosen}
    assert reached == set(chosen)


@pytest.mark.parametrize("size", [0, 6, -1])
def test_a_size_that_the_device_does_not_have(size):
    with pytest.raises(InputError, match=rf"fake_manila has 5 qubits, not {size}; choose 1 to 5"):
        take_snapshot(fake_device("manila")).best_subset(size)
