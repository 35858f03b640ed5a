"""What a job is expected to take, in closed form."""

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp

from qshield_qiskit.devices import calibrations
from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.compiling.success import seconds_of
from qshield_qiskit.devices.jobs.cost import JOB_OVERHEAD, NOISE_FACTORS, REP_DELAY, rate
from qshield_qiskit.devices.primitives import IsaPub, PrimitiveOptions
from qshield_qiskit.quantum.calibration import Calibration

CALIBRATION = Calibration.from_json(calibrations.find()["fake_manila_5q"]).reduce([0, 1, 2])
LENGTHS = {(gate.name, gate.qubits): gate.length for gate in CALIBRATION.gates}
READOUT = [qubit.readout_length for qubit in CALIBRATION.qubits]


def test_a_circuit_lasts_as_long_as_its_longest_path():
    circuit = QuantumCircuit(3, 1)
    circuit.x(0)
    assert seconds_of(circuit, CALIBRATION) == LENGTHS["x", (0,)] > 0
    circuit.x(1)
    assert seconds_of(circuit, CALIBRATION) == max(LENGTHS["x", (0,)], LENGTHS["x", (1,)]), "at the same time"
    circuit.delay(2, 1, "us")
    circuit.delay(100, 1, "dt")
    waited = LENGTHS["x", (1,)] + 2e-6 + 100 * CALIBRATION.dt
    assert seconds_of(circuit, CALIBRATION) == pytest.approx(waited)
    circuit.cx(0, 1)
    coupled = waited + LENGTHS["cx", (0, 1)]
    assert seconds_of(circuit, CALIBRATION) == pytest.approx(coupled)
    circuit.measure(0, 0)
    assert seconds_of(circuit, CALIBRATION) == pytest.approx(coupled + READOUT[0])
    circuit.x(2)
    circuit.h(1)  # whose length is not known
    assert seconds_of(circuit, CALIBRATION) == pytest.approx(coupled + READOUT[0])


@pytest.mark.parametrize(
    ("observables", "level", "factors", "read"),
    [
        (None, 0, (1,), 0.0),  # its circuit measures by itself
        ((SparsePauliOp("ZZI"), SparsePauliOp("XXI")), 0, (1,), max(READOUT)),
        ((SparsePauliOp("ZZI"), SparsePauliOp("XXI")), 2, NOISE_FACTORS, max(READOUT)),
    ],
    ids=["sampler", "estimator", "estimator with folded gates"],
)
def test_an_execution_takes_its_circuit_and_the_delay_between_shots(observables, level, factors, read):
    circuit = QuantumCircuit(3)
    circuit.x(0)
    circuit.cx(0, 1)
    isa = Backend.calibrated("three", CALIBRATION).transpile(circuit)
    pub = IsaPub(isa, np.zeros((4, 0)), observables, 1000)
    found = rate(pub, CALIBRATION, PrimitiveOptions(resilience_level=level))
    assert seconds_of(isa, CALIBRATION) > 1e-7
    lasts = seconds_of(isa, CALIBRATION) + read
    assert found.seconds / found.executions == pytest.approx(REP_DELAY + lasts * np.mean(factors))
    learning = found.once.executions
    assert (learning > 0) == (level > 0)
    assert found.once.seconds == pytest.approx(JOB_OVERHEAD + learning * (REP_DELAY + lasts))
