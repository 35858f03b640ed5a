"""The gap between simulator and device: one trained run on several backends, on clean and on attacked images.

Adversarial examples are made on the first backend, mostly a simulator that gives gradients for nothing, and tried on
all: what they lose on the way says how much of an attack a device's noise and shots undo.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qshield_qiskit import assembly
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import InputError
from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.models.hybrid import Branches
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.attacks import choose
from qshield_qiskit.runs import Run
from qshield_qiskit.seeding import derive, seed_everything
from qshield_qiskit.subjects import Subject, subject
from qshield_qiskit.training.figures import classify

MOST_IMAGES = 100
"""Images that are compared unless the user asks for more."""

ATTACK = "apgd"
"""The attack that makes the examples unless the user names another."""

Announce = Any
"""Called with the name of what is being done next."""


def compare_run(
    run: Run, dotted: Sequence[str], *, terms: Terms | None = None, announce: Announce = None
) -> dict[str, Any]:
    """Run a trained model on several backends and keep the gaps between them in comparisons/.

    Args:
        run: The run.
        dotted: Overrides, among them `backend=a,b`: the first makes the examples. A backend that the run was trained on
            has its settings, any other its own defaults; `backend.shots=1000` and its like are laid over the others',
            not over the first's.
        terms: On what terms devices are used.
        announce: Hears of every step.

    Returns:
        `attack`, `epsilon`, `n`, `seed` and `backends`: for each its accuracy, the ASR of the examples on the images
        that every backend classifies correctly, both with Wilson intervals, and how far outcomes are from the first's,
        in all and by shots alone; 0 in the first's own row.

    Raises:
        InputError: Fewer than two backends, a model without a circuit, or a setting that does not fit.
    """
    names, rest = _backends(dotted)
    if run.model.branch != "circuit":
        raise InputError(f"{run.folder.path}: no circuit takes part in this model, so backends cannot differ")
    for_devices = [override for override in rest if override.startswith("backend.")]
    common = [override for override in rest if override not in for_devices]
    if not any(override.startswith(("attack=", "attack.name=")) for override in common):
        common.append(f"attack={ATTACK}")
    first, *others = [
        subject(run, [f"backend={name}", *common, *(for_devices if i else [])], _images, MOST_IMAGES, terms)
        for i, name in enumerate(names)
    ]
    examples = _examples(first, announce)
    found = [_outcomes(target, examples, announce) for target in (first, *others)]
    correct = torch.stack([clean.logits.argmax(1) == first.labels for clean, _ in found]).all(0)
    settings = first.settings
    comparison = {
        "attack": settings.attack.name,
        "epsilon": max(settings.attack.radii()),
        "n": len(first.labels),
        "seed": settings.seed,
        "backends": [
            {
                "backend": target.settings.backend.name,
                "calibration": assembly.calibration(target.model),
                **assembly.primitives(target.model),
                **_shares("odr", clean.logits.argmax(1) == first.labels),
                "attacked": int(correct.sum()),
                **_shares("asr", (attacked.logits.argmax(1) != first.labels)[correct]),
                **_distance(first, found[0][0], target, clean),
            }
            for target, (clean, attacked) in zip((first, *others), found, strict=True)
        ],
    }
    digest = hashlib.sha256(json.dumps([names, sorted(rest)]).encode()).hexdigest()[:8]
    short = "-".join(Path(name).stem for name in names).replace(":", "_")
    run.folder.write_json(f"comparisons/{short}-{digest}.json", comparison)
    return comparison


def distribution_distance(outcomes: Tensor, others: Tensor, *, probabilities: bool) -> Tensor:
    """Give how far two sets of outcomes (N, O) are apart, for each image, (N,).

    Probabilities: the total variation, half the sum of the differences. Expectation values: their mean difference.
    """
    differences = (outcomes - others).abs()
    return differences.sum(1) / 2 if probabilities else differences.mean(1)


def shot_noise_distance(outcomes: Tensor, variance: float, *, probabilities: bool) -> Tensor:
    r"""Give the distance that shots alone would make between two runs of one circuit, for each image, (N,).

    A frequency of N shots scatters by \sigma^2 = p (1 - p) / N around p, an expectation value of a Pauli string by
    (1 - y^2) / N, and E|x| = \sigma \sqrt{2 / \pi} of a normal variable x.

    Args:
        outcomes: (N, O), what is scattered around.
        variance: Sum of 1 / N over the two runs; 0 for an exact one.
        probabilities: Whether outcomes are probabilities, or expectation values.
    """
    spread = outcomes * (1 - outcomes) if probabilities else 1 - outcomes**2
    expected = (spread.clamp_min(0) * variance * 2 / math.pi).sqrt()
    return expected.sum(1) / 2 if probabilities else expected.mean(1)


def _backends(dotted: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split `backend=a,b` from the other overrides."""
    names, rest = [], []
    for override in dotted:
        key, _, value = override.partition("=")
        if key in {"backend", "backend.name"}:
            names += [name for name in value.split(",") if name]
        else:
            rest.append(override)
    if len(names) < 2:
        came = ",".join(names) or "none"
        raise InputError(f"backend={came}: expected two backends or more; try backend=aer_noisy,fake_torino")
    return names, rest


