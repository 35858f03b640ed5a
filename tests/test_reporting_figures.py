"""Every figure of the report, for the shapes that data comes in."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import HOSTILE, is_drawn, texts

from qshield_qiskit.reporting.comparison import Compared, Curve, Share
from qshield_qiskit.reporting.figures import (
    Norms,
    Weights,
    asr_bars,
    epsilon_curves,
    norm_distributions,
    quantum_weights,
)
from qshield_qiskit.reporting.gallery import gallery
from qshield_qiskit.reporting.robustness import Examples, Key

PGD = Key("pgd", "linf", 0.1, None, False)
WORST = PGD._replace(attack="worst_case")


@pytest.mark.parametrize(
    "names", [["run"], [f"{letter}  run" for letter in "ABCDEFGHI"], [f"A  {HOSTILE}", "B  b"]]
)
def test_asr_bars(names):
    shares = (Share(10, 10), Share(0, 10), Share(0, 0), None, Share(5, 10), *[Share(1, 2)] * 4)[: len(names)]
    figure = asr_bars(names, [Compared(PGD, shares), Compared(WORST, shares)], "note")
    is_drawn(figure)
    assert "100.0 %  (10/10)" in texts(figure)
    assert ("no common image" in texts(figure)) == (len(names) > 2)


@pytest.mark.parametrize("names", [["run"], ["A  one", "B  two"]])
def test_epsilon_curves(names):
    shares = (Share(9, 10), Share(5, 10), Share(0, 10))
    found = [
        Curve(subject, key._replace(epsilon=None, norm=norm), (0.0, 0.1, 0.2), shares)
        for subject in range(len(names))
        for key in (PGD, WORST)
        for norm in ("linf", "l2")
    ]
    figure = epsilon_curves(names, found, "note")
    is_drawn(figure)
    assert len(figure.axes) == 2
    assert len(figure.legends[0].get_texts()) == 2 * len(names)


@pytest.mark.parametrize(
    "fooled",
    [np.float32([]), np.float32([0.5]), np.float32([0.0, 0.0]), np.linspace(0, 3, 50, dtype=np.float32)],
)
def test_norm_distributions(fooled):
    figure = norm_distributions([Norms("C&W", "l2", fooled, 3), Norms(HOSTILE, "linf", fooled, 0)])
    is_drawn(figure)
    words = f"median {np.median(fooled):.3g}" if len(fooled) else "none fooled"
    assert words in texts(figure)


@pytest.mark.parametrize("count", [1, 4, 6])
def test_quantum_weights(count):
    weights = np.float32([0.2, 0.4, 0.9])
    figure = quantum_weights([Weights("PGD", weights, 1 - weights)] * count)
    is_drawn(figure)
    assert "median 40 % to 60 %, n = 3" in texts(figure)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 12), (2, 8, 8), (1, 1, 30), (1, 30, 20)])
@pytest.mark.parametrize("count", [1, 6, 8])
def test_gallery(shape, count):
    clean = np.full((count, *shape), 0.5, np.float32)
    adversarial = clean.copy()
    adversarial[0, -1, 0, 0] = 0.25
    labels = np.arange(count)
    after = labels + (labels == 0)
    figure = gallery("PGD", Examples(labels, labels, clean, adversarial, labels, after), "note")
    is_drawn(figure)
    assert "-0.25 darker" in texts(figure) and "+0.25 brighter" in texts(figure)
    assert "says 1 ✗" in texts(figure)
    assert texts(figure).count("✗") == 1  # one of them was fooled


def test_a_gallery_of_nothing_changed():
    image = np.zeros((1, 1, 4, 4), np.float32)
    zero = np.zeros(1, int)
    is_drawn(gallery("PGD", Examples(zero, zero, image, image, zero, zero)))


def test_drawing_twice_gives_the_same_bytes():
    def draw():
        return is_drawn(asr_bars(["run"], [Compared(PGD, (Share(1, 2),))]))

    assert draw() == draw()
