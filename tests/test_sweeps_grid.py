"""From an experiment and what was typed to cells: which there are, what they share, what is refused."""

from __future__ import annotations

import shlex

import pytest

from qshield_qiskit import catalog
from qshield_qiskit.config import load_settings, load_sweep
from qshield_qiskit.errors import InputError
from qshield_qiskit.sweeps.grid import expand
from qshield_qiskit.sweeps.sweep import plan_sweep

MODELS = ["DNN", "CNN", "HQCNN-None", "HQCNN-Linear", "HQCNN-Star", "HQCNN-Full"]


def cells(*dotted, experiment="digits"):
    return expand(experiment, dotted)[1]


def test_commas_make_axes_and_the_last_varies_fastest():
    found = cells("circuit=none,full", "seed=0,1", "training.epochs=3")
    assert [cell.label for cell in found] == ["none, seed 0", "none, seed 1", "full, seed 0", "full, seed 1"]
    assert [cell.settings.circuit.name for cell in found] == ["none", "none", "full", "full"]
    assert {cell.settings.training.epochs for cell in found} == {3}
    assert len({cell.digest for cell in found}) == 4


def test_without_an_axis_a_sweep_is_one_cell():
    (cell,) = cells()
    assert cell.label == "seed 0"
    assert cell.settings == load_settings("digits")
    assert dict(cell.attacks) == {"standard": ("attack=standard",)}


def test_the_paper_is_a_grid_and_still_an_experiment():
    found = cells(experiment="paper/digits")
    assert list(dict.fromkeys(cell.choices["model"] for cell in found)) == MODELS
    assert len(found) == 18
    by_name = {cell.choices["model"]: cell.settings for cell in found}
    assert by_name["DNN"].model.backbone == "dnn"
    assert by_name["CNN"].model.branch == "none"
    assert by_name["HQCNN-Star"].circuit.name == "star"
    assert load_settings("paper/digits").circuit.name == "full"


@pytest.mark.parametrize("name", [name for name in catalog.find("experiments") if load_sweep(name).axes])
def test_every_grid_of_the_project_expands(name):
    assert len(expand(name, [])[1]) > 1


def test_what_is_typed_takes_an_axis_s_place_or_chooses_among_its_names():
    found = cells("seed=7", "model=CNN,HQCNN-Full", experiment="paper/digits")
    assert [cell.label for cell in found] == ["CNN", "HQCNN-Full"]
    assert {cell.settings.seed for cell in found} == {7}
    assert len(cells("seed=7,8", "model=CNN", experiment="paper/digits")) == 2


@pytest.mark.parametrize("typed", [["attack=pgd"], ["attack=pgd,apgd", "seed=0"]])
def test_an_attack_that_no_group_would_run_is_refused(typed):
    with pytest.raises(InputError, match=r"sweep.attacks=\{mine: ") as error:
        cells(*typed)
    assert "\n" not in str(error.value)
    _, suggestion = shlex.split(str(error.value).rpartition("; ")[2])
    (cell, *_) = cells(suggestion, *typed[1:])
    assert cell.attacks == {"mine": (typed[0],)}
    assert len(cells("attack.epsilon=0.1,0.2")) == 2


@pytest.mark.parametrize("typed", ["sweep.axes.seed=[0]", "sweep.attacks.pgd=[attack=pgd]"])
def test_a_part_of_a_section_is_refused_for_the_rest_would_be_lost(typed):
    with pytest.raises(InputError, match="give the whole of sweep"):
        cells(typed, experiment="paper/digits")


def test_a_device_in_a_sweep_needs_a_budget():
    with pytest.raises(InputError, match="backend=ibm_torino: in a sweep nobody is asked"):
        cells("backend=ibm_torino")
    assert len(cells("backend=ibm_torino", "backend.max_qpu_seconds=60")) == 1
    with pytest.raises(InputError, match="backend=ibm_torino: in a sweep nobody is asked"):
        cells("sweep.attacks={hardware: [attack=pgd, backend=ibm_torino]}")


def test_the_last_run_would_be_another_one_when_the_sweep_goes_on(tmp_path):
    for name in ("20260101-000000-0", "20260102-000000-0"):
        (tmp_path / "digits" / name).mkdir(parents=True)
        (tmp_path / "digits" / name / "config.yaml").write_text("seed: 0\n")
    last = tmp_path / "digits" / "20260102-000000-0"
    with pytest.raises(InputError, match=f"try training.start_from={last}$"):
        cells("training.start_from=last", f"runs={tmp_path}", "seed=0,1")
    found = cells(f"training.start_from={last}", f"runs={tmp_path}", "seed=0,1")
    assert {cell.settings.training.start_from for cell in found} == {last}


def test_a_grid_of_circuits_has_one_twin():
    found = cells("circuit=none,full,star", "model.branch=circuit,none", "backend=aer_ideal,aer_noisy")
    assert len([cell for cell in found if cell.settings.model.branch == "circuit"]) == 6
    assert len([cell for cell in found if cell.settings.model.branch == "none"]) == 1
    assert len({cell.twin for cell in found}) == 1


