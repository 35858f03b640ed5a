"""The figures of the study of circuits; data to Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from qshield_qiskit.reporting.style import MARKERS, MUTED, PALETTE, legend_above, new_figure, plain, tidy

Facts = Mapping[str, Any]


def expressibility_figure(facts: Facts) -> Figure:
    """Draw expressibility and entangling capability of every circuit, a mark for each number of layers."""
    names = list(dict.fromkeys(row["circuit"] for row in facts["rows"]))
    layers = list(dict.fromkeys(row["reps"] for row in facts["rows"]))
    note = (
        f"{facts['num_qubits']} qubits, no noise; {facts['samples']:,} pairs of states, angles uniform in [-π, π], "
        f"seed {facts['seed']}; 95 % intervals. Dashed: uniformly drawn states, as many of them."
    )
    figure, panels = new_figure(1.5 + 0.3 * len(names), 1, 2, note)
    kinds = (
        (
            "expressibility",
            "Expressibility (left is more)",
            "divergence from uniform states, nats (logarithmic)",
        ),
        ("entangling_capability", "Entangling capability", "mean Meyer-Wallach measure"),
    )
    for panel, (key, title, label) in zip(panels, kinds, strict=True):
        for place, count in enumerate(layers):
            offset = 0.22 * (place - (len(layers) - 1) / 2)
            mine = [row for row in facts["rows"] if row["reps"] == count]
            heights = [names.index(row["circuit"]) + offset for row in mine]
            colour = PALETTE[place % len(PALETTE)]
            panel.hlines(
                heights,
                [row[f"{key}_low"] for row in mine],
                [row[f"{key}_high"] for row in mine],
                color=colour,
            )
            panel.plot(
                [row[key] for row in mine],
                heights,
                MARKERS[place % len(MARKERS)],
                color=colour,
                markersize=6,
                label=f"{count} layer{'s' * (count != 1)}",
            )
        panel.axvline(facts["haar"][key], color=MUTED, linestyle="--", linewidth=1)
        panel.set_yticks(range(len(names)), [plain(name) for name in names])
        panel.set_ylim(len(names) - 0.4, -0.6)
        panel.set_xlabel(label)
        tidy(panel, title, grid="both")
        panel.tick_params(axis="y", length=0)
    panels[0].set_xscale("log")
    panels[1].set_xlim(-0.03, 1.03)
    panels[1].set_yticklabels([])
    legend_above(figure, _entries(panels))
    return figure


def cost_figure(facts: Facts) -> Figure:
    """Draw success and two-qubit gates of every circuit on every device, a row of panels for each number of layers."""
    devices = list(facts["calibrations"])
    names = list(dict.fromkeys(row["circuit"] for row in facts["rows"]))
    layers = list(dict.fromkeys(row["reps"] for row in facts["rows"]))
    note = (
        f"{facts['num_qubits']} qubits, transpiled to each calibration's best qubits. Success: no error in gates, idle "
        "times and readout, estimated from the calibration."
    )
    figure, panels = new_figure(0.7 + (0.9 + 0.24 * max(len(devices), 1)) * len(layers), len(layers), 2, note)
    kinds = (("success", "estimated success"), ("two_qubit_gates", "two-qubit gates"))
    for number, panel in enumerate(panels):
        count, (key, label) = layers[number // 2], kinds[number % 2]
        for place, name in enumerate(names):
            row = next((r for r in facts["rows"] if (r["circuit"], r["reps"]) == (name, count)), None)
            costs = {} if row is None else {each["calibration"]: each[key] for each in row["devices"]}
            offset = 0.1 * (place - (len(names) - 1) / 2)  # circuits that cost the same lie beside each other
            panel.plot(
                list(costs.values()),
                [devices.index(device) + offset for device in costs],
                MARKERS[place % len(MARKERS)],
                color=PALETTE[place % len(PALETTE)],
                markersize=5,
                label=name,
            )
        panel.set_yticks(range(len(devices)), [plain(device.removeprefix("fake_")) for device in devices])
        panel.set_ylim(len(devices) - 0.4, -0.6)
        if number % 2:
            panel.set_yticklabels([])
            panel.set_xlim(left=-0.5)
            panel.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        else:
            panel.xaxis.set_major_locator(MaxNLocator(5))
            panel.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %", decimals=0))
        panel.set_xlabel(label)
        tidy(panel, f"{count} layer{'s' * (count != 1)}", grid="both")
        panel.tick_params(axis="y", length=0)
    legend_above(figure, _entries(panels))
    return figure


def _entries(panels: Sequence[Axes]) -> dict[str, Artist]:
    entries: dict[str, Artist] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(str(label), handle)
    return entries
