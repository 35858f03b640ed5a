"""Wrong input to attacks: one line that says what came and what to try."""

from __future__ import annotations

import pytest
from classifiers import (
    images_and_labels,
    small_cnn,
    trained_cnn,
)
from torch import nn

from qshield_qiskit.errors import InputError
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.attacks import ATTACKS, PRESETS, choose

IMAGES, LABELS = images_and_labels(4)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"epsilon": 0}, "attack.epsilon=0"),
        ({"epsilon": 1.5}, "up to 1"),
        ({"epsilon": -0.1}, "above 0"),
        ({"epsilon": None}, "needs a radius"),
        ({"epsilon": float("nan")}, "nan"),
        ({"epsilon": float("inf")}, "inf"),
        ({"epsilon": 0, "norm": "l2"}, "above 0"),
        ({"epsilon": float("inf"), "norm": "l2"}, "attack.epsilon=inf"),
        ({"epsilon": "0.1"}, "attack.epsilon='0.1'"),
        ({"max_queries": -1}, "attack.max_queries=-1"),
        ({"max_queries": 0}, "attack.max_queries=0"),
        ({"labels": LABELS + 70}, "0 to 9"),
        ({"labels": LABELS + 70, "target": "likely"}, "0 to 9"),
        ({"labels": LABELS - 10}, "0 to 9"),
        ({"source": small_cnn(num_classes=4).eval()}, "source: it turns an image into logits of (1, 4)"),
        ({"differentiable": small_cnn(num_classes=4).eval()}, "differentiable: it turns"),
        ({"name": "pdg"}, "did you mean pgd"),
        ({"parameters": {"step": 3}}, "did you mean steps"),
        ({"parameters": {"steps": 0}}, "steps=0"),
        ({"parameters": {"step_size": float("nan")}}, "step_size"),
        ({"parameters": {"steps": "many"}}, "steps"),
        ({"name": "ensemble", "parameters": {"restarts": 2}}, "restarts=2"),
        ({"name": "fgsm", "parameters": {"restarts": 3}}, "restarts=3: it draws nothing"),
        ({"name": "mim", "parameters": {"restarts": 3}}, "restarts=3: it draws nothing"),
        ({"name": "cw_l2", "parameters": {"restarts": 3}}, "restarts=3: it draws nothing"),
        ({"norm": "l0"}, "linf and l2"),
        ({"norm": "l7"}, "attack.norm=l7"),
        ({"target": "nearest"}, "likely, unlikely or a class"),
        ({"target": 10}, "from 0 to 9"),
        ({"target": -1}, "from 0 to 9"),
        ({"eot": 0}, "eot=0"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"images": IMAGES * 255}, "divide by 255"),
        ({"images": IMAGES - 0.1}, "[0, 1]"),
        ({"images": IMAGES * float("nan")}, "nan"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "at least 1"),
        ({"images": IMAGES[:, 0]}, "(N, C, H, W)"),
        ({"labels": LABELS[:3]}, "(N,)"),
        ({"model": lambda: nn.Sequential(trained_cnn(), nn.Softmax(1))}, "probabilities"),
        ({"model": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 1))}, "expected logits (N, K)"),
        (
            {
                "model": lambda: nn.Sequential(
                    nn.Flatten(0), nn.Unflatten(0, (4, 64)), nn.Linear(64, 1), nn.Flatten(0)
                )
            },
            "logits",
        ),
    ],
)
def test_wrong_input_is_one_line(changes, says):
    given = {
        "model": trained_cnn,
        "images": IMAGES,
        "labels": LABELS,
        "name": "pgd",
        "epsilon": 0.1,
    } | changes
    with pytest.raises(InputError) as refusal:
        attack(**given | {"model": given["model"]()})
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_presets_and_names_resolve_to_attacks():
    for preset in PRESETS:
        chosen = choose(preset, "standard", {}, 10)
        assert list(chosen) == list(PRESETS[preset])
        assert all(type(method) is ATTACKS[name] for name, method in chosen.items())
        assert "apgd_dlr" not in choose(
            preset, "standard", {}, 2
        )  # a preset leaves out what needs more classes
    mixed = choose("pgd, apgd", "paper", {"steps": 7}, 10)
    assert {name: method.model_dump() for name, method in mixed.items()} == {
        "pgd": {"restarts": 1, "steps": 7, "step_size": 2 / 255},
        "apgd": {"restarts": 1, "steps": 7},
    }
    assert choose("fgsm,pgd", "standard", {"steps": 3}, 10)["fgsm"].model_dump() == {"restarts": 1}
    quick = choose("quick", "standard", {"restarts": 3}, 10)  # for those that can
    assert {name for name, method in quick.items() if method.restarts == 3} == {"pgd", "apgd", "square"}


@pytest.mark.parametrize(
    ("names", "preset", "options", "num_classes", "says"),
    [
        ("pgd", "papre", {}, 10, "did you mean paper"),
        ("pgd,nosuch", "standard", {}, 10, "nosuch"),
        ("standrd", "standard", {}, 10, "did you mean standard"),
        ("pgd,apgd", "standard", {"proposals": 3}, 10, "proposals"),
        ("pgd", "standard", {"steps": -1}, 10, "steps=-1"),
        ("fgsm,mim", "standard", {"restarts": 3}, 10, "restarts"),
        ("apgd_dlr", "standard", {}, 2, "needs 3 classes"),
        ("", "standard", {}, 10, "no such attack"),
    ],
)
def test_wrong_choices_are_one_line(names, preset, options, num_classes, says):
    with pytest.raises(InputError) as refusal:
        choose(names, preset, options, num_classes)
    assert says in str(refusal.value)
    assert "\n" not in str(refusal.value)
