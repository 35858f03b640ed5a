"""Draw a circuit, sum a backend up, list an attack's parameters, or print an experiment's settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from matplotlib.figure import Figure
from rich.console import RenderableType
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from qshield_qiskit import catalog
from qshield_qiskit.cli.console import Json, console, emit, stdout
from qshield_qiskit.config import (
    BackendSettings,
    CircuitSettings,
    Section,
    Settings,
    load_settings,
    named_sections,
    validate,
)
from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.overrides import parse
from qshield_qiskit.quantum import drawing
from qshield_qiskit.quantum.template import LAYER_END

NUM_QUBITS = 4
"""How many qubits a circuit or backend is shown with unless the user says."""


@dataclass(frozen=True)
class Shown:
    """What a thing looks like on a terminal, as JSON, and as a picture if it has one."""

    lines: Sequence[RenderableType]
    facts: dict[str, Any]
    picture: Callable[[], Figure] | None = None


def command(
    kind: Annotated[str, typer.Argument(help="circuit, backend, attack or experiment.")],
    name: Annotated[str, typer.Argument(help="A name that `qshield list` shows, or a path to a file.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value ...]", help="Settings, as num_qubits=3 reps=2.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Write the circuit's picture to this file.")] = None,
    json: Json = False,
) -> None:
    """Show one thing that can be typed by name.

    `qshield show circuit full num_qubits=3 reps=2 --png full.png` draws a circuit, in the terminal and as a
    picture. `qshield show experiment mnist training.epochs=5` prints every setting that such a run has.
    """
    if kind not in KINDS:
        raise unknown("kind", kind, KINDS)
    shown = KINDS[kind](name, settings or [])
    if png is not None:
        _save(shown, png, kind)
    if json:
        emit({"kind": kind, "name": name, **shown.facts, "picture": png and str(png)})
        return
    for line in shown.lines:
        stdout.print(line, soft_wrap=isinstance(line, Text))


def show_circuit(name: str, given: Sequence[str]) -> Shown:
    """Draw a template and count what it is made of."""
    settings = _settings(_dotted("circuit", name, given)).circuit
    entry = catalog.entry("circuits", settings.name)
    template = catalog.load_circuit(
        settings.name, settings.num_qubits or NUM_QUBITS, **settings.build_options()
    )
    gates = [i for i in template.circuit.data if i.operation.name not in {LAYER_END, "barrier"}]
    facts = {
        "path": str(entry.path),
        "qubits": template.num_qubits,
        "inputs": template.num_inputs,
        "weights": template.num_weights,
        "outputs": template.num_outputs,
        "gates": len(gates),
        "two_qubit_gates": sum(len(gate.qubits) > 1 for gate in gates),
    }
    picture = Text(drawing.draw_text(template, stdout.width))
    counts = _row({key: value for key, value in facts.items() if key != "path"})
    for text in (picture, counts):  # so that the counts are the legend
        text.highlight_words([*(parameter.name for parameter in template.inputs), "inputs"], "blue")
        text.highlight_words([*(parameter.name for parameter in template.weights), "weights"], "yellow")
    return Shown(
        lines=[_title(name, entry.summary), picture, counts],
        facts=facts,
        picture=lambda: drawing.draw_figure(template),
    )


def show_backend(name: str, given: Sequence[str]) -> Shown:
    """Say whose noise a backend has, on which qubits, and how bad it is."""
    sizes = [override for override in given if override.startswith("num_qubits=")]
    others = [override for override in given if override not in sizes]
    settings = _settings(_dotted("backend", name, others)).backend
    size = _settings([f"circuit.{override}" for override in sizes]).circuit.num_qubits
    backend = catalog.load_backend(settings.name, size or NUM_QUBITS, **settings.build_options())
    facts: dict[str, Any] = {
        "qubits": backend.num_qubits,
        "noisy": backend.noise_model is not None,
        "noisy_instructions": sorted(backend.noise_model.noise_instructions) if backend.noise_model else [],
    }
    if backend.calibration is not None:
        facts |= {
            "device": backend.calibration.device,
            "calibrated": backend.calibration.taken_at.date().isoformat(),
            "physical_qubits": list(backend.calibration.physical_qubits),
        }
    known = catalog.find("backends")
    summary = known[name].summary if name in known else catalog.families("backends")["fake_<device>"]
    return Shown(lines=[_title(name, summary), _column(facts)], facts=facts)


def show_experiment(name: str, given: Sequence[str]) -> Shown:
    """Print every setting, whether the experiment, an override or a default chose it."""
    settings = load_settings(name, given)
    text = Text(settings.to_yaml())
    if stdout.is_terminal:
        text = Syntax("", "yaml", theme="ansi_dark", background_color="default").highlight(settings.to_yaml())
    text.rstrip()
    return Shown(lines=[text], facts={"settings": settings.model_dump(mode="json")})


def show_attack(name: str, given: Sequence[str]) -> Shown:
    """List an attack's parameters with their values under `preset=`, and what each of them does."""
    from qshield_qiskit.robustness.attacks import PRESETS, build  # noqa: PLC0415, ART takes seconds

    options = parse(given, frozenset())
    preset = str(options.pop("preset", "standard"))
    if preset not in PRESETS:
        raise unknown("attack preset", preset, PRESETS)
    attack = build(name, {**PRESETS[preset].get(name, {}), **options})
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("parameter", "value", "what it is"):
        table.add_column(heading, overflow="fold")
    values = attack.model_dump()
    for key, field in type(attack).model_fields.items():
        table.add_row(Text(key, "cyan"), str(values[key]), field.description)
    facts = {
        "norms": list(attack.norms),
        "bounded": attack.bounded,
        "white_box": attack.white_box,
        "can_target": attack.can_target,
        "parameters": values,
    }
    kind = "bounded by epsilon" if attack.bounded else "looks for the smallest perturbation"
    by = "gradients" if attack.white_box else "queries"
    line = (
        f"{' or '.join(attack.norms)}, {kind}, by {by}{', can aim at a class' if attack.can_target else ''}"
    )
    summary = (type(attack).__doc__ or "").split("\n", 1)[0]
    return Shown(lines=[_title(name, summary), Text(line, "dim"), table], facts=facts)


