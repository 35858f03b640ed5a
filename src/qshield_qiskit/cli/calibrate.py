"""Choose a device's best connected qubits and write their calibration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from qshield_qiskit.cli.console import Json, console, emit, stdout
from qshield_qiskit.devices.calibrations import FOLDER
from qshield_qiskit.devices.snapshot import fake_device, take_snapshot
from qshield_qiskit.quantum.calibration import Calibration


def command(
    device: Annotated[str, typer.Argument(help="A device snapshot, such as fake_boston or fake_torino.")],
    qubits: Annotated[int, typer.Option(min=1, help="How many connected qubits to keep.")] = 6,
    output: Annotated[
        Path | None,
        typer.Option(help=f"File to write; {FOLDER}/<device>_<n>q.json if left out.", dir_okay=False),
    ] = None,
    json: Json = False,
) -> None:
    """Choose the connected qubits of least total error on a device and write their calibration as JSON.

    The file is a dated snapshot: T1, T2, readout and gate errors, lengths and couplings. `backend=aer_noisy
    backend.calibration=<name>` then simulates its noise.
    """
    snapshot = take_snapshot(fake_device(device))
    calibration = snapshot.reduce(snapshot.best_subset(qubits))
    file = output or FOLDER / f"{calibration.device}_{qubits}q.json"
    calibration.to_json(file)
    if json:
        emit({"file": file, **calibration.model_dump(mode="json")})
        return
    stdout.print(qubit_table(calibration), gate_table(calibration), sep="\n")
    stdout.print(f"written to [cyan]{file}[/]")
    name = file.stem if output is None else file
    console.print(f"next: qshield train backend=aer_noisy backend.calibration={name}")


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
            _scaled(qubit.t1, 1e6, 1),
            _scaled(qubit.t2, 1e6, 1),
            _scaled(qubit.prob_meas1_prep0, 100, 2),
            _scaled(qubit.prob_meas0_prep1, 100, 2),
            _scaled(pulses.get(i), 100, 3),
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
            error, length = _scaled(gate.error, 100, 3), _scaled(gate.length, 1e9, 0)
            table.add_row(f"{low}-{high}", gate.name, error, length)
    return table


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim"
    )


def _scaled(value: float | None, factor: float, digits: int) -> str:
    return "?" if value is None else f"{value * factor:.{digits}f}"
