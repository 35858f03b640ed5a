"""The figures of a sweep: what they show of each model, that they cannot be misread, and how a grid becomes panels."""

from __future__ import annotations

import json
import math

import pytest
from drawn import HOSTILE, is_drawn, texts

from qshield_qiskit.reporting.style import DPI
from qshield_qiskit.reporting.sweep_figures import MARKS, Estimate, Panel, differences, worst_cases
from qshield_qiskit.reporting.sweep_lines import VERDICTS, lines
from qshield_qiskit.reporting.sweep_plates import Layout
from qshield_qiskit.sweeps.grid import expand

MASKED, SUSPECT, TRUSTED = VERDICTS


def estimate(label="a", verdict=TRUSTED, value=0.4, interval=(0.3, 0.5), **more):
    return Estimate(label, verdict, value, interval, **more)


def hatched(figure):
    return figure.findobj(lambda part: getattr(part, "get_hatch", lambda: None)())


def marks(axes, marker):
    return [line.get_xydata().tolist() for line in axes.lines if line.get_marker() == marker]


@pytest.mark.parametrize("draw", [worst_cases, differences])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("models", [1, 18])
def test_every_model_has_its_row_in_every_panel(draw, groups, models):
    titles = ("HQCNN-None adversarially trained", HOSTILE)
    shown = [
        estimate(f"{titles[k % 2]} {k}", [*VERDICTS, ""][k % 4], seeds=(0.3, 0.5)) for k in range(models)
    ]
    rows = [
        [Panel([*part, f"group {k}"], "about $n$", shown) for k in range(groups)] for part in ([], [HOSTILE])
    ]
    figure = draw(rows, "note")
    is_drawn(figure)
    panels = [axes for axes in figure.axes if axes.axison]
    assert len(panels) == 2 * groups
    for axes in panels:
        assert len(axes.get_yticks()) == models
        assert len(marks(axes, ".")) == models
    names = [label for axes in panels for label in axes.get_yticklabels() if label.get_text()]
    assert len(names) == models * 2 * math.ceil(groups / 2)  # at the left of two panels
    figure.set_dpi(DPI)
    figure.draw_without_rendering()
    assert min(label.get_window_extent().x0 for label in names) >= 0  # no name is cut off


@pytest.mark.parametrize(
    ("value", "interval", "end"),
    [
        (0.02, (0.01, 0.04), 0.1),
        (0.08, (0.0, 0.3), 0.5),
        (0.97, (0.9, 1.2), 1.0),
        (0.97, None, 1.0),
        (0.1, (-0.9, 1.1), 1.0),
    ],
)
def test_success_is_drawn_from_0_on_one_scale_that_holds_it(value, interval, end):
    panels = [
        Panel(["a"], "", [estimate(value=value, interval=interval)]),
        Panel(["b"], "", [estimate(value=None)]),
    ]
    figure = worst_cases([panels])
    is_drawn(figure)
    assert [axes.get_xlim()[1] for axes in figure.axes] == pytest.approx([1.03 * end] * 2)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()][::2][::2] == [
        "0 %",
        f"{100 * end:g} %",
    ]


@pytest.mark.parametrize(
    ("verdict", "word"), [(MASKED, "MASKING DETECTED"), (SUSPECT, "SUSPECT"), (TRUSTED, ""), ("", "")]
)
@pytest.mark.parametrize("draw", [worst_cases, differences])
def test_what_the_verdict_does_not_vouch_for_looks_and_reads_otherwise(draw, verdict, word):
    figure = draw([[Panel(["paper"], "", [estimate("CNN", verdict), estimate("other")])] * 2])
    is_drawn(figure)
    name = figure.axes[0].get_yticklabels()[0].get_text()
    assert name == (f"CNN\n{word}" if word else "CNN")
    assert len(hatched(figure)) == 2 * bool(word)  # in each panel
    assert MARKS[verdict].words in texts(figure)
    looks = [(mark.marker, mark.filled, mark.hatch) for mark in MARKS.values()]
    assert len(set(looks)) == len(MARKS)  # without colour


def test_points_and_intervals_stand_where_the_figures_are():
    several = estimate("several", value=0.4, interval=(0.1, 0.7), seeds=(0.3, math.nan, 0.5))
    single = estimate("single", value=0.2, interval=(0.15, 0.25), seeds=(0.2,), over_images=True)
    figure = worst_cases([[Panel(["paper"], "", [several, single, estimate("none", value=None)])]])
    is_drawn(figure)
    (axes,) = figure.axes
    assert [[x for x, _ in points] for points in marks(axes, "o")] == [[0.4], [0.2]]
    assert [[x for x, _ in points] for points in marks(axes, "|")] == [[0.1, 0.7]]
    assert [[x for x, _ in points][::2] for points in marks(axes, ".")] == [[0.3, 0.5]]
    assert "no figure" in texts(figure)
    assert "95 % over seeds" in texts(figure) and "95 % over images, one seed" in texts(figure)


@pytest.mark.parametrize(
    ("estimates", "farthest"),
    [([estimate(interval=(-0.2, 0.6))], 0.6), ([estimate(value=0.9, interval=(-3, 4.8))], 1.0)],
)
def test_differences_are_drawn_about_zero_as_far_as_a_difference_can_be(estimates, farthest):
    figure = differences([[Panel(["paper"], "", estimates)]])
    is_drawn(figure)
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    assert low == -high and farthest < high < 1.1 * farthest
    assert any(list(line.get_xdata()) == [0, 0] for line in axes.lines)


@pytest.mark.parametrize(
    ("experiment", "typed", "axis", "models", "parts"),
    [
        ("paper/digits", ["model=CNN,HQCNN-Full"], "model", ["CNN", "HQCNN-Full"], [()]),
        ("digits", ["seed=0,1"], None, ["hqcnn-full"], [()]),
        ("digits", ["circuit=none,full", "seed=0"], "circuit", ["none", "full"], [()]),
        (
            "digits",
            ["dataset=digits,mnist", "circuit=none,full"],
            "circuit",
            ["none", "full"],
            [("dataset digits",), ("dataset mnist",)],
        ),
        ("digits", ["dataset=digits,mnist"], "dataset", ["digits", "mnist"], [()]),
        (
            "paper/digits",
            ["model=CNN,HQCNN-Full", "training.defence.name=none,pgd"],
            "model",
            ["CNN", "HQCNN-Full"],
            [("defence none",), ("defence pgd",)],
        ),
    ],
)
def test_one_axis_of_a_grid_names_models_and_the_others_make_panels(experiment, typed, axis, models, parts):
    rows = [
        {
            "line": cell.line,
            "choices": json.dumps(cell.choices),
            "dataset": cell.settings.dataset.name,
            "model": "hqcnn-full",
        }
        for cell in expand(experiment, typed)[1]
    ]
    layout, found = Layout(rows), lines(rows)
    assert layout.axis == axis
    assert list(dict.fromkeys(map(layout.model, found))) == models
    assert list(dict.fromkeys(map(layout.part, found))) == parts
    assert len({(layout.model(line), layout.part(line)) for line in found}) == len(found)
