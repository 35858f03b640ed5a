"""What an attack is given: draws of a random model, a stand-in's gradient, another model; and what it costs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from attacked import check, run
from cheats import Quantised
from classifiers import (
    Counting,
    Detached,
    Erring,
    Jittered,
    images_and_labels,
    trained_cnn,
    trained_hybrid,
)

from qshield_qiskit.robustness.attacked_model import AttackedModel
from qshield_qiskit.robustness.attacking import NOTHING_TO_FOLLOW
from qshield_qiskit.robustness.attacks import ATTACKS


@pytest.mark.parametrize("eot", [1, 4])
@pytest.mark.parametrize("name", ATTACKS)
def test_queries_and_gradients_are_those_that_the_model_saw(name, eot):
    if eot > 1 and name in {"boundary", "hopskipjump", "one_pixel", "ensemble"}:
        pytest.skip("slow, and black boxes have nothing to average but decisions")
    model = Counting(trained_cnn())
    progress: list[int] = []
    outcome = run(model, name, eot=eot, progress=lambda *now: progress.append(now[2]))
    assert outcome.gradients * outcome.attacked == pytest.approx(model.gradients)
    judged = (
        12 + outcome.attacked * (1 + 1) + int(outcome.fooled.sum())
    )  # before, after, in doubt, for the outcome
    if len(progress) == 1:
        assert outcome.queries * outcome.attacked == pytest.approx(model.queries - eot * judged)


def test_fgsm_takes_one_query_and_pgd_one_gradient_a_step():
    fgsm, pgd = run(trained_cnn(), "fgsm"), run(trained_cnn(), "pgd", parameters={"steps": 7})
    assert (fgsm.queries, fgsm.gradients) == (1, 1)
    assert pgd.gradients == 7
    assert 7 <= pgd.queries <= 9  # ART looks before and after


@pytest.mark.parametrize("name", ["pgd", "apgd", "square"])
def test_errors_that_come_and_go_are_not_an_attacks_success(name):
    """However often it tries: a tenth of the answers is wrong anyway, and so a tenth of the last ones."""
    images, labels = images_and_labels(300)
    model = Erring(trained_cnn(), 0.1)
    parameters = {"proposals": 2, "restarts": 12} if name == "square" else {"steps": 1, "restarts": 12}
    outcome = run(model, name, data=(images, labels), epsilon=1e-4, parameters=parameters)
    assert outcome.attacked > 200
    assert 0.0 < outcome.asr < 0.2
    assert torch.equal(outcome.fooled, outcome.correct & (outcome.adversarial != labels))


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_eot_sees_through_noise(name):
    """Judged by the mean of 300 draws, attacks on the mean of 30 turn more images than attacks on one."""
    model = Jittered(trained_cnn(), 0.4)
    turned = []
    for eot in (1, 30):
        outcome = run(model, name, n=60, epsilon=0.1, eot=eot)
        torch.manual_seed(0)
        with torch.no_grad():
            mean = AttackedModel(model, eot=300)(outcome.examples).argmax(1)
        turned.append(float((mean != outcome.labels)[outcome.correct].double().mean()))
    assert turned[1] > turned[0] + 0.1


def test_bpda_breaks_what_hides_its_gradient():
    smooth = trained_cnn()
    model = Quantised(smooth, levels=4)
    settings: dict[str, Any] = {"n": 24, "epsilon": 0.3, "parameters": {"steps": 20}}
    assert run(model, "pgd", **settings).asr < 0.3
    bpda = run(model, "pgd", differentiable=smooth, **settings)
    assert bpda.asr > 0.9
    check(bpda, images_and_labels(24)[0], model)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_model_without_a_gradient_is_no_crash_and_its_figure_no_success(name):
    outcome = run(Detached(trained_cnn()), name, epsilon=0.05 if name != "square_l2" else 3.0)
    assert outcome.weak == (NOTHING_TO_FOLLOW if ATTACKS[name].white_box else None)
    if name in {"fgsm", "mim", "cw_l2", "cw_linf", "deepfool"}:
        assert outcome.asr == 0


@pytest.mark.parametrize("name", ATTACKS)
def test_a_model_of_half_precision_is_attacked_in_its_own(name):
    model, seen = trained_cnn().bfloat16(), set()
    model.register_forward_pre_hook(lambda _, given: seen.add(given[0].dtype))
    outcome = run(model, name, n=6)
    assert seen == {torch.bfloat16}
    assert outcome.attacked > 0
    assert outcome.examples.dtype == torch.float32


def test_transfer_makes_examples_on_the_source_and_tries_them_on_the_model():
    images, labels = images_and_labels(24)
    model, source = trained_cnn(), Counting(trained_hybrid())
    outcome = run(model, "mim", n=24, epsilon=0.2, source=source)
    check(outcome, images, model)
    direct = run(source.model, "mim", data=(images[outcome.correct], labels[outcome.correct]), epsilon=0.2)
    both = direct.correct
    torch.testing.assert_close(
        outcome.examples[outcome.correct][both], direct.examples[both], rtol=0, atol=1e-5
    )
    assert outcome.gradients * outcome.attacked == source.gradients
    assert 0 < outcome.asr < 1
