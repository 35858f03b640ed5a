"""What a command on a real device would cost, and the question whether it may."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer
from rich.table import Table

from qshield_qiskit.cli.console import console
from qshield_qiskit.devices.cost import JOB_OVERHEAD, Cost
from qshield_qiskit.devices.outcomes import Plan
from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration


def plan_table(plan: Plan, device: str, calibration: Calibration) -> Table:
    """Show what would be sent to a device, and what it would cost."""
    table = Table(
        title=f"{device}, calibrated {calibration.taken_at:%Y-%m-%d %H:%M} UTC", title_justify="left"
    )
    table.title_style, table.box, table.show_header = "bold", None, False
    table.add_column(style="dim", no_wrap=True)
    table.add_column()
    table.add_row("in the ledger", f"{len(plan.jobs)} jobs, which cost nothing more")
    cost = plan.total
    if cost is None:
        table.add_row("to be sent", "nothing")
        return table
    rows = {
        "to be sent": f"{cost.jobs} jobs of {cost.sets:,} sets of angles in all",
        "circuits": f"{cost.circuits} for each set, {cost.shots:,} shots each, {cost.executions:,} executions in all",
        "transpiled": f"depth {cost.depth}, {cost.two_qubit_gates} two-qubit gates",
        "on qubits": ", ".join(map(str, plan.layout or ())),
        "fidelity": f"{cost.fidelity:.3f}, the chance that one run meets no error",
        "QPU time": f"about {cost.seconds:,.1f} s, of which {cost.jobs * JOB_OVERHEAD:,.0f} s to prepare the device; "
        "an estimate: IBM's bill counts",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def may_pay(device: str, *, yes: bool) -> Callable[[Cost], bool]:
    """Make the question that an executor asks before it sends its first job.

    Args:
        device: Name of the device.
        yes: The answer was given on the command line.

    Returns:
        Takes the cost, and tells whether to go on. Where nobody can answer, it raises an `InputError`.
    """

    def ask(cost: Cost) -> bool:
        what = f"{cost.jobs} job{'s' * (cost.jobs != 1)}, about {cost.seconds:,.1f} QPU seconds on {device}"
        if yes:
            console.print(f"sending {what}", markup=False)
            return True
        if not sys.stdin.isatty():
            raise InputError(
                f"nothing was sent: this would send {what}, and nobody is here to agree; say --yes"
            )
        return typer.confirm(f"send {what}?", err=True)

    return ask