KINDS = {
    "circuit": show_circuit,
    "backend": show_backend,
    "attack": show_attack,
    "experiment": show_experiment,
}


def _dotted(section: str, name: str, given: Sequence[str]) -> list[str]:
    """Put settings into their section: reps=2 is circuit.reps=2, and a key that we do not know an option."""
    sections: dict[str, type[Section]] = {"circuit": CircuitSettings, "backend": BackendSettings}
    known = sections[section].model_fields
    dotted = [f"{section}={name}"]
    for override in given:
        bare = override.removeprefix(f"{section}.")
        key = bare.partition("=")[0].partition(".")[0]
        dotted.append(f"{section}.{bare}" if key in known else f"{section}.options.{bare}")
    return dotted


def _settings(dotted: Sequence[str]) -> Settings:
    """Check overrides on their own, apart from any experiment."""
    return validate(parse(dotted, named_sections()))


def _save(shown: Shown, path: Path, kind: str) -> None:
    if shown.picture is None:
        raise InputError(f"--png draws circuits; there is no picture of a {kind}")
    if not path.suffix or path.is_dir():
        raise InputError(f"--png {path}: expected a file's name with an ending, such as {kind}.png")
    if not path.parent.is_dir():
        raise InputError(f"--png {path}: there is no folder {path.parent}")
    try:
        shown.picture().savefig(path, dpi=150, bbox_inches="tight")
    except (OSError, ValueError) as error:
        raise InputError(f"--png {path}: {error}") from error
    console.print(f"wrote {path}", style="dim", highlight=False)


def _title(name: str, summary: str) -> Text:
    return Text.assemble((name, "bold cyan"), "  ", summary)


def _row(facts: dict[str, Any]) -> Text:
    return Text(", ".join(f"{value} {_words(key)}" for key, value in facts.items()), style="dim")


def _column(facts: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in facts.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        table.add_row(Text(_words(key), "dim"), text or "none")
    return table


def _words(key: str) -> str:
    return key.replace("two_qubit", "two-qubit").replace("_", " ")
