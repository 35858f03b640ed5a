"""Pictures of a template: text folded to a terminal, and a figure that tells inputs from trained weights."""

from __future__ import annotations

from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Gate

from qshield_qiskit.quantum.template import LAYER_END, CircuitTemplate

INPUT_COLOUR = "#2563a8"
WEIGHT_COLOUR = "#e39a2d"
FIXED_COLOUR = "#4b5563"
INK = "#1f2937"

_ROLES = ("input", "trained")
_SYMBOLS = {"rx": "R_X", "ry": "R_Y", "rz": "R_Z", "p": "P", "u": "U", "r": "R"}


def draw_text(template: CircuitTemplate, width: int) -> str:
    """Draw the circuit in characters, folded to a terminal's width; layer marks become dotted lines."""
    drawing = _with_barriers(template.circuit).draw("text", fold=width, vertical_compression="high")
    return str(drawing)


def draw_figure(template: CircuitTemplate) -> Figure:
    """Draw the circuit with matplotlib: gates that an input turns in one colour, trained ones in another."""
    circuit = _tinted(_with_barriers(template.circuit), template)
    names = {instruction.operation.name for instruction in circuit.data}
    figure: Figure = circuit.draw("mpl", fold=24, idle_wires=True, plot_barriers=True, style=_style(names))
    pyplot.close(figure)  # it lives on; pyplot need not keep it, nor show it twice in a notebook
    axes = figure.axes[0]
    axes.set_title(f"{template.name}, {template.num_qubits} qubits", loc="left", color=INK, fontsize=13)
    kinds = {"input": INPUT_COLOUR, "trained": WEIGHT_COLOUR, "fixed": FIXED_COLOUR}
    patches = [Patch(color=colour, label=kind) for kind, colour in kinds.items() if kind in _kinds(names)]
    axes.legend(
        handles=patches,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=3,
        frameon=False,
        fontsize=10,
        borderpad=0,
    )
    return figure


def _kinds(names: set[str]) -> set[str]:
    """Tell which kinds of gates a tinted circuit has, by their names."""
    roles = {name.rpartition("_")[2] for name in names - {"barrier"}}
    return {"fixed" if role not in _ROLES else role for role in roles}


def _with_barriers(circuit: QuantumCircuit) -> QuantumCircuit:
    """Replace each row of layer marks by one barrier."""
    drawn = circuit.copy_empty_like()
    for instruction in circuit.data:
        if instruction.operation.name != LAYER_END:
            drawn.append(instruction)
        elif not drawn.data or drawn.data[-1].operation.name != "barrier":
            drawn.barrier()
    return drawn


def _tinted(circuit: QuantumCircuit, template: CircuitTemplate) -> QuantumCircuit:
    """Rename the one-qubit gates that turn by an input or a weight, since colours go by name."""
    drawn = circuit.copy_empty_like()
    for instruction in circuit.data:
        drawn.append(_renamed(instruction, template))
    return drawn


def _renamed(instruction: CircuitInstruction, template: CircuitTemplate) -> CircuitInstruction:
    operation = instruction.operation
    parameters = {p for angle in operation.params for p in getattr(angle, "parameters", ())}
    if not parameters or operation.num_qubits != 1:
        return instruction
    role = "trained" if parameters & set(template.weights) else "input"
    return instruction.replace(operation=Gate(f"{operation.name}_{role}", 1, operation.params))


def _style(names: set[str]) -> dict[str, object]:
    text, colour = {}, {}
    for name in names:
        gate, _, role = name.rpartition("_")
        if role in _ROLES:
            text[name] = _SYMBOLS.get(gate, gate.upper())
            colour[name] = (INPUT_COLOUR, "#ffffff") if role == "input" else (WEIGHT_COLOUR, INK)
        else:
            colour[name] = (FIXED_COLOUR, "#ffffff")
    return {
        "name": "iqp",
        "textcolor": INK,
        "linecolor": "#9ca3af",
        "gatefacecolor": FIXED_COLOUR,
        "gatetextcolor": "#ffffff",
        "barrierfacecolor": "#d1d5db",
        "displaytext": text,
        "displaycolor": colour,
    }
