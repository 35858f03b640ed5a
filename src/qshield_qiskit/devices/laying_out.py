"""From a PUB in the user's terms to one on a device: first on the qubits in use, then on the whole device."""

from __future__ import annotations

from collections.abc import Sequence

from qiskit import QuantumCircuit

from qshield_qiskit.devices.backend import Backend
from qshield_qiskit.devices.measuring import measured
from qshield_qiskit.devices.primitives import DEFAULT_SHOTS, IsaPub
from qshield_qiskit.quantum.pub import Pub


def laid_out(pub: Pub, backend: Backend) -> IsaPub:
    """Write a PUB in the gates of a backend, on the backend's qubits.

    Args:
        pub: The PUB; without shots it gets `DEFAULT_SHOTS`.
        backend: Transpiles its circuit.

    Returns:
        The same PUB for a primitive; its circuit measures if there are no observables.
    """
    circuit = backend.transpile(pub.circuit)
    observables = pub.observables
    if observables is None:
        circuit = measured(circuit, pub.circuit.num_qubits)
    elif circuit.layout is not None:
        observables = tuple(operator.apply_layout(circuit.layout) for operator in observables)
    columns = [pub.parameters.index(parameter) for parameter in circuit.parameters]
    return IsaPub(circuit, pub.values[:, columns], observables, pub.shots or DEFAULT_SHOTS)


def on_device(pub: IsaPub, physical: Sequence[int], num_qubits: int) -> IsaPub:
    """Move a PUB from the few qubits in use to where these lie on the device.

    Args:
        pub: On the qubits in use.
        physical: Where each of them lies on the device.
        num_qubits: Number of qubits of the device.

    Returns:
        The PUB on all qubits of the device. Its circuit's layout is gone with the move; see `start_layout`.
    """
    wide = QuantumCircuit(num_qubits, name=pub.circuit.name)
    for register in pub.circuit.cregs:
        wide.add_register(register)
    wide.compose(pub.circuit, qubits=list(physical), clbits=pub.circuit.clbits, inplace=True)
    observables = pub.observables
    if observables is not None:
        observables = tuple(operator.apply_layout(list(physical), num_qubits) for operator in observables)
    columns = {parameter: i for i, parameter in enumerate(pub.circuit.parameters)}
    values = pub.values[:, [columns[parameter] for parameter in wide.parameters]]
    return IsaPub(wide, values, observables, pub.shots)


def start_layout(circuit: QuantumCircuit, physical: Sequence[int]) -> tuple[int, ...]:
    """Tell on which qubits of the device the user's qubits start.

    Args:
        circuit: As a backend transpiled it.
        physical: Where the backend's qubits lie on the device.
    """
    layout = circuit.layout
    places = (
        range(circuit.num_qubits) if layout is None else layout.initial_index_layout(filter_ancillas=True)
    )
    return tuple(physical[place] for place in places)
