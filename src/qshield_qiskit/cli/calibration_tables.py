"""Calibrations, and what moved between two, as tables for people."""

from __future__ import annotations

from rich.table import Table

from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.calibration_changes import Change, Drift

MICROSECONDS, NANOSECONDS, PERCENT = 1e6, 1e9, 100.0


def qubit_table(calibration: Calibration) -> Table:
    """Show the qubits: where they lie, how long they remember, how well they are read."""
    pulses = {gate.qubits[0]: gate.error for gate in calibration.gates if gate.name in {"sx", "u2"}}
    table = _table(f"{calibration.device}, calibrated {calibration.taken_at:%Y-%m-%d}")
    for heading in ("qubit", "on device", "T1 (µs)", "T2 (µs)", "P(1|0) %", "P(0|1) %", "pulse error %"):
        table.add_column(heading, justify="right")
    for i, qubit in enumerate(calibration.qubits):
        table.add_row(
            str(i),
            str(qubit.physical),
            _scaled(qubit.t1, MICROSECONDS, 1),
            _scaled(qubit.t2, MICROSECONDS, 1),
            _scaled(qubit.prob_meas1_prep0, PERCENT, 2),
            _scaled(qubit.prob_meas0_prep1, PERCENT, 2),
            _scaled(pulses.get(i), PERCENT, 3),
        )
    return table


def gate_table(calibration: Calibration) -> Table:
    """Show the couplings: gate, error and length; a gate that works both ways is shown once."""
    table = _table("couplings")
    for heading in ("pair", "gate", "error %", "length (ns)"):
        table.add_column(heading, justify="left" if heading == "gate" else "right")
    shown = set()
    for gate in calibration.gates:
        pair = frozenset(gate.qubits)
        if len(pair) == 2 and pair not in shown:
            shown.add(pair)
            low, high = sorted(pair)
            error, length = _scaled(gate.error, PERCENT, 3), _scaled(gate.length, NANOSECONDS, 0)
            table.add_row(f"{low}-{high}", gate.name, error, length)
    return table


def change_tables(drift: Drift, title: str) -> tuple[Table, Table]:
    """Show what moved: before, after and the relative change, for qubits and for pairs, by place on the device."""
    qubits = _table(title)
    for heading in ("qubit", "T1 (µs)", "T2 (µs)", "P(1|0) %", "P(0|1) %"):
        qubits.add_column(heading, justify="right", no_wrap=True)
    for qubit in drift.qubits:
        t1, t2, *readout = qubit.figures.values()
        times = [_moved(change, MICROSECONDS, 0) for change in (t1, t2)]
        qubits.add_row(str(qubit.physical), *times, *(_moved(change, PERCENT, 2) for change in readout))
    pairs = _table("two-qubit gates")
    for heading in ("pair", "error %"):
        pairs.add_column(heading, justify="right")
    for pair in drift.pairs:
        pairs.add_row("-".join(map(str, pair.physical)), _moved(pair.error, PERCENT, 3))
    return qubits, pairs


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )


def _scaled(value: float | None, factor: float, digits: int) -> str:
    return "?" if value is None else f"{value * factor:.{digits}f}"


def _moved(change: Change, factor: float, digits: int) -> str:
    before, after = (_scaled(value, factor, digits) for value in (change.before, change.after))
    relative = "" if change.relative is None else f" {change.relative:+.0%}"
    return f"{before} → {after}{relative}"