def test_what_is_of_the_second_branch_alone_leaves_its_twin_the_same():
    for_circuits = ["training.noise_aware=0.3", "training.noise_variants=3"]
    for_branches = ["training.lipschitz_weight=0.1", "training.branch_weight=0.2"]
    for branch, ignored in (("none", [*for_circuits, *for_branches]), ("control", for_circuits)):
        plain = cells(f"model.branch={branch}")[0].training
        assert {cells(f"model.branch={branch}", word)[0].training for word in ignored} == {plain}
    hybrids = [cells(word)[0] for word in (*for_circuits, *for_branches)]
    assert len({cell.training for cell in hybrids}) == 4
    assert {cell.twin for cell in hybrids} == {cells("model.branch=none")[0].line}


def test_figures_on_fewer_images_are_another_run_s():
    (all_images, few) = cells("evaluation.images=null,50")
    assert all_images.training == cells()[0].training != few.training


def test_controls_of_a_circuit_share_a_run_whatever_the_backend():
    found = cells("circuit=none,full", "model.branch=control", "backend=aer_ideal,aer_noisy")
    assert [cell.settings.circuit.name for cell in found] == ["none", "full"]
    assert len({cell.training for cell in found}) == 2


def test_seeds_share_a_line_and_other_settings_do_not():
    found = cells("seed=0,1", "training.epochs=1,2")
    assert len({cell.line for cell in found}) == 2
    assert len({cell.twin for cell in found}) == 2


@pytest.mark.parametrize(
    "override", ["runs=elsewhere", "data.root=elsewhere", "attack.images=5", "training.threads=2"]
)
def test_a_trained_model_is_the_same_wherever_it_lies_and_however_it_is_attacked(override):
    assert cells(override)[0].training == cells()[0].training


@pytest.mark.parametrize(
    "override", ["seed=1", "training.epochs=3", "backend=aer_ideal", "training.defence=pgd"]
)
def test_a_trained_model_depends_on_all_else(override):
    assert cells(override)[0].training != cells()[0].training


def test_other_attacks_make_another_cell_of_the_same_run():
    one, other = cells()[0], cells("attack.images=5")[0]
    assert one.digest != other.digest
    assert one.training == other.training


def test_the_first_seeds_can_be_the_only_ones_judged():
    found = cells("seed=4,5,6", "sweep.verdict_seeds=2")
    assert [cell.verdict for cell in found] == ["quick", "quick", "none"]


@pytest.mark.parametrize(
    ("dotted", "says"),
    [
        (["sweep.verdicts=quick"], "sweep.verdict"),
        (
            ["sweep.verdict=quck"],
            "^sweep.verdict=quck: expected 'none', 'quick' or 'full'; did you mean quick",
        ),
        (["sweep.attacks={a: [attack=fgsm], b: [attack=pdg]}"], "^sweep.attacks.b: .*did you mean pgd"),
        (["sweep.attacks={a: [attack=fgsm, attack.epsilom=0.1]}"], "^sweep.attacks.a: .*attack.epsilon"),
        (["sweep.attacks={a: [attack=pgd, attack.options.stepps=3]}"], "^sweep.attacks.a: .*steps"),
        (["sweep.attacks={a: [attack=pgd, seed=3]}"], "^sweep.attacks.a: seed belongs to the training"),
        (["sweep.attacks={a: [attack=one_pixel, attack.norm=linf]}"], "^sweep.attacks.a: attack.norm=linf"),
        (["training.epochs=0,1"], "training.epochs=0"),
        (["circuit=full,star", "circuit.name=none"], "circuit.name: set by"),
        (["sweep.axes={seed: []}"], "axes.seed has no value"),
        (["seed=0,,1"], "nothing between two commas"),
    ],
    ids=str,
)
def test_a_wrong_grid_is_refused_in_one_line(dotted, says):
    with pytest.raises(InputError, match=says) as error:
        cells(*dotted)
    assert "\n" not in str(error.value)


def test_threads_are_an_option_of_sweeps():
    with pytest.raises(InputError, match=r"^training\.threads=4: .*try --threads N$"):
        plan_sweep("digits", ["training.threads=4"])
    with pytest.raises(InputError, match=r"^training\.threads=1: .*try --threads N$"):
        plan_sweep("digits", ["sweep.axes={training.threads: [1, 2]}"])


def test_a_name_with_a_comma_can_be_chosen():
    variants = "defended/mnist_variants"
    ideal = "HQCNN-Full, ideal"
    assert [cell.label for cell in cells(f"model={ideal}", experiment=variants)] == [ideal]
    two = cells(f'model=HQCNN-Star,"{ideal}"', experiment=variants)
    assert [cell.label for cell in two] == ["HQCNN-Star", ideal]
    with pytest.raises(InputError, match=r"circuit\.name: set by") as error:
        cells("circuit=full", experiment=variants)
    (suggestion,) = shlex.split(str(error.value).rpartition(": ")[2])
    assert cells(suggestion, experiment=variants) == cells(experiment=variants)


def test_an_unknown_name_of_an_axis_is_refused():
    with pytest.raises(InputError, match="HQCNN-Full"):
        cells("model=HQCNN-Ful", experiment="paper/digits")
    with pytest.raises(InputError, match=r"circuit\.name: set by what was typed and by the axis model too"):
        cells("circuit=none", experiment="paper/digits")
