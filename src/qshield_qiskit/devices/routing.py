"""The search for the way of running a circuit on a device that is most likely to succeed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

from qiskit import QuantumCircuit
from qiskit.transpiler import PassManager, Target, generate_preset_pass_manager
from qiskit.transpiler.passes import CollectLinearFunctions, HighLevelSynthesis, HLSConfig

from qshield_qiskit.quantum.calibration import Calibration

SEEDS = range(6)
MAX_ROUNDS = 4


def best_routing(circuit: QuantumCircuit, calibration: Calibration, target: Target) -> QuantumCircuit:
    """Transpile a circuit in many ways and keep the one of highest estimated success.

    First every spelling of the circuit's CX blocks (`spellings`) under several seeds of Qiskit's own layout search; then,
    from the best of these, two qubits of the initial layout trade places as long as that helps. All of it is
    deterministic.

    Args:
        circuit: Standard gates, final measurements.
        calibration: The device's figures.
        target: The same device as Qiskit's transpiler sees it.

    Returns:
        The circuit in the device's gates, scheduled as late as possible, with its layout.
    """
    best, best_spelling = None, circuit
    score = -math.inf
    for spelling, seed in itertools.product(spellings(circuit), SEEDS):
        found = _transpiled(spelling, target, seed)
        if (success := log_success(found, calibration)) > score:
            best, best_spelling, score = found, spelling, success
    assert best is not None
    layout = best.layout.initial_index_layout(filter_ancillas=True)
    for _ in range(MAX_ROUNDS):
        improved = False
        for candidate in _swaps(layout, target.num_qubits):
            found = _transpiled(best_spelling, target, SEEDS[0], candidate)
            if (success := log_success(found, calibration)) > score:
                best, score, layout, improved = found, success, candidate, True
        if not improved:
            break
    return best


def spellings(circuit: QuantumCircuit) -> list[QuantumCircuit]:
    """The circuit itself, and with its blocks of CX gates written anew from the linear map that each one computes.

    The six CX of full entanglement on four qubits, for example, are three on a chain: x -> (x0, x0+x1, x1+x2, x2+x3).

    Args:
        circuit: Standard gates.

    Returns:
        Equivalent circuits, the given one first.

    References:
        Patel, Markov and Hayes, "Optimal synthesis of linear reversible circuits", Quantum Inf. Comput. 8, 282 (2008).
    """
    found = [circuit]
    for inverted, transposed in itertools.product((False, True), repeat=2):
        options = [("pmh", {"use_inverted": inverted, "use_transposed": transposed})]
        passes = PassManager(
            [CollectLinearFunctions(), HighLevelSynthesis(HLSConfig(linear_function=options))]
        )
        spelling = passes.run(circuit)
        if all(spelling != other for other in found):
            found.append(spelling)
    return found


def log_success(circuit: QuantumCircuit, calibration: Calibration) -> float:
    """Estimate the logarithm of the chance that nothing goes wrong: gates, idling and readout.

    sum of log(1 - error) over gates and over the readout of the user's qubits, and of log F(t) over idle times, with
    F(t) = 1/2 + exp(-t/T1)/6 + exp(-t/T2)/3 the average fidelity of relaxation. A qubit that waits in |0> before its
    first gate loses nothing.

    Args:
        circuit: In the device's gates, idle times as delays.
        calibration: The device's figures.

    Returns:
        A number of at most 0; more is better.
    """
    errors = {(gate.name, gate.qubits): gate.error or 0.0 for gate in calibration.gates}
    index = {qubit: i for i, qubit in enumerate(circuit.qubits)}
    begun: set[int] = set()
    total = 0.0
    for instruction in circuit.data:
        qubits = tuple(index[qubit] for qubit in instruction.qubits)
        operation = instruction.operation
        if operation.name == "delay":
            if qubits[0] in begun:
                seconds = _seconds(operation.duration, operation.unit, calibration.dt)
                total += _log(_relaxation_fidelity(seconds, calibration, qubits[0]))
            continue
        begun.update(qubits)
        total += _log(1 - errors.get((operation.name, qubits), 0.0))
    for qubit in circuit.layout.final_index_layout():
        total += _log(1 - calibration.qubits[qubit].readout_error)
    return total


def _relaxation_fidelity(seconds: float, calibration: Calibration, qubit: int) -> float:
    t1 = calibration.qubits[qubit].t1 or math.inf
    t2 = min(calibration.qubits[qubit].t2 or math.inf, 2 * t1)
    return 1 / 2 + math.exp(-seconds / t1) / 6 + math.exp(-seconds / t2) / 3


def _seconds(duration: float, unit: str, dt: float | None) -> float:
    scale = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "dt": dt or 0.0}
    return duration * scale[unit]


def _log(probability: float) -> float:
    return math.log(max(probability, 1e-12))  # a gate that always fails is bad, but comparable


def _swaps(layout: Sequence[int], num_physical: int) -> Iterator[list[int]]:
    """Layouts that differ from a given one by two physical qubits having changed places."""
    for a, b in itertools.combinations(range(num_physical), 2):
        trade = {a: b, b: a}
        if a in layout or b in layout:
            yield [trade.get(qubit, qubit) for qubit in layout]


def _transpiled(
    circuit: QuantumCircuit, target: Target, seed: int, layout: list[int] | None = None
) -> QuantumCircuit:
    passes = generate_preset_pass_manager(
        optimization_level=3,
        target=target,
        initial_layout=layout,
        seed_transpiler=seed,
        scheduling_method="alap",
    )
    return passes.run(circuit)
