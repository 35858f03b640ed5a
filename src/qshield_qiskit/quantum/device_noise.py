"""What a calibration means to Qiskit: the target that circuits are written for, and the noise they meet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from qiskit.circuit import Delay, Measure, Parameter
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.providers import BackendV2, Options, QubitProperties
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer.noise import NoiseModel, ReadoutError

if TYPE_CHECKING:
    from qshield_qiskit.quantum.calibration import Calibration


def target(calibration: Calibration) -> Target:
    """Describe calibrated qubits to Qiskit's transpiler.

    Args:
        calibration: The device's figures.

    Returns:
        A target with the device's gates, couplings, durations and errors, and delays on every qubit.
    """
    qubits = calibration.qubits
    description = Target(
        num_qubits=len(qubits),
        dt=calibration.dt,
        qubit_properties=[QubitProperties(t1=qubit.t1, t2=qubit.t2) for qubit in qubits],
        **calibration.alignment.model_dump(),
    )
    gates = get_standard_gate_name_mapping()
    for name in calibration.basis_gates:
        properties = {
            gate.qubits: InstructionProperties(error=gate.error, duration=gate.length)
            for gate in calibration.gates
            if gate.name == name
        }
        description.add_instruction(gates[name], properties)
    readout = {
        # Scheduling needs a length; where none is reported 0 will do, since nothing follows a final
        # measurement.
        (i,): InstructionProperties(error=qubit.readout_error, duration=qubit.readout_length or 0.0)
        for i, qubit in enumerate(qubits)
    }
    description.add_instruction(Measure(), readout)
    description.add_instruction(Delay(Parameter("length")), {(i,): None for i in range(len(qubits))})
    return description


def noise_model(calibration: Calibration) -> NoiseModel:
    """Build the noise that Aer derives from a device, with the readout errors as asymmetric as measured.

    Each gate comes with thermal relaxation for its length, and with as much depolarising as its reported
    error leaves; delays relax too. For readout Aer's own `NoiseModel.from_backend` takes the mean error and
    makes |0> and |1> fail alike, so readout is added here, from P(1|0) and P(0|1).

    Args:
        calibration: The device's figures.

    Returns:
        A noise model on the calibration's qubits.
    """
    model = NoiseModel.from_backend(_Described(target(calibration)), readout_error=False)
    for i, qubit in enumerate(calibration.qubits):
        if qubit.readout_error > 0:
            model.add_readout_error(
                ReadoutError(confusion(qubit.prob_meas1_prep0, qubit.prob_meas0_prep1)), [i]
            )
    return model


def confusion(prob_meas1_prep0: float, prob_meas0_prep1: float) -> list[list[float]]:
    """Confusion matrix of a readout, rows = true value, columns = measured value.

    Args:
        prob_meas1_prep0: P(1|0), in [0, 1].
        prob_meas0_prep1: P(0|1), in [0, 1].
    """
    return [[1 - prob_meas1_prep0, prob_meas1_prep0], [prob_meas0_prep1, 1 - prob_meas0_prep1]]


class _Described(BackendV2):  # type: ignore[misc]  # Qiskit ships no types
    """A backend that consists of its description: as much of one as Aer needs to derive noise."""

    def __init__(self, description: Target) -> None:
        super().__init__(name="described")
        self._description = description

    @property
    def target(self) -> Target:
        return self._description

    @property
    def max_circuits(self) -> None:
        return None

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> NoReturn:
        raise NotImplementedError("this is the description of a device, not the device")
