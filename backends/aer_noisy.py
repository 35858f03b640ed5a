"""The noise of a real device on one day: gates, relaxation, idling and readout, from a calibration file."""

from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.backend import Backend


def build(num_qubits: int, calibration: str = "fake_boston_8q") -> Backend:
    """Make a backend of a calibration's best qubits.

    Args:
        num_qubits: Number of qubits; the calibration must have as many.
        calibration: Name of a file in backends/calibrations/, the path of one, or a snapshot such as fake_torino.
    """
    return Backend.calibrated("aer_noisy", calibrations.load_for(calibration, num_qubits))
