"""The attacks by name, and the presets: which attacks are run, with which parameters."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from qshield_qiskit import overrides
from qshield_qiskit.errors import InputError, unknown
from qshield_qiskit.robustness.attacks.auto_pgd import APGD, APGDDLR
from qshield_qiskit.robustness.attacks.base import Attack, Norm
from qshield_qiskit.robustness.attacks.black_box import OnePixel, Square, SquareL2
from qshield_qiskit.robustness.attacks.carlini_wagner import CarliniWagnerL2, CarliniWagnerLInf
from qshield_qiskit.robustness.attacks.decision_based import Boundary, HopSkipJump
from qshield_qiskit.robustness.attacks.deepfool import DeepFool
from qshield_qiskit.robustness.attacks.ensemble import Ensemble
from qshield_qiskit.robustness.attacks.gradient import FGSM, MIM, PGD
from qshield_qiskit.robustness.attacks.vmi_fgsm import VMIFGSM

ATTACKS: dict[str, type[Attack]] = {
    "fgsm": FGSM,
    "pgd": PGD,
    "apgd": APGD,
    "apgd_dlr": APGDDLR,
    "mim": MIM,
    "vmi_fgsm": VMIFGSM,
    "cw_l2": CarliniWagnerL2,
    "cw_linf": CarliniWagnerLInf,
    "deepfool": DeepFool,
    "one_pixel": OnePixel,
    "square": Square,
    "square_l2": SquareL2,
    "hopskipjump": HopSkipJump,
    "boundary": Boundary,
    "ensemble": Ensemble,
}

PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "standard": {  # the attacks' own defaults
        name: {}
        for name in (
            "fgsm",
            "pgd",
            "apgd",
            "apgd_dlr",
            "mim",
            "vmi_fgsm",
            "cw_l2",
            "cw_linf",
            "deepfool",
            "square",
            "ensemble",
        )
    },
    "paper": {
        "fgsm": {},
        "pgd": {"steps": 10, "step_size": 2 / 255},
        "apgd": {"steps": 10, "restarts": 1},
        "vmi_fgsm": {"steps": 10, "step_size": 2 / 255, "neighbours": 5},
        "cw_l2": {
            "optimiser": "line_search",
            "steps": 5,
            "binary_search_steps": 10,
            "initial_constant": 0.01,
            "learning_rate": 0.05,
        },
        "deepfool": {"steps": 50, "overshoot": 0.05},
        "one_pixel": {"steps": 10, "population": 10},
        "square": {"proposals": 500},
    },
    "quick": {
        "fgsm": {},
        "pgd": {"steps": 20},
        "apgd": {"steps": 20, "restarts": 1},
        "deepfool": {"steps": 20},
        "square": {"proposals": 100},
    },
}
"""Preset, attack, parameters that differ from the attack's defaults."""

PRESET_SUMMARIES: dict[str, str] = {
    "standard": "Preset: gradient, minimum-norm and black-box attacks at full strength.",
    "paper": "Preset: the eight attacks of arXiv 2604.10933 with its parameters, most of them weak.",
    "quick": "Preset: five attacks in few steps, for a first look.",
}
"""A line on each."""


def choose(names: str, preset: str, options: dict[str, Any], num_classes: int) -> dict[str, Attack]:
    """Resolve names and parameters into attacks.

    Args:
        names: Attacks and presets, separated by commas; a preset stands for its attacks with its parameters.
        preset: Where the parameters of attacks that are named themselves come from.
        options: Parameters for all chosen attacks that have them.
        num_classes: K; a preset leaves out the attacks that need more.

    Returns:
        The attacks by name, in that order.

    Raises:
        InputError: An unknown name, a parameter that no chosen attack has, or a value out of range.
    """
    if preset not in PRESETS:
        raise unknown("attack preset", preset, PRESETS)
    wanted: dict[str, dict[str, Any]] = {}
    for name in [part.strip() for part in names.split(",")]:
        if name in PRESETS:
            wanted |= {
                attack: parameters
                for attack, parameters in PRESETS[name].items()
                if num_classes >= ATTACKS[attack].min_classes
            }
        elif name in ATTACKS:
            wanted[name] = PRESETS[preset].get(name, {})
            ATTACKS[name].check_classes(name, num_classes)
        else:
            raise unknown("attack", name, [*ATTACKS, *PRESETS])
    known = {parameter for name in wanted for parameter in ATTACKS[name].options()}
    for option in options:
        if option not in known:
            raise unknown(f"parameter of {', '.join(wanted)}", option, known)
    return {
        name: build(name, parameters | {k: v for k, v in options.items() if k in ATTACKS[name].options()})
        for name, parameters in wanted.items()
    }


def default_norms(names: str) -> set[Norm]:
    """Give the norms in which attacks and presets, separated by commas, are bounded unless another is asked for."""
    chosen = [attack for name in names.split(",") for attack in PRESETS.get(name.strip(), [name.strip()])]
    return {ATTACKS[name].norms[0] for name in chosen if name in ATTACKS and ATTACKS[name].bounded}


def build(name: str, parameters: dict[str, Any]) -> Attack:
    """Make an attack.

    Args:
        name: One of ATTACKS.
        parameters: Those that differ from its defaults.

    Raises:
        InputError: An unknown name or parameter, or a value out of range.
    """
    if name not in ATTACKS:
        raise unknown("attack", name, ATTACKS)
    try:
        return ATTACKS[name](**parameters)
    except ValidationError as error:
        raise InputError(f"attack {name}: {overrides.explain(error, ATTACKS[name])}") from error