def _images(settings: Any) -> int | None:
    images: int | None = settings.attack.images
    return images


def _examples(first: Subject, announce: Announce) -> Tensor:
    """Make adversarial examples on the first backend, (N, C, H, W)."""
    settings = first.settings.attack
    if settings.target is not None:
        raise InputError(
            f"attack.target={settings.target}: a comparison counts what leaves its class, whatever it becomes; "
            "try attack.target=null"
        )
    chosen = choose(settings.name, settings.preset, settings.options, first.model.num_classes)
    if len(chosen) > 1:
        raise InputError(f"attack={settings.name}: a comparison takes one attack; try attack={ATTACK}")
    ((name, method),) = chosen.items()
    if announce is not None:
        announce(f"{name} on {first.settings.backend.name}")
    return attack(
        first.model,
        first.images,
        first.labels,
        name,
        epsilon=max(settings.radii()) if method.bounded else None,
        norm=settings.norm,
        parameters=method,
        eot=settings.eot,
        differentiable=first.stand_in(),
        seed=first.settings.seed,
        batch_size=settings.batch_size,
        max_queries=settings.max_queries,
    ).examples


def _outcomes(target: Subject, examples: Tensor, announce: Announce) -> tuple[Branches, Branches]:
    """Run clean and adversarial images on a backend, and bring what it says to where the labels are."""
    if announce is not None:
        announce(
            f"{len(examples)} clean and {len(examples)} attacked images on {target.settings.backend.name}"
        )
    seed_everything(derive(target.settings.seed, "comparison"))
    images = torch.cat([target.images, examples])
    with assembly.conversation(target.model):
        found = classify(target.model, images, target.settings.evaluation.batch_size)
    both = Branches(*(None if stage is None else stage.cpu() for stage in found))  # type: ignore[arg-type]
    half = len(examples)
    return both.part(slice(half)), both.part(slice(half, None))


def _shares(name: str, flags: Tensor) -> dict[str, float]:
    count, n = int(flags.sum()), len(flags)
    low, high = wilson_interval(count, n)
    return {name: count / n if n else 0.0, f"{name}_low": low, f"{name}_high": high}


def _distance(first: Subject, theirs: Branches, target: Subject, ours: Branches) -> dict[str, Any]:
    """Say how far outcomes are from the first backend's, and how far shots alone would put them."""
    template = first.model.template
    assert template is not None and theirs.outcomes is not None and ours.outcomes is not None
    probabilities = template.observables is None
    two = () if target is first else (first.model, target.model)  # the first's outcomes are one run, not two
    variance = sum(1 / model.shots for model in two if model.shots is not None)
    one, other = theirs.outcomes.double(), ours.outcomes.double()
    found = distribution_distance(one, other, probabilities=probabilities)
    expected = shot_noise_distance(one, variance, probabilities=probabilities)
    return {
        "distance": "total_variation" if probabilities else "mean_difference",
        "from_first": float(found.mean()),
        "from_shots_alone": float(expected.mean()),
    }
