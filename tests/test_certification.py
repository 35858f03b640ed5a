"""Certificates of a trained run: what they leave in its folder, `qshield certify` as it is typed, and the report."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from qshield_qiskit import certification, judgement, runs
from qshield_qiskit.config import load_settings
from qshield_qiskit.errors import BudgetSpent, InputError
from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.reporting.certificates import read_certificates, read_items
from qshield_qiskit.reporting.certified import (
    beaten,
    certificate_plates,
    certificate_words,
    certificates_of,
    smallest_perturbations,
)
from qshield_qiskit.reporting.comparison import subjects
from qshield_qiskit.reporting.report import write_report
from qshield_qiskit.reporting.robustness import read_run

SMALL = (
    "data.train_images=600",
    "data.test_images=40",
    "training.epochs=3",
    "circuit.num_qubits=2",
    "circuit.reps=1",
)
FEW = ("certificate.images=5", "certificate.symbols=16", "certificate.n=60", "certificate.n0=20")
CONTRACT = {
    *("certificate", "bound", "norm", "parameters", "backend", "backend_options", "seed", "n", "image_set"),
    *("applies", "correct", "median_radius", "largest_radius", "curve", "seconds", "says", "radii"),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    settings = load_settings("digits", [*SMALL, f"runs={tmp_path_factory.mktemp('runs')}"])
    return runs.train(settings).folder.path


@pytest.fixture(scope="module")
def certified(trained, tmp_path_factory):
    """A copy of the run with all certificates and an attack on it."""
    copy = runs.load_run(shutil.copytree(trained, tmp_path_factory.mktemp("runs") / "digits" / trained.name))
    rows = certification.certify_run(copy, FEW)
    attack = ("attack=pgd,deepfool", "attack.images=10", "attack.epsilon=0.05,0.3", "attack.options.steps=8")
    judgement.attack_run(copy, attack)
    return copy, rows


def test_a_certificate_is_kept_although_the_next_one_ends_early(trained, tmp_path, monkeypatch):
    run, honest = runs.load_run(shutil.copytree(trained, tmp_path / trained.name)), certification.certify

    def spent(model, images, labels, name, **settings):
        if name == "smoothing":
            raise BudgetSpent("the budget is spent")
        return honest(model, images, labels, name, **settings)

    monkeypatch.setattr(certification, "certify", spent)
    with pytest.raises(BudgetSpent):
        certification.certify_run(run, (*FEW, "certificate=noise,smoothing"))
    assert [row["certificate"] for row in read_items(run.folder)] == ["noise"]


def test_rows_and_radii_are_what_the_contract_says(certified):
    run, rows = certified
    assert read_items(run.folder) == json.loads(json.dumps(rows))
    names = [(row["certificate"], row["bound"], row["norm"]) for row in rows]
    assert names == [
        ("smoothing", None, "l2"),
        ("lipschitz", "transfer", "linf"),
        ("lipschitz", "generators", "linf"),
        ("lipschitz", "transfer", "l2"),
        ("lipschitz", "generators", "l2"),
        ("noise", None, None),
    ]
    *applying, noise = rows
    assert not noise["applies"] and "classical branch" in noise["says"] and "\n" not in noise["says"]
    test = run.dataset().test
    with torch.no_grad():
        right = (run.model(test.images[:5]).argmax(1) == test.labels[:5]).numpy()
    for row in applying:
        assert row.keys() >= CONTRACT
        with np.load(run.folder.path / row["radii"]) as arrays:
            assert arrays.keys() == {"index", "label", "predicted", "correct", "radius"}
            assert np.array_equal(arrays["index"], np.arange(5))
            assert np.array_equal(arrays["correct"], arrays["predicted"] == arrays["label"])
            if row["certificate"] == "lipschitz":
                assert np.array_equal(arrays["correct"], right)
            radii = np.where(arrays["correct"], arrays["radius"], -1)
        assert row["correct"] == (radii >= 0).sum() == row["curve"][0]["certified"]
        assert row["median_radius"] == pytest.approx(np.median(radii[radii >= 0]))
        assert row["curve"][0]["radius"] == 0
        for point in row["curve"]:
            assert point["certified"] == (radii >= point["radius"]).sum()
            assert point["accuracy"] == point["certified"] / 5
            assert (point["low"], point["high"]) == wilson_interval(point["certified"], 5)
        counts = [point["certified"] for point in row["curve"]]
        assert counts == sorted(counts, reverse=True)


def test_a_row_replaces_its_like_and_nothing_else(certified, tmp_path):
    run, rows = certified
    copy = runs.load_run(shutil.copytree(run.folder.path, tmp_path / run.folder.path.name))
    again = [*FEW, "certificate=smoothing"]
    certification.certify_run(copy, again)
    assert len(read_items(copy.folder)) == len(rows)
    certification.certify_run(copy, [*again, "certificate.sigma=0.5"])
    assert len(read_items(copy.folder)) == len(rows) + 1
    certification.certify_run(copy, [*again, "backend=aer_ideal"])
    assert len(read_items(copy.folder)) == len(rows) + 2
    assert [row.title for row in read_certificates(copy.folder)].count("smoothing (sigma 0.25)") == 2
    certification.certify_run(copy, [*FEW, "certificate=noise"])
    assert len(read_items(copy.folder)) == len(rows) + 2


def test_the_report_shows_certificates_beside_attacks(certified):
    run, _ = certified
    read = read_run(run.folder)
    (model,) = subjects([read])
    assert len(certificates_of(model)) == 6
    (plate,) = certificate_plates([model])
    assert [panel.get_title(loc="left") for panel in plate.figure.axes] == ["L∞ (n = 5)", "L2 (n = 5)"]
    labels = {text.get_text() for text in plate.figure.legends[0].get_texts()}
    assert labels == {
        "smoothing (sigma 0.25)",
        "Lipschitz (transfer)",
        "Lipschitz (generators)",
        "not turned by any attack",
    }
    (words,) = certificate_words([model])
    assert "0 of" in words and "classical branch" in words and "smoothed classifier" in words
    written = write_report([read])
    assert 'id="certificates"' in written.report.read_text()
    assert (run.folder.path / "figures" / "certificates.svg").is_file()


def test_an_attack_that_beats_a_certificate_would_be_counted(certified, tmp_path):
    run, _ = certified
    folder = shutil.copytree(run.folder.path, tmp_path / "copy")
    (model,) = subjects([read_run(runs.load_run(folder).folder)])
    (row,) = [
        r for r in certificates_of(model) if (r.figures["bound"], r.figures["norm"]) == ("transfer", "linf")
    ]
    index, radii = row.radii
    found = smallest_perturbations(model, "linf", index)
    assert beaten(model, row) == (0, int((radii > 0).sum()))
    victim = int(np.argmax(radii))
    assert found[victim] > radii[victim]
    path = row.folder / row.figures["radii"]
    with np.load(path) as arrays:
        changed = {name: arrays[name].copy() for name in arrays.files}
    changed["radius"][victim] = 1.0  # certified further than the attack needed
    np.savez(path, **changed)
    (model,) = subjects([read_run(runs.load_run(folder).folder)])
    (row,) = [
        r for r in certificates_of(model) if (r.figures["bound"], r.figures["norm"]) == ("transfer", "linf")
    ]
    assert beaten(model, row)[0] == 1
    class_of_victim = int(np.load(path)["label"][victim])
    judgement.attack_run(
        runs.load_run(folder), ("attack=fgsm", "attack.images=10", f"attack.target={class_of_victim}")
    )
    (model,) = subjects([read_run(runs.load_run(folder).folder)])
    assert beaten(model, row)[0] == 1, "an attack that aims at its class says nothing of it"
    (smoothing,) = [r for r in certificates_of(model) if r.figures["certificate"] == "smoothing"]
    assert beaten(model, smoothing) is None  # it is about another classifier
    assert smallest_perturbations(model, "linf", np.array([0, 39])) is None  # nobody attacked the last one


def test_certify_as_it_is_typed(trained, qshield, tmp_path):
    path = shutil.copytree(trained, tmp_path / "runs" / "digits" / trained.name)
    smoothing = [*FEW, "certificate=smoothing", "certificate.radii=[0.1,32/255]"]
    shown = qshield("certify", "last", *smoothing)
    assert shown.exit_code == 0, shown.stderr
    assert "≤ 0.1" in shown.stdout and "smoothed classifier" in shown.stdout
    printed = qshield("certify", str(path), *smoothing, "--json")
    assert printed.exit_code == 0, printed.stderr
    content = json.loads(printed.stdout)
    assert content["run"] == str(path)
    assert [row["certificate"] for row in content["rows"]] == ["smoothing"]
    vacuous = qshield(
        "certify", *FEW, "certificate=lipschitz", "certificate.norm=linf", "certificate.radii=[0.9]"
    )
    assert "vacuous here" in vacuous.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["certificate=smoothin"], "did you mean smoothing"),
        (["certificate.sigma=0"], "certificate.sigma"),
        (["certificate.radii=[-1]"], "certificate.radii"),
        (["certificate.images=99"], "40 test images"),
        (["training.epochs=3"], "belongs to the training"),
        (["certificate.norm=l0"], "certificate.norm"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(trained, qshield, tmp_path, words, says):
    path = shutil.copytree(trained, tmp_path / "runs" / "digits" / trained.name)
    result = qshield("certify", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr
    assert result.stderr.strip().count("\n") == 0
    assert not (path / "certificates.json").exists()


def test_damaged_certificates_are_named(certified, tmp_path):
    run, _ = certified
    folder = shutil.copytree(run.folder.path, tmp_path / "copy")
    (folder / "certificates.json").write_text('[{"certificate": "noise"}]')
    with pytest.raises(InputError, match="qshield certify"):
        read_run(runs.load_run(folder).folder)
