"""`qshield report` as it is typed, and the page that it writes."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from robust_run import BALLS, CURVE, MINIMUM, WORST, write_run

from qshield_qiskit import runs
from qshield_qiskit.reporting.folder import RunFolder
from qshield_qiskit.reporting.report import write_report
from qshield_qiskit.reporting.robustness import read_run

VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Checks that tags close in their order, and gathers what the page asks for and says."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.alts, self.links, self.anchors, self.words = [], [], [], [], [], []
        self.tags = set()
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.add(tag)
        self.sources += [attributes[name] for name in ("src", "srcset", "data") if name in attributes]
        self.alts += [attributes["alt"]] if tag == "img" else []
        self.links += [attributes["href"]] if "href" in attributes else []
        self.anchors += [attributes["id"]] if "id" in attributes else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def page_of(paths, **settings):
    written = write_report([read_run(RunFolder(path), "digits: small_cnn") for path in paths], **settings)
    return Page(written.report.read_text()), written


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A run with all that a report can show, and its page."""
    path = write_run(tmp_path_factory.mktemp("runs") / "a")
    return path, *page_of([path])


def test_the_page_is_whole_and_needs_nothing_else(everything):
    path, page, written = everything
    text = written.report.read_text()
    assert all(source.startswith("data:image/") for source in page.sources)
    assert all(link.startswith("#") and link[1:] in page.anchors for link in page.links)
    assert not re.search(r"@import|url\(|<script|<link|<iframe", text)
    assert "https://" not in text and "http://" not in text
    assert all(len(alt) > 20 for alt in page.alts) and len(page.alts) == len(page.sources)
    names = {path.stem for path in written.figures}
    assert {"asr", "epsilon", "norms", "quantum_weight"} < names
    assert {path.suffix for path in written.figures} == {".png", ".svg"}
    assert all(file.parent == path / "figures" and file.is_file() for file in written.figures)


def test_the_page_has_every_rows_numbers_and_the_verdict(everything):
    path, page, _ = everything
    for item in json.loads((path / "robustness.json").read_text()):
        row = f"{item['n']} {item['attacked']} {item['fooled']} {100 * item['asr']:.1f}"
        interval = f"{100 * item['asr_low']:.1f} to {100 * item['asr_high']:.1f}"
        assert f"{row} {interval} {100 * item['robust_accuracy']:.1f}" in page.text
    verdict = json.loads((path / "verdict.json").read_text())
    assert page.text.count(verdict["verdict"]) >= 3  # at a glance, as a checklist, in the head of the table
    for check in verdict["checks"]:
        assert check["says"] in page.text
    assert page.text.index("zero gradients") < page.text.index("black box")  # hard ones first
    assert "4 checks passed, 0 failed, 1 not applicable; L∞ ≤ 0.1, n = 60, EOT = 1, seed = 0" in page.text
    assert "† 1 step of 0.1 stays at a corner of the ball" in page.text


def test_several_runs_stand_side_by_side(tmp_path):
    paths = [write_run(tmp_path / name, [*BALLS, *WORST], seed=seed) for seed, name in enumerate("ab")]
    shutil.rmtree(paths[1] / "adversarial")
    page, written = page_of(paths, output=tmp_path / "both.html")
    assert written.report == tmp_path / "both.html"
    assert written.figures[0].parent == paths[0] / "figures"
    first, second = (np.load(path / "outcomes" / "pgd-linf-0.1.npz") for path in paths)
    common = first["correct"] & second["correct"]
    shares = [f"{100 * run['fooled'][common].mean():.1f}" for run in (first, second)]
    assert re.search(rf"PGD, L∞ ≤ 0.1 {common.sum()} {shares[0]} \[[^]]*\] {shares[1]} \[", page.text)


