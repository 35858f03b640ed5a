"""Hypothesis strategies for circuits with every standard gate, parameters inside expressions, and noise of any kind."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterExpression, ParameterVector
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit_aer.noise import (
    NoiseModel,
    ReadoutError,
    amplitude_damping_error,
    depolarizing_error,
    pauli_error,
    phase_damping_error,
    thermal_relaxation_error,
)

GATES = {
    name: gate
    for name, gate in get_standard_gate_name_mapping().items()
    if gate.num_clbits == 0 and name not in {"reset", "delay", "measure", "global_phase"}
}
NUM_INPUTS, NUM_WEIGHTS = 3, 2
X, W = ParameterVector("x", NUM_INPUTS), ParameterVector("w", NUM_WEIGHTS)


@st.composite
def angles(draw: st.DrawFn) -> ParameterExpression | float:
    """A number, a parameter, or an expression such as a feature map has."""
    one, other = draw(st.sampled_from([*X, *W])), draw(st.sampled_from([*X, *W]))
    return draw(
        st.sampled_from(
            [
                one,
                one,
                2 * one,
                -one + 0.3,
                one + 0.5 * other,
                (np.pi - one) * (np.pi - other),
                one.sin() + other**2,
            ]
        )
        | st.floats(-4, 4)
    )


@st.composite
def circuits(draw: st.DrawFn, max_qubits: int = 4, max_gates: int = 14) -> QuantumCircuit:
    """Any standard gates on two to `max_qubits` qubits."""
    num_qubits = draw(st.integers(2, max_qubits))
    names = sorted(name for name, gate in GATES.items() if gate.num_qubits <= num_qubits)
    circuit = QuantumCircuit(num_qubits)
    for name in draw(st.lists(st.sampled_from(names), min_size=1, max_size=max_gates)):
        gate = GATES[name].to_mutable()
        gate.params = [draw(angles()) for _ in gate.params]
        circuit.append(gate, draw(st.permutations(range(num_qubits)))[: gate.num_qubits])
    return circuit


@st.composite
def noise_models(draw: st.DrawFn) -> NoiseModel:
    """Errors for all qubits and for some, on one- and two-qubit gates, and readout that errs more one way."""
    probability = st.floats(0.001, 0.2)
    model = NoiseModel()
    one_qubit = {
        "depolarizing": lambda p: depolarizing_error(p, 1),
        "amplitude": amplitude_damping_error,
        "phase": phase_damping_error,
        "pauli": lambda p: pauli_error([("X", p), ("Z", p / 2), ("I", 1 - 1.5 * p)]),
        "thermal": lambda p: thermal_relaxation_error(50.0, 60.0, 100 * p, 0.1),
    }
    for gate in draw(
        st.lists(st.sampled_from(["h", "rx", "ry", "rz", "u", "p", "sx", "x", "t"]), unique=True)
    ):
        kind, p = draw(st.sampled_from(sorted(one_qubit))), draw(probability)
        model.add_all_qubit_quantum_error(one_qubit[kind](p), gate)
    for gate in draw(st.lists(st.sampled_from(["cx", "cz", "rzz", "swap", "crx"]), unique=True)):
        model.add_all_qubit_quantum_error(depolarizing_error(draw(probability), 2), gate)
    if draw(st.booleans()):
        local = amplitude_damping_error(draw(probability)).tensor(phase_damping_error(draw(probability)))
        model.add_quantum_error(local, ["cx", "cz"], [0, 1], warnings=False)
    for qubit in draw(st.lists(st.integers(0, 1), unique=True)):
        up, down = draw(probability), draw(probability)
        model.add_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]), [qubit])
    return model
