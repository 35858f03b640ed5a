"""What moves between two calibrations, matched by place on the device."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qshield_qiskit.devices import calibrations
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration_changes import FIGURES, Change, compare

TORINO = calibrations.load("fake_torino_6q")


def worse(calibration, factor):
    """Multiply every error of a calibration and divide every time."""
    qubits = [
        qubit.model_copy(
            update={
                "t1": qubit.t1 / factor,
                "t2": qubit.t2 / factor,
                "prob_meas1_prep0": qubit.prob_meas1_prep0 * factor,
                "prob_meas0_prep1": qubit.prob_meas0_prep1 * factor,
            }
        )
        for qubit in calibration.qubits
    ]
    gates = [gate.model_copy(update={"error": gate.error * factor}) for gate in calibration.gates]
    return calibration.model_copy(update={"qubits": tuple(qubits), "gates": tuple(gates)})


@given(st.permutations(range(6)), st.floats(1.01, 3.0))
def test_every_figure_is_compared_whatever_the_order_of_the_qubits(order, factor):
    drift = compare(TORINO, worse(TORINO, factor).reduce(order))
    assert [qubit.physical for qubit in drift.qubits] == sorted(TORINO.physical_qubits)
    for qubit in drift.qubits:
        assert tuple(qubit.figures) == FIGURES
        assert qubit.figures["t1"].relative == pytest.approx(1 / factor - 1)
        assert qubit.figures["prob_meas1_prep0"].relative == pytest.approx(factor - 1)
    assert len(drift.pairs) == len({frozenset(pair) for pair in TORINO.coupling})
    assert all(pair.error.relative == pytest.approx(factor - 1) for pair in drift.pairs)
    assert drift.only_before == drift.only_after == ()


def test_qubits_of_one_alone_are_named_and_not_compared():
    kept = random.Random(0).sample(range(6), 4)
    drift = compare(TORINO, TORINO.reduce(kept))
    assert [qubit.physical for qubit in drift.qubits] == sorted(TORINO.physical_qubits[i] for i in kept)
    assert set(drift.only_before) == set(TORINO.physical_qubits) - {TORINO.physical_qubits[i] for i in kept}
    assert all(set(pair.physical) <= {qubit.physical for qubit in drift.qubits} for pair in drift.pairs)


def test_a_coupling_that_broke_has_no_later_error():
    pair = TORINO.coupling[0]
    gates = tuple(gate for gate in TORINO.gates if set(gate.qubits) != set(pair))
    drift = compare(TORINO, TORINO.model_copy(update={"gates": gates}))
    (broken,) = (found for found in drift.pairs if found.error.after is None)
    assert set(broken.physical) == {TORINO.physical_qubits[i] for i in pair}
    assert broken.error.before > 0
    assert broken.error.relative is None


def test_a_change_from_nothing_has_no_relative_value():
    assert Change(None, 1.0).relative is Change(0.0, 1.0).relative is Change(1.0, None).relative is None
    assert Change(2.0, 3.0).relative == 0.5


def test_calibrations_without_a_common_qubit_are_refused():
    with pytest.raises(InputError, match="no qubit in common"):
        compare(TORINO.reduce([0, 1]), TORINO.reduce([2, 3]))
