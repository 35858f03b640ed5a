"""Pictures of circuits: a gate's colour says what turns it, on however many qubits it acts."""

import pytest
from matplotlib.colors import to_hex
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import PauliEvolutionGate
from qiskit.quantum_info import SparsePauliOp

from qshield_qiskit.quantum.drawing import FIXED_COLOUR, INPUT_COLOUR, WEIGHT_COLOUR, draw_figure
from qshield_qiskit.quantum.template import CircuitTemplate

X, THETA = ParameterVector("x", 2), ParameterVector("θ", 2)


def _block(circuit, angle):
    block = QuantumCircuit(2, name="my_block_1")
    block.ry(angle, 0)
    block.cx(0, 1)
    circuit.append(block.to_gate(), [0, 1])


def _evolution(circuit, angle):
    circuit.append(PauliEvolutionGate(SparsePauliOp(["XX", "ZZ"]), angle), [0, 1])


GATES = {
    "ry": lambda circuit, angle: circuit.ry(angle, 0),
    "rzz": lambda circuit, angle: circuit.rzz(angle, 0, 1),
    "rxx": lambda circuit, angle: circuit.rxx(angle, 0, 1),
    "crx": lambda circuit, angle: circuit.crx(angle, 0, 1),
    "crx, open": lambda circuit, angle: circuit.crx(angle, 0, 1, ctrl_state=0),
    "crx, labelled": lambda circuit, angle: circuit.crx(angle, 0, 1, label="mine"),
    "cp": lambda circuit, angle: circuit.cp(angle, 0, 1),
    "cu": lambda circuit, angle: circuit.cu(0.1, angle, 0.2, 0.3, 0, 1),
    "mcp": lambda circuit, angle: circuit.mcp(angle, [0, 1], 2),
    "block": _block,
    "evolution": _evolution,
}


def drawn(*gates):
    """The legend's words, and the colours and texts of all that is drawn."""
    circuit = QuantumCircuit(3)
    for gate, angle in gates:
        gate(circuit, angle)
    inputs = [x for x in X if x in circuit.parameters]
    weights = [w for w in THETA if w in circuit.parameters]
    figure = draw_figure(CircuitTemplate(circuit, inputs, weights))
    axes = figure.axes[0]
    figure.canvas.draw()  # where a text that matplotlib cannot set would be found out
    return (
        {text.get_text() for text in axes.get_legend().get_texts()},
        {to_hex(patch.get_facecolor()) for patch in axes.patches},
        {text.get_text() for text in axes.texts},
    )


@pytest.mark.parametrize("gate", GATES)
def test_every_gate_that_an_angle_turns_has_the_colour_of_the_angle(gate):
    words, colours, _ = drawn((GATES[gate], X[0]))
    assert words == {"input"}
    assert INPUT_COLOUR in colours
    assert not colours & {WEIGHT_COLOUR, FIXED_COLOUR}
    words, colours, _ = drawn((GATES["ry"], X[0]), (GATES[gate], THETA[0] + X[1]))
    assert words == {"input", "trained"}
    assert {INPUT_COLOUR, WEIGHT_COLOUR} <= colours
    words, colours, _ = drawn((GATES[gate], X[0]), (GATES[gate], 0.3))
    assert words == {"input", "fixed"}
    assert {INPUT_COLOUR, FIXED_COLOUR} <= colours


def test_gates_keep_their_symbols_and_names():
    texts = {text.strip() for text in drawn(*((GATES[gate], X[0]) for gate in GATES))[2]}
    for expected in ("$\\mathrm{R_Y}$", "$\\mathrm{R_{XX}}$", "$\\mathrm{R_{ZZ}}$", "my_block_1", "mine"):
        assert expected in texts
    assert not [text for text in texts if ":" in text]