@pytest.mark.parametrize(
    ("attacks", "hybrid", "there", "missing"),
    [
        (BALLS, True, {"success", "gallery", "weight"}, {"epsilon", "norms"}),
        (MINIMUM, False, {"success", "norms", "gallery"}, {"epsilon", "weight"}),
        ([*CURVE, *WORST], False, {"epsilon", "gallery"}, {"norms", "weight", "circuit"}),
        (WORST, True, {"success", "verdict", "making"}, {"gallery", "epsilon", "norms", "weight", "circuit"}),
    ],
)
def test_sections_without_data_are_left_out(tmp_path, attacks, hybrid, there, missing):
    page, _ = page_of([write_run(tmp_path / "a", attacks, hybrid=hybrid)])
    assert there <= set(page.anchors)
    assert not missing & set(page.anchors)


def test_a_targeted_attacks_gallery_has_a_file_of_its_own(tmp_path):
    path = write_run(tmp_path / "a", BALLS[:1])
    rows = json.loads((path / "robustness.json").read_text())
    rows += [row | {"target": "next"} for row in rows]
    (path / "robustness.json").write_text(json.dumps(rows))
    _, written = page_of([path])
    galleries = [file.name for file in written.figures if file.name.startswith("gallery")]
    assert len(galleries) == len(set(galleries)) == 2 * len(rows)  # PNG and SVG


def test_nothing_fooled_and_nothing_known(tmp_path):
    path = write_run(tmp_path / "a", [(*attack[:3], -1.0) for attack in (*BALLS, *CURVE, *MINIMUM, *WORST)])
    for name in ("metrics.json", "environment.json"):
        (path / name).unlink()
    shutil.rmtree(path / "outcomes")
    page, _ = page_of([path])
    assert "clean accuracy not measured" in page.text


def test_without_a_verdict_the_page_says_how_to_make_one(tmp_path):
    path = write_run(tmp_path / "a", WORST, verdict=None)
    page, _ = page_of([path])
    assert "no verdict yet" in page.text
    assert f"qshield verdict {path}" in page.text


def test_masking_is_announced_before_any_figure(tmp_path):
    page, _ = page_of([write_run(tmp_path / "a", WORST, verdict="masking detected")])
    assert page.text.index("Masking detected.") < page.text.index("Fooled (ASR)")


def test_hostile_text_is_only_text(tmp_path):
    path = write_run(tmp_path / "<script>alert(1)</script> $x$", WORST)
    evil = '"><script>alert(2)</script>$title'
    for name in ("robustness.json", "verdict.json"):
        content = json.loads((path / name).read_text())
        rows = content if name == "robustness.json" else content["checks"]
        for row in rows:
            row |= {key: evil for key in ("weak", "source", "says", "backend", "target") if key in row}
        (path / name).write_text(json.dumps(content))
    page, _ = page_of([path])
    assert "script" not in page.tags
    assert "alert(2)" in page.text


def test_report_of_a_trained_run(qshield, tmp_path):
    small = ["data.train_images=100", "data.test_images=20", "training.epochs=1", "circuit.num_qubits=2"]
    assert qshield("train", *small).exit_code == 0
    path = runs.load_run("last").folder.path
    refused = qshield("report")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"no robustness.json yet; make it with: qshield attack {path}" in refused.stderr
    other = write_run(tmp_path / "other")
    for name in ("robustness.json", "outcomes", "adversarial"):
        (other / name).rename(path / name)
    result = qshield("report", "--json")
    assert result.exit_code == 0, result.stderr
    written = json.loads(result.stdout)
    assert written["report"] == str(path / "report.html")
    assert str(path / "figures" / "circuit.svg") in written["figures"]
    assert "circuit" in Page((tmp_path / written["report"]).read_text()).anchors
    (tmp_path / "file").write_text("")
    refused = qshield("report", "--output", "file/report.html")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    shutil.rmtree(path / "figures")
    (path / "figures").write_text("")
    refused = qshield("report")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert "figures need a folder" in refused.stderr
    missing = qshield("report", "nowhere")
    assert (missing.exit_code, missing.stderr.count("\n")) == (2, 1)
