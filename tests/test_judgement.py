"""Attacks on a trained run: what they leave in its folder, and `qshield attack` as it is typed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from qshield_qiskit import assembly, config, judgement, outcomes, runs
from qshield_qiskit.config import load_settings
from qshield_qiskit.errors import InputError
from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.reporting.recording import read_outcome, read_rows
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.rounds import check_inside
from qshield_qiskit.subjects import KEYS, subject

SMALL = (
    "data.train_images=600",
    "data.test_images=40",
    "training.epochs=4",
    "circuit.num_qubits=2",
    "circuit.reps=1",
)
FEW = ("attack.images=20",)
PGD = (*FEW, "attack=pgd", "attack.options.steps=5")
PGD_STEPS = {"steps": 5}
CONTRACT = {  # of robustness.json, which other people's scripts read
    *("attack", "norm", "epsilon", "backend", "attacked", "fooled", "asr", "asr_own", "asr_low", "asr_high"),
    *(
        "image_set",
        "median_l0",
        "median_l2",
        "median_linf",
        "queries",
        "gradients",
        "seconds",
        "parameters",
        "seed",
    ),
}
ARRAYS = {"index", "label", "clean", "adversarial", "correct", "fooled", "l0", "l2", "linf"}
WEIGHTS = {"weight_clean", "weight_adversarial", "disagreement_clean", "disagreement_adversarial"}


def train(folder, *dotted: str) -> runs.Run:
    return runs.train(load_settings("digits", [*SMALL, f"runs={folder}", *dotted]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs")).folder.path


@pytest.fixture(scope="module")
def trained_twin(tmp_path_factory):
    return train(tmp_path_factory.mktemp("twins"), "model.branch=none", "seed=1").folder.path


@pytest.fixture
def run(trained, tmp_path) -> runs.Run:
    """A copy of the run, without attacks."""
    return runs.load_run(shutil.copytree(trained, tmp_path / "runs" / "digits" / trained.name))


@pytest.fixture
def twin(trained_twin, tmp_path) -> runs.Run:
    return runs.load_run(shutil.copytree(trained_twin, tmp_path / "runs" / "twin" / trained_twin.name))


def refused(run: runs.Run, *dotted: str, **more: object) -> str:
    with pytest.raises(InputError) as refusal:
        judgement.attack_run(run, dotted, **more)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_rows_and_arrays_are_what_the_contract_says(run):
    new = judgement.attack_run(run, [*FEW, "attack=quick", "attack.epsilon=0.1", "attack.options.steps=5"])
    rows = read_rows(run.folder)
    assert rows == json.loads(json.dumps(new))
    assert [row["attack"] for row in rows] == ["fgsm", "pgd", "apgd", "deepfool", "square", "worst_case"]
    test = run.dataset().test
    with torch.no_grad():
        correct = run.model(test.images[:20]).argmax(1) == test.labels[:20]
    assert correct.sum() > 10
    for row in rows:
        assert row.keys() >= CONTRACT
        assert (row["n"], row["attacked"], row["backend"]) == (20, int(correct.sum()), "aer_noisy")
        assert row["asr"] == row["asr_own"] == row["fooled"] / row["attacked"]
        assert (row["asr_low"], row["asr_high"]) == wilson_interval(row["fooled"], row["attacked"])
        assert row["robust_accuracy"] == (row["attacked"] - row["fooled"]) / 20
        assert row["epsilon"] == (None if row["attack"] == "deepfool" else 0.1)
        arrays = read_outcome(run.folder, row)
        assert np.array_equal(arrays["index"], np.arange(20))
        assert np.array_equal(arrays["label"], test.labels[:20])
        assert np.array_equal(arrays["correct"], correct)
        assert int(arrays["fooled"].sum()) == row["fooled"]
        if row["attack"] == "worst_case":
            assert row["median_l2"] is None
            continue
        assert arrays.keys() == ARRAYS | WEIGHTS
        assert np.array_equal(
            arrays["fooled"], arrays["correct"] & (arrays["adversarial"] != arrays["label"])
        )
        for norm in ("l0", "l2", "linf"):
            assert np.isnan(arrays[norm][~arrays["correct"]]).all()
            sizes = arrays[norm][arrays["fooled"]]
            expected = None if len(sizes) == 0 else pytest.approx(np.median(sizes))
            assert row[f"median_{norm}"] == expected
        assert (arrays["weight_clean"] >= 0).all() and (arrays["weight_clean"] <= 1).all()
        assert np.isnan(arrays["weight_adversarial"][~arrays["correct"]]).all()
    assert len({row["image_set"] for row in rows}) == 1
    assert [row["weak"] is None for row in rows] == [True] * 6


def test_the_worst_case_is_the_union_of_bounded_attacks(run):
    first = judgement.attack_run(run, [*PGD, "attack.epsilon=0.1"])
    second = judgement.attack_run(run, [*FEW, "attack=fgsm,square,deepfool", "attack.epsilon=0.1"])
    members = [row for row in [*first, *second] if row["attack"] in {"pgd", "fgsm", "square"}]
    union = np.logical_or.reduce([read_outcome(run.folder, row)["fooled"] for row in members])
    worst = [row for row in read_rows(run.folder) if row["attack"] == "worst_case"]
    assert worst == json.loads(json.dumps([second[-1]]))  # the first one was replaced
    assert np.array_equal(read_outcome(run.folder, worst[0])["fooled"], union)
    assert worst[0]["fooled"] == int(union.sum()) >= max(row["fooled"] for row in members)
    assert sorted(worst[0]["parameters"]["attacks"]) == ["fgsm", "pgd", "square"]
    assert worst[0]["seconds"] == pytest.approx(sum(row["seconds"] for row in members))


def test_a_repeated_key_replaces_its_row_and_another_does_not(run):
    def attacked(*dotted: str) -> list[str]:
        judgement.attack_run(run, [*PGD, "attack.epsilon=0.1", *dotted])
        return [row["attack"] for row in read_rows(run.folder)]

    assert attacked() == ["pgd", "worst_case"]
    before = read_rows(run.folder)
    assert attacked() == ["pgd", "worst_case"]
    after = read_rows(run.folder)
    timing = ("seconds", "seconds_per_image")
    assert [{k: v for k, v in row.items() if k not in timing} for row in after] == [
        {k: v for k, v in row.items() if k not in timing} for row in before
    ]
    assert attacked("attack.options.steps=6").count("pgd") == 2  # other parameters
    assert attacked("attack.epsilon=0.2").count("pgd") == 3
    assert attacked("backend=aer_ideal").count("pgd") == 4
    assert attacked("attack.eot=2").count("pgd") == 5
    assert attacked("attack.target=likely").count("pgd") == 6
    assert attacked("attack.norm=l2").count("pgd") == 7
    assert attacked().count("pgd") == 7


def test_another_strength_of_noise_is_another_backend(run):
    for p, attacks in (("0.01", "fgsm,pgd"), ("0.3", "pgd")):
        noise = [f"attack={attacks}", "backend=paper_noise", f"backend.p={p}"]
        judgement.attack_run(run, [*FEW, *noise, "attack.epsilon=0.1", "attack.options.steps=5"])
    rows = read_rows(run.folder)
    assert [row["attack"] for row in rows] == ["fgsm", "pgd", "worst_case", "pgd", "worst_case"]
    assert rows[-1]["parameters"]["attacks"] == ["pgd"]  # a worst case does not mix them
    assert [row["backend_options"] for row in rows[2:4]] == ["p=0.01", "p=0.3"]


def test_an_attack_that_a_budget_ended_does_not_take_the_place_of_the_whole_one(run):
    whole, _ = judgement.attack_run(run, [*PGD, "attack.epsilon=0.1"])
    ended, worst = judgement.attack_run(run, [*PGD, "attack.epsilon=0.1", "attack.max_queries=30"])
    assert ended["weak"]
    assert {row["max_queries"] for row in read_rows(run.folder) if row["attack"] == "pgd"} == {None, 30}
    assert worst["fooled"] >= whole["fooled"]


def test_a_worst_case_of_fewer_images_does_not_take_the_place_of_the_whole_one(run):
    _, whole = judgement.attack_run(run, [*PGD, "attack.epsilon=0.3"])
    judgement.attack_run(run, ["attack=fgsm", "attack.epsilon=0.3", "attack.images=10"])
    assert [row["n"] for row in read_rows(run.folder) if row["attack"] == "worst_case"] == [20, 10]
    assert whole in read_rows(run.folder)


def test_a_worst_case_keeps_what_an_attack_found_whose_row_is_gone(run):
    *_, whole = judgement.attack_run(run, [*FEW, "attack=pgd,square", "attack.epsilon=0.3"])
    judgement.attack_run(run, [*FEW, "attack=pgd,square", "attack.epsilon=0.3", "attack.images=10"])
    assert {row["n"] for row in read_rows(run.folder) if row["attack"] == "pgd"} == {10}
    *_, again = judgement.attack_run(run, [*FEW, "attack=fgsm", "attack.epsilon=0.3"])
    assert set(again["parameters"]["attacks"]) == {"pgd", "square", "fgsm"}
    assert again["fooled"] >= whole["fooled"]
    assert again in read_rows(run.folder)
    assert whole not in read_rows(run.folder)


@pytest.mark.parametrize(
    ("given", "radius"),
    [
        (["attack=square_l2", "attack.epsilon=0.9"], 32 / 255),
        (["attack=pgd", "attack.norm=l2", "attack.epsilon=0.9"], 32 / 255),
        (["attack=square_l2,pgd", "attack.epsilon=0.2"], 0.2),
        (["attack=deepfool", "attack.epsilon=0.2"], 0.2),
        (["attack=quick", "attack.epsilon=0.05,0.2"], 0.2),
    ],
)
def test_a_verdict_is_in_the_sup_norm(run, monkeypatch, given, radius):
    judged = []
    monkeypatch.setattr(judgement, "verdict", lambda *_, **more: judged.append(more["epsilon"]) or {})
    judgement.judge_run(run, [*FEW, *given], keep=False)
    assert judged == [pytest.approx(radius)]


def test_what_an_attack_did_to_other_images_stays_in_a_file_of_its_own(run):
    few, _ = judgement.attack_run(run, [*PGD, "attack.epsilon=0.1"])
    before = read_outcome(run.folder, few)
    more, _ = judgement.attack_run(run, [*PGD, "attack.epsilon=0.1", "attack.images=30"])
    assert [row["n"] for row in read_rows(run.folder) if row["attack"] == "pgd"] == [30]
    assert len(read_outcome(run.folder, more)["index"]) == 30
    for name, values in read_outcome(run.folder, few).items():
        np.testing.assert_array_equal(values, before[name])


def test_an_attack_that_is_there_already_counts_for_a_preset_too(run):
    judgement.attack_run(run, [*FEW, "attack=fgsm", "attack.epsilon=0.1"])
    rows = judgement.attack_run(run, [*FEW, "attack=quick", "attack.epsilon=0.1"], anew=False)
    assert {row["attack"] for row in rows if row.get("presets") == ["quick"]} >= {"fgsm", "pgd"}
    assert len([row for row in read_rows(run.folder) if row["attack"] == "fgsm"]) == 1


@pytest.mark.parametrize(
    ("kept", "quick", "anew"),
    [
        ({}, False, 0),
        ({}, True, 0),
        ({"quick": True}, True, 0),
        ({"quick": True}, False, 1),
        ({"n": 10}, False, 1),
        ({"n": 10}, True, 1),
        ({"epsilon": 0.2}, True, 1),
    ],
    ids=str,
)
def test_a_quicker_verdict_or_one_on_other_images_is_not_the_one_that_is_asked_for(
    run, monkeypatch, kept, quick, anew
):
    judged = []
    monkeypatch.setattr(judgement, "judge_run", lambda *_, **more: judged.append(more) or {})
    verdict = {"epsilon": 32 / 255, "backend": "aer_noisy", "backend_options": "", "eot": 1, "quick": False}
    run.folder.write_json("verdict.json", verdict | {"n": 40} | kept)
    judgement.verdict_once(run, quick=quick)
    assert [more["quick"] for more in judged] == [quick] * anew


def test_a_curve_and_a_list(run):
    rows = judgement.attack_run(
        run, [*FEW, "attack=pgd,fgsm", "attack.epsilon=0:0.3:4", "attack.options.steps=5"]
    )
    found = [(row["attack"], row["epsilon"]) for row in rows]
    radii = [pytest.approx(radius) for radius in (0.1, 0.2, 0.3)]  # nothing is changed at 0
    assert found == [(name, radius) for name in ("pgd", "fgsm", "worst_case") for radius in radii]
    asr = {name: [row["asr"] for row in rows if row["attack"] == name] for name in ("pgd", "worst_case")}
    assert asr["pgd"] == sorted(asr["pgd"])
    assert all(worst >= pgd for worst, pgd in zip(asr["worst_case"], asr["pgd"], strict=True))


def test_every_attack_is_announced_and_tells_how_far_it_is(run):
    heard: list[tuple] = []

    def announce(name, epsilon):
        heard.append((name, epsilon))
        return lambda done, total, fooled: heard.append((done, total))

    dotted = [*FEW, "attack=fgsm,deepfool", "attack.epsilon=0.1,0.2", "attack.options.steps=3"]
    judgement.attack_run(run, dotted, announce=announce)
    assert [one for one in heard if isinstance(one[0], str)] == [
        ("fgsm", 0.1),
        ("fgsm", 0.2),
        ("deepfool", None),
    ]
    assert [one[1] for one in heard if isinstance(one[0], int)] == [20] * 3


def test_a_few_examples_are_kept_and_they_are_what_was_found(run):
    (row, _) = judgement.attack_run(run, [*PGD, "attack.epsilon=0.3"])
    (path,) = (run.folder.path / "adversarial").iterdir()
    assert path.stem == row["outcomes"].removeprefix("outcomes/").removesuffix(".npz")
    kept = np.load(path)
    outcome = read_outcome(run.folder, row)
    index = kept["index"]
    assert len(index) == outcomes.EXAMPLES
    order = outcome["fooled"][index] * 2 + outcome["correct"][index]
    assert order[0] == 3 and (np.diff(order) <= 0).all()  # the fooled ones first
    clean, adversarial = torch.tensor(kept["clean"]), torch.tensor(kept["adversarial"])
    check_inside(clean, adversarial, "linf", 0.3, "pgd")
    test = run.dataset().test
    assert torch.equal(clean, test.images[index])
    with torch.no_grad():
        assert run.model(adversarial).argmax(1).tolist() == kept["adversarial_prediction"].tolist()
        share = run.model.branches(adversarial).weight
    assert kept["adversarial_prediction"].tolist() == outcome["adversarial"][index].tolist()
    attacked = outcome["correct"][index]
    np.testing.assert_allclose(outcome["weight_adversarial"][index][attacked], share[attacked], atol=1e-5)


def test_nothing_is_trained_and_every_file_stays(run):
    before = {path: path.read_bytes() for path in run.folder.path.rglob("*") if path.is_file()}
    judgement.attack_run(run, [*PGD, "attack.epsilon=0.1"])
    assert all(path.read_bytes() == content for path, content in before.items())
    assert not list(run.folder.path.rglob("*.part"))


def test_the_papers_attacks_are_flagged_as_weak(run):
    dotted = ["attack.images=4", "attack.preset=paper", "attack=pgd,vmi_fgsm"]
    rows = judgement.attack_run(run, dotted)  # at 32/255
    assert ["ball" in (row["weak"] or "") for row in rows] == [True, True, False]


def test_the_twin_has_no_weights_to_keep(twin):
    rows = judgement.attack_run(twin, [*PGD, "attack.epsilon=0.1"])
    assert read_outcome(twin.folder, rows[0]).keys() == ARRAYS
    assert "no circuit" in refused(twin, *PGD, "attack.bpda=aer_ideal")


def test_a_run_keeps_its_model_where_it_is(twin, monkeypatch):
    monkeypatch.setattr(assembly, "torch_device", lambda settings: torch.device("meta"))  # as a GPU would be
    moved = assembly.on_backend(twin.model, twin.config, "attack")
    assert {each.device.type for each in moved.parameters()} == {"meta"}
    assert {each.device.type for each in twin.model.parameters()} == {"cpu"}


def test_a_stand_in_is_the_model_on_another_backend(run, monkeypatch):
    given: list[dict] = []
    honest = judgement.attack
    monkeypatch.setattr(
        judgement, "attack", lambda *args, **more: given.append(more) or honest(*args, **more)
    )
    judgement.attack_run(run, [*FEW, "attack=fgsm", "attack.epsilon=0.1", "attack.bpda=aer_ideal"])
    stand_in = given[0]["differentiable"]
    assert stand_in.backend.noise_model is None
    for key, value in run.model.state_dict().items():
        assert torch.equal(stand_in.state_dict()[key].cpu(), value)


def test_transfer_from_another_run(run, twin):
    judgement.attack_run(run, [*PGD, "attack.epsilon=0.2"])
    rows = judgement.attack_run(run, [*PGD, "attack.epsilon=0.2"], source=twin)
    assert {row["source"] for row in rows} == {str(twin.folder.path)}
    images, labels = (part[:20] for part in (run.dataset().test.images, run.dataset().test.labels))
    made = attack(run.model, images, labels, epsilon=0.2, parameters=PGD_STEPS, name="pgd", source=twin.model)
    assert read_outcome(run.folder, rows[0])["adversarial"].tolist() == made.adversarial.tolist()
    worst = [row for row in read_rows(run.folder) if row["attack"] == "worst_case"]
    assert [row["source"] for row in worst] == [None, str(twin.folder.path)]  # which are kept apart


def test_targets_and_norms_leave_out_attacks_that_cannot(run):
    quick = [*FEW, "attack=quick", "attack.epsilon=0.2", "attack.options.steps=3"]
    rows = judgement.attack_run(run, [*quick, "attack.target=likely"])
    assert [row["attack"] for row in rows] == ["fgsm", "pgd", "apgd", "worst_case"]
    assert {row["target"] for row in rows} == {"likely"}
    rows = judgement.attack_run(run, [*quick, "attack.norm=l2", "attack.epsilon=1.5"])
    assert [row["attack"] for row in rows] == ["fgsm", "pgd", "apgd", "deepfool", "worst_case"]
    assert {row["norm"] for row in rows} == {"l2"}
    assert "cannot aim" in refused(run, *FEW, "attack=square", "attack.target=likely")
    assert "square works in linf" in refused(run, *FEW, "attack=square", "attack.norm=l2")


def test_an_attack_that_was_named_is_not_left_out(run):
    """Nor does anything run before that is said."""
    assert "square works in linf" in refused(run, *FEW, "attack=pgd,square", "attack.norm=l2")
    assert "square works in linf" in refused(run, *FEW, "attack=quick,square", "attack.norm=l2")
    assert "deepfool cannot aim" in refused(run, *FEW, "attack=fgsm, deepfool", "attack.target=likely")
    assert not (run.folder.path / "robustness.json").exists()


@pytest.mark.parametrize(
    ("dotted", "says"),
    [
        (["attack.images=41"], "40 test images"),
        (["attack.images=0"], "attack.images"),
        (["attack=pdg"], "did you mean pgd"),
        (["attack.preset=papre"], "did you mean paper"),
        (["attack=pgd", "attack.options.step=3"], "did you mean steps"),
        (["attack=pgd", "attack.options.steps=0"], "steps"),
        (["attack=pgd", "attack.target=12"], "from 0 to 9"),
        (["attack.epsilon=0"], "attack.epsilon"),
        (["attack.epsilon=1.5"], "attack.epsilon"),
        (["attack.epsilon=nan"], "attack.epsilon"),
        (["attack.epsilon=8/0"], "attack.epsilon"),
        (["attack.epsilon=0:0:3"], "more than 0"),
        (["attack.norm=l7"], "attack.norm"),
        (["attack=pgd", "attack.bpda=aer_nosy"], "aer_noisy"),
        (["backend=aer_nosy"], "did you mean aer_noisy"),
        (["training.epochs=3"], "belongs to the training"),
    ],
)
def test_wrong_settings_are_one_line_and_leave_nothing(run, dotted, says):
    assert says in refused(run, *dotted)
    assert not (run.folder.path / "robustness.json").exists()


def test_a_run_without_a_model_cannot_be_attacked(run, twin):
    (run.folder.path / "metrics.json").unlink()
    assert "--resume" in refused(run, *PGD)
    assert "--resume" in refused(twin, *PGD, source=run)


def test_a_damaged_table_is_one_line(run):
    (run.folder.path / "robustness.json").write_text("[{")
    assert "damaged" in refused(run, *PGD)


VERDICT = ("verdict.images=12",)


def test_a_stand_ins_gradient_makes_a_row_of_its_own(run):
    judgement.attack_run(run, [*FEW, "attack=fgsm", "attack.epsilon=0.1"])
    judgement.attack_run(run, [*FEW, "attack=fgsm", "attack.epsilon=0.1", "attack.bpda=aer_ideal"])
    rows = [row for row in read_rows(run.folder) if row["attack"] == "fgsm"]
    assert [row["bpda"] for row in rows] == [None, "aer_ideal"]
    assert len({row["outcomes"] for row in rows}) == 2


def test_a_target_leaves_the_accuracy_open(run):
    rows = judgement.attack_run(run, [*PGD, "attack.epsilon=0.3", "attack.target=3"])
    assert [row["robust_accuracy"] for row in rows] == [None, None]


def test_a_quick_verdict_does_not_replace_a_full_one(run):
    full = {"verdict": "suspect", "quick": False, "epsilon": 0.3, "backend": "aer_noisy", "checks": []}
    run.folder.write_json("verdict.json", full)
    found = judgement.standing_verdict(run, [*VERDICT, "attack.epsilon=0.1"])
    assert (found["quick"], found["epsilon"]) == (True, 0.1)
    assert json.loads((run.folder.path / "verdict.json").read_text()) == full


def test_the_verdict_of_a_run(run):
    heard: list[tuple[str, int, int]] = []
    found = judgement.judge_run(run, VERDICT, quick=True, progress=lambda *now: heard.append(now))
    assert json.loads((run.folder.path / "verdict.json").read_text()) == json.loads(json.dumps(found))
    assert found["verdict"] in {"masking detected", "suspect", "no masking detected"}
    for check in found["checks"]:
        assert check.keys() == {"name", "hard", "passed", "figure", "threshold", "says"}
        assert check["passed"] in {True, False, None}
    assert (found["backend"], found["n"], found["quick"]) == ("aer_noisy", 12, True)
    assert found["epsilon"] == pytest.approx(32 / 255)
    assert len(heard) == heard[0][2]


def test_a_standing_verdict_is_used_only_for_what_it_is_about(run, monkeypatch):
    asked: list[tuple[str, ...]] = []

    def judged(run, dotted=(), **more):
        asked.append(tuple(dotted))
        settings = config.override(run.config, dotted, KEYS)
        found = {
            "verdict": "suspect",
            "epsilon": max(settings.attack.radii()),
            "backend": settings.backend.name,
            "backend_options": "",
            "eot": settings.attack.eot,
        }
        run.folder.write_json("verdict.json", found)
        return found

    monkeypatch.setattr(judgement, "judge_run", judged)
    steps = [
        ((), True),
        (("attack=pgd",), False),  # the same ball, backend and draws
        (("attack.norm=l2", "attack.epsilon=2"), False),  # a verdict is about the sup norm
        (("attack.epsilon=0.2",), True),
        (("attack.epsilon=0:0.2:3",), False),
        (("attack.epsilon=0.2", "attack.eot=3"), True),
        (("attack.epsilon=0.2", "attack.eot=3", "backend=aer_ideal"), True),
    ]
    for dotted, anew in steps:
        before = len(asked)
        judgement.standing_verdict(run, dotted)
        assert (len(asked) > before) == anew, dotted


def test_a_verdict_beside_an_l2_attack_is_about_the_default_ball(run):
    found = judgement.judge_run(run, [*VERDICT, "attack.norm=l2", "attack.epsilon=2"], quick=True)
    assert found["epsilon"] == pytest.approx(32 / 255)


def test_attack_prints_one_object(qshield, run):
    result = qshield("attack", *PGD, *VERDICT, "attack.epsilon=0.1", "--json")
    assert result.exit_code == 0, result.stderr
    printed = json.loads(result.stdout)
    assert printed["run"] == str(run.folder.path.relative_to(run.folder.path.parents[2]))
    assert printed["rows"] == read_rows(run.folder)
    assert printed["verdict"] == json.loads((run.folder.path / "verdict.json").read_text())["verdict"]


def test_attack_prints_a_table_and_the_verdict_on_it(qshield, run, twin, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    result = qshield(
        "attack", str(run.folder.path), *PGD, *VERDICT, "backend=aer_ideal", "--from", str(twin.folder.path)
    )
    assert result.exit_code == 0, result.stderr
    for shown in ("pgd", "worst_case", "20 test images", "aer_ideal", "verdict", "next"):
        assert shown in result.stdout, shown


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["attack=pdg"], "did you mean pgd"),
        (["nowhere"], "nowhere"),
        (["--from", "nowhere"], "nowhere"),
        (["attack.epsilon=2"], "attack.epsilon"),
        (["attack.images=100000"], "40 test images"),
        (["attack.eot=0"], "attack.eot"),
        (["seed=1"], "belongs to the training"),
    ],
)
def test_wrong_input_is_one_line_and_exit_status_2(qshield, run, words, says):
    result = qshield("attack", *words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert says in result.stderr
    assert result.stderr.strip().count("\n") == 0


def test_attack_without_any_run(qshield):
    result = qshield("attack")
    assert (result.exit_code, result.stderr.strip().count("\n")) == (2, 0)
    assert "qshield train" in result.stderr


def test_the_verdict_command_prints_every_check(qshield, run, monkeypatch):
    result = qshield("verdict", str(run.folder.path), "--quick", "--json", *VERDICT)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found == json.loads((run.folder.path / "verdict.json").read_text())
    monkeypatch.setattr(judgement, "judge_run", lambda *given, **more: found)
    shown = qshield("verdict", str(run.folder.path)).stdout
    assert f"verdict (quick)  {found['verdict']}" in shown
    for check in found["checks"]:
        assert check["name"] in shown


@pytest.mark.parametrize(("asked", "at_most", "given"), [(None, 100, 40), (None, 30, 30), (35, 30, 35)])
def test_as_many_images_as_there_are_unless_more_are_asked_for(run, asked, at_most, given):
    assert len(subject(run, (), lambda settings: asked, at_most).images) == given


def test_the_verdict_command_refuses_in_one_line(qshield, run):
    result = qshield("verdict", str(run.folder.path), "verdict.images=41")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "41 images were asked for, but digits has 40 test images" in result.stderr
