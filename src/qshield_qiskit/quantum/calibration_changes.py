"""What moved on a device between two calibrations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from qshield_qiskit.errors import InputError
from qshield_qiskit.quantum.calibration import Calibration

FIGURES = ("t1", "t2", "prob_meas1_prep0", "prob_meas0_prep1")
"""What is compared of a qubit, named as in a calibration."""


@dataclass(frozen=True)
class Change:
    """One figure on two days.

    Attributes:
        before: Its earlier value; None if the device reported none.
        after: Its later value.

    >>> Change(0.5, 0.375).relative
    -0.25
    """

    before: float | None
    after: float | None

    @property
    def relative(self) -> float | None:
        """The change as a fraction of the earlier value; None where one is missing or the earlier is 0."""
        if not self.before or self.after is None:
            return None
        return (self.after - self.before) / self.before


@dataclass(frozen=True)
class QubitDrift:
    """A qubit on two days.

    Attributes:
        physical: Its number on the device.
        figures: The change of each of `FIGURES`, times in seconds.
    """

    physical: int
    figures: dict[str, Change]


@dataclass(frozen=True)
class PairDrift:
    """The two-qubit gate of a pair on two days.

    Attributes:
        physical: The numbers of the two qubits on the device, the lower first.
        error: The change of the gate's error in its better direction; None where the pair was not coupled.
    """

    physical: tuple[int, int]
    error: Change


@dataclass(frozen=True)
class Drift:
    """Everything that both calibrations report, matched by place on the device.

    Attributes:
        qubits: The qubits of both, by number.
        pairs: The pairs of these qubits that are coupled in either.
        only_before: Qubits of the earlier calibration alone.
        only_after: Qubits of the later one alone.
    """

    qubits: tuple[QubitDrift, ...]
    pairs: tuple[PairDrift, ...]
    only_before: tuple[int, ...]
    only_after: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """Give everything as numbers and lists, each change with its relative value."""

        def numbers(change: Change) -> dict[str, float | None]:
            return {**asdict(change), "relative": change.relative}

        return {
            "qubits": [
                {"physical": qubit.physical, **{name: numbers(c) for name, c in qubit.figures.items()}}
                for qubit in self.qubits
            ],
            "pairs": [{"physical": pair.physical, "error": numbers(pair.error)} for pair in self.pairs],
            "only_before": self.only_before,
            "only_after": self.only_after,
        }


def compare(before: Calibration, after: Calibration) -> Drift:
    """Compare two calibrations of a device, qubit by qubit and pair by pair.

    Args:
        before: The earlier one.
        after: The later one; it may hold other qubits too.

    Raises:
        InputError: They have no qubit in common.
    """
    old = {qubit.physical: qubit for qubit in before.qubits}
    new = {qubit.physical: qubit for qubit in after.qubits}
    common = sorted(old.keys() & new.keys())
    if not common:
        raise InputError(
            f"the calibrations have no qubit in common: {sorted(old)} of {before.device} and {sorted(new)} of "
            f"{after.device}; compare with the whole device, by its name"
        )
    old_errors, new_errors = _pair_errors(before), _pair_errors(after)
    pairs = sorted(pair for pair in old_errors.keys() | new_errors.keys() if set(pair) <= set(common))
    return Drift(
        qubits=tuple(
            QubitDrift(i, {name: Change(getattr(old[i], name), getattr(new[i], name)) for name in FIGURES})
            for i in common
        ),
        pairs=tuple(PairDrift(pair, Change(old_errors.get(pair), new_errors.get(pair))) for pair in pairs),
        only_before=tuple(sorted(old.keys() - new.keys())),
        only_after=tuple(sorted(new.keys() - old.keys())),
    )


def _pair_errors(calibration: Calibration) -> dict[tuple[int, int], float | None]:
    """The error of each coupled pair's gate in its better direction, by the qubits' places on the device."""
    errors: dict[tuple[int, int], float | None] = {}
    for gate in calibration.gates:
        if len(gate.qubits) == 2:
            low, high = sorted(calibration.physical_qubits[qubit] for qubit in gate.qubits)
            known = [error for error in (errors.get((low, high)), gate.error) if error is not None]
            errors[low, high] = min(known, default=None)
    return errors
