"""The noise channels of the paper, by name."""

from __future__ import annotations

from collections.abc import Callable

from qiskit_aer.noise import QuantumError, amplitude_damping_error, depolarizing_error, phase_damping_error

from qshield_qiskit.errors import InputError, unknown


def depolarizing(p: float) -> QuantumError:
    """One of X, Y, Z, each with probability p / 3; Qiskit counts the identity too, hence its 4 p / 3."""
    return depolarizing_error(min(4 * p / 3, 4 / 3), 1)


def amplitude_damping(p: float) -> QuantumError:
    """|1> decays to |0> with probability p."""
    return amplitude_damping_error(p)


def phase_damping(p: float) -> QuantumError:
    """Coherences shrink by sqrt(1 - p)."""
    return phase_damping_error(p)


def mixed(p: float) -> QuantumError:
    """Depolarizing with 0.4 p, then amplitude damping with 0.3 p, then phase damping with 0.3 p."""
    return depolarizing(0.4 * p).compose(amplitude_damping(0.3 * p)).compose(phase_damping(0.3 * p))


CHANNELS: dict[str, Callable[[float], QuantumError]] = {
    "depolarizing": depolarizing,
    "amplitude_damping": amplitude_damping,
    "phase_damping": phase_damping,
    "mixed": mixed,
}


def paper_channel(channel: str, p: float) -> QuantumError:
    """Make one of the paper's one-qubit channels, in its (PennyLane's) convention of what p means.

    Args:
        channel: A key of `CHANNELS`.
        p: Strength, in [0, 1].

    Raises:
        InputError: No such channel, or p is no probability.

    References:
        Azimi, Prakash, Wang, Xiong, "QShield", arXiv:2604.10933 (2026).
    """
    if channel not in CHANNELS:
        raise unknown("channel", channel, CHANNELS)
    if not 0 <= p <= 1:
        raise InputError(f"p = {p} is no probability; it lies in [0, 1], and the paper's is 0.005")
    return CHANNELS[channel](p)
