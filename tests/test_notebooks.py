"""The tutorials: they run from beginning to end, and what is committed is what a run shows."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
ABSOLUTE_PATH = re.compile(r"(?<![\w.])/(work|home|root|tmp|private|Users|opt|usr|var)\b|\b[A-Z]:\\")

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell: NotebookNode) -> list[str]:
    """All that a cell put out, without its pictures."""
    found = [output.get("text", "") for output in cell.outputs]
    found += [
        str(data)
        for output in cell.outputs
        for kind, data in output.get("data", {}).items()
        if "image" not in kind
    ]
    return [text for text in found if text]


def pictures(cell: NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def test_there_are_tutorials():
    assert NOTEBOOKS


@each_notebook
def test_runs_without_an_error(path, tmp_path, monkeypatch):
    # Two threads for so small a network gain nothing, and beside other tests they wait for each other.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = read(path)
    before = [(bool(texts(cell)), pictures(cell)) for cell in code_cells(notebook)]
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    )
    client.execute()
    assert [(bool(texts(cell)), pictures(cell)) for cell in code_cells(notebook)] == before


@each_notebook
def test_committed_outputs_are_whole(path):
    cells = code_cells(read(path))
    for cell in cells:
        if "print(" in cell.source:
            assert any(output.output_type == "stream" for output in cell.outputs), cell.source
        if "plt.show()" in cell.source:
            assert pictures(cell), cell.source
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(map(pictures, cells)) >= 2


@each_notebook
def test_committed_outputs_carry_no_warnings_and_no_paths(path):
    for cell in code_cells(read(path)):
        streams = [output.name for output in cell.outputs if output.output_type == "stream"]
        assert "stderr" not in streams, cell.source
        for text in texts(cell):
            assert not ABSOLUTE_PATH.search(text), text


@each_notebook
def test_opens_with_what_the_reader_will_know(path):
    opening = read(path).cells[0]
    assert opening.cell_type == "markdown"
    assert "you will know" in opening.source
