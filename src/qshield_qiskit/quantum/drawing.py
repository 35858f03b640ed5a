"""Pictures of a template: text folded to a terminal, and a figure that tells inputs from trained weights."""

from __future__ import annotations

from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ControlledGate, Gate

from qshield_qiskit.quantum.template import LAYER_END, CircuitTemplate

INPUT_COLOUR = "#2563a8"
WEIGHT_COLOUR = "#e39a2d"
FIXED_COLOUR = "#4b5563"
INK = "#1f2937"

_SYMBOLS = {"rx": "R_X", "ry": "R_Y", "rz": "R_Z", "p": "P", "u": "U", "r": "R"} | {
    f"r{axes}": f"R_{{{axes.upper()}}}" for axes in ("xx", "yy", "zz", "zx")
}


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
    return {_role(name) for name in names - {"barrier"}}


def _role(name: str) -> str:
    """Tell what turns a gate of a tinted circuit; open controls add to the end of a name, so it stands before."""
    role, colon, _ = name.partition(":")
    return role if colon and role in {"input", "trained"} else "fixed"


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
    """Rename the gates that turn by an input or a weight, since colours go by name."""
    drawn = circuit.copy_empty_like()
    for instruction in circuit.data:
        drawn.append(_renamed(instruction, template))
    return drawn


def _renamed(instruction: CircuitInstruction, template: CircuitTemplate) -> CircuitInstruction:
    operation = instruction.operation
    parameters = {p for angle in operation.params for p in getattr(angle, "parameters", ())}
    if not parameters:
        return instruction
    role = "trained" if parameters & set(template.weights) else "input"
    name, size = f"{role}:{operation.name}", operation.num_qubits
    # A standard gate would get its own name back inside of a circuit, so a general one of its shape stands for it.
    if isinstance(operation, ControlledGate):
        drawn: Gate = ControlledGate(
            name,
            size,
            operation.params,
            label=operation.label,
            num_ctrl_qubits=operation.num_ctrl_qubits,
            ctrl_state=operation.ctrl_state,
            base_gate=operation.base_gate,
        )
    elif operation.label is None and operation.name in _SYMBOLS:
        drawn = Gate(name, size, operation.params)
    else:  # the blank tells its label from the name of a fixed gate, whose colour it would get
        drawn = Gate(name, size, operation.params, label=f"{operation.label or operation.name} ")
    return instruction.replace(operation=drawn)


def _style(names: set[str]) -> dict[str, object]:
    text, colour = {}, {}
    for name in names:
        role = _role(name)
        if role == "fixed":
            colour[name] = (FIXED_COLOUR, "#ffffff")
            continue
        colour[name] = (INPUT_COLOUR, "#ffffff") if role == "input" else (WEIGHT_COLOUR, INK)
        symbol = _SYMBOLS.get(name.partition(":")[2])
        if symbol is not None:
            text[name] = symbol
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
