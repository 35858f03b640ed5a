"""From a device, real or faked, to its calibration."""

from __future__ import annotations

import inspect
from collections import Counter
from datetime import UTC
from typing import Any

from pydantic import ValidationError
from qiskit.circuit import Gate
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import BackendV2
from qiskit.transpiler import Target
from qiskit_ibm_runtime import fake_provider
from qiskit_ibm_runtime.fake_provider.fake_backend import FakeBackendV2

from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.quantum.calibration import Alignment, Calibration, GateCalibration, QubitCalibration

NOT_MEASURED = frozenset({"fake_fractional", "fake_nighthawk"})
"""Fakes of qiskit-ibm-runtime that describe no calibrated device."""

OPTIONAL_GATES = frozenset({"rx", "rzz"})
"""IBM's fractional gates: off unless asked for on the devices, and not calibrated for arbitrary angles."""

_STANDARD = get_standard_gate_name_mapping().keys()


def fake_devices() -> dict[str, type[FakeBackendV2]]:
    """The device snapshots that qiskit-ibm-runtime ships, by name, none of them loaded."""
    classes = [item for item in vars(fake_provider).values() if inspect.isclass(item)]
    fakes = [item for item in classes if issubclass(item, FakeBackendV2) and hasattr(item, "backend_name")]
    named = {fake.backend_name: fake for fake in fakes}
    return {name: named[name] for name in sorted(named) if name not in NOT_MEASURED}


def fake_device(name: str) -> FakeBackendV2:
    """Load the snapshot of a device.

    Args:
        name: As in `fake_devices`; a missing "fake_" is added.

    Raises:
        InputError: There is no snapshot of that name.
    """
    known = fake_devices()
    full = name if name.startswith("fake_") else f"fake_{name}"
    if full not in known:
        raise unknown("device", full, known)
    return known[full]()


def take_snapshot(device: BackendV2) -> Calibration:
    """Read all qubits of a device into a calibration.

    Gates that report an error of 1, which is how IBM marks a broken one, are left out; so are all kinds of
    two-qubit gates but the one that couples most pairs, and gates that Qiskit has no name for.

    Args:
        device: A fake or a live backend of qiskit-ibm-runtime.

    Returns:
        The calibration of the whole device.

    Raises:
        InputError: A figure is none that a device can have.
    """
    try:
        return _read(device)
    except ValidationError as error:
        problem = error.errors()[0]
        figure = ".".join(map(str, problem["loc"]))
        raise InputError(
            f"{device.name} reports {figure} = {problem['input']!r}, where a calibration has: {problem['msg']}; try "
            "again when it was calibrated anew, or take another device"
        ) from error


def _read(device: BackendV2) -> Calibration:
    target, properties = device.target, device.properties()
    return Calibration(
        device=device.name,
        taken_at=properties.last_update_date.astimezone(UTC),
        dt=target.dt,
        alignment=Alignment(
            granularity=target.granularity,
            min_length=target.min_length,
            pulse_alignment=target.pulse_alignment,
            acquire_alignment=target.acquire_alignment,
        ),
        qubits=tuple(_qubit(properties, index) for index in range(target.num_qubits)),
        gates=tuple(sorted(_gates(target), key=lambda gate: (gate.name, gate.qubits))),
    )


def _qubit(properties: Any, index: int) -> QubitCalibration:
    figures = {name: value for name, (value, _) in properties.qubit_property(index).items()}
    symmetric = figures.get("readout_error", 0.0)  # devices of 2019 report one error for both states
    return QubitCalibration(
        physical=index,
        t1=_time(figures.get("T1")),
        t2=_time(figures.get("T2")),
        prob_meas1_prep0=figures.get("prob_meas1_prep0", symmetric),
        prob_meas0_prep1=figures.get("prob_meas0_prep1", symmetric),
        readout_length=figures.get("readout_length"),
    )


def _time(seconds: float | None) -> float | None:
    """A coherence time, or None for what is none: a fit that failed may be reported as 0 or as years."""
    return seconds if seconds is not None and 0 < seconds <= 1 else None


def _gates(target: Target) -> list[GateCalibration]:
    gates = []
    for name in target.operation_names:
        if (
            not isinstance(target.operation_from_name(name), Gate)
            or name in OPTIONAL_GATES
            or name not in _STANDARD
        ):
            continue
        for qubits, figures in target[name].items():
            error, length = (None, None) if figures is None else (figures.error, figures.duration)
            if error is None or error < 1:
                gates.append(GateCalibration(name=name, qubits=qubits, error=error, length=length))
    # Qiskit cannot route on a device that couples some pairs by one gate and some by another, as fake_cairo
    # does
    pairs = Counter(gate.name for gate in gates if len(gate.qubits) == 2)
    return [gate for gate in gates if gate.name not in pairs or gate.name == pairs.most_common(1)[0][0]]
