"""What is asked of any figure of the reports."""

from matplotlib import pyplot
from matplotlib.figure import Figure

from qshield_qiskit.reporting.style import render

HOSTILE = "a $run$_{with} \\mathematics & <script>"
"""A name that TeX, XML and a shell would each take for something else."""


def texts(figure):
    return " ".join(text.get_text() for text in figure.findobj(match=lambda part: hasattr(part, "get_text")))


def is_drawn(figure):
    assert isinstance(figure, Figure)
    pixels, vectors = render(figure, "name")
    assert pixels.startswith(b"\x89PNG") and b"<svg" in vectors
    assert not pyplot.get_fignums()  # pyplot keeps none of them
    return pixels, vectors
