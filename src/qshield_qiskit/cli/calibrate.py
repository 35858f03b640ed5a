"""Write the calibration of a device's best connected qubits, or show what moved between two."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qshield_qiskit.cli.calibration_tables import change_tables, gate_table, qubit_table
from qshield_qiskit.cli.console import Json, console, emit, stdout
from qshield_qiskit.devices import calibrations
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration
from qshield_qiskit.quantum.calibration_changes import compare


def command(
    device: Annotated[
        str | None,
        typer.Argument(
            help="A snapshot, such as fake_boston, or a device of your account, such as ibm_torino."
        ),
    ] = None,
    qubits: Annotated[int, typer.Option(min=1, help="How many connected qubits to keep.")] = 6,
    output: Annotated[
        Path | None,
        typer.Option(
            help=f"File to write; {calibrations.FOLDER}/<device>_<n>q.json if left out, dated for a device of IBM's.",
            dir_okay=False,
        ),
    ] = None,
    diff: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="A B", help="Show what moved from A to B: calibrations, files, or whole devices."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Choose the connected qubits of least total error on a device and write their calibration as JSON.

    The file is a dated snapshot: T1, T2, readout and gate errors, lengths and couplings. `backend=aer_noisy
    backend.calibration=<name>` then simulates its noise. With --diff nothing is written: two calibrations are
    compared, matched by the qubits' places on the device.
    """
    if diff is not None and device is None:
        _show_changes(*diff, json=json)
    elif device is not None and diff is None:
        _write(device, qubits, output, json=json)
    else:
        raise InputError("give a device to calibrate, such as fake_boston, or --diff A B")


def _write(device: str, qubits: int, output: Path | None, *, json: bool) -> None:
    whole = calibrations.of_device(device, qubits)
    calibration = whole.reduce(whole.best_subset(qubits))
    file = output or calibrations.file_for(calibration)
    calibration.to_json(file)
    if json:
        emit({"file": file, **calibration.model_dump(mode="json")})
        return
    stdout.print(qubit_table(calibration), gate_table(calibration), sep="\n")
    stdout.print(f"written to [cyan]{file}[/]")
    name = file.stem if output is None else file
    console.print(f"next: qshield train backend=aer_noisy backend.calibration={name}")


def _show_changes(before: str, after: str, *, json: bool) -> None:
    old, new = calibrations.load_whole(before), calibrations.load_whole(after)
    found = compare(old, new)
    if json:
        emit({"before": _named(before, old), "after": _named(after, new), **found.as_dict()})
        return
    title = f"{old.device}, {old.taken_at:%Y-%m-%d %H:%M} → {new.device}, {new.taken_at:%Y-%m-%d %H:%M}"
    stdout.print(*change_tables(found, title), sep="\n")
    for name, alone in ((before, found.only_before), (after, found.only_after)):
        if alone:
            console.print(f"only in {name}: {len(alone)} qubits")


def _named(name: str, calibration: Calibration) -> dict[str, str]:
    return {"name": name, "device": calibration.device, "taken_at": calibration.taken_at.isoformat()}
