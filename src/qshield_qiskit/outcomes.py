"""What a run keeps of an attack: its row of robustness.json, an array of every figure, a few examples."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from qshield_qiskit.config import AttackSettings
from qshield_qiskit.errors import BudgetSpent
from qshield_qiskit.reporting.recording import put_row, shares, write_arrays
from qshield_qiskit.robustness.attacks import PRESETS
from qshield_qiskit.robustness.detection import branch_disagreement, detection_auroc
from qshield_qiskit.robustness.outcome import Outcome
from qshield_qiskit.runs import Run
from qshield_qiskit.subjects import Subject, backend_options

EXAMPLES = 8
"""Adversarial examples that are kept of each attack."""

Row = dict[str, Any]


def keep_outcome(run: Run, outcome: Outcome, target: Subject, source: Run | None) -> Row:
    """Write an outcome's files and its row."""
    settings = target.settings
    count, attacked, fooled = len(outcome.labels), outcome.attacked, int(outcome.fooled.sum())
    asked = identity(outcome.attack, outcome.norm, outcome.epsilon, outcome.parameters, target, source)
    asked["image_set"] = target.image_set
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:8]
    radius = "" if outcome.epsilon is None else f"-{outcome.epsilon:.4g}"
    key = f"{outcome.attack}-{outcome.norm}{radius}-{digest}"
    arrays = _outcome_arrays(outcome, target)
    write_arrays(run.folder, f"outcomes/{key}.npz", arrays)
    write_arrays(run.folder, f"adversarial/{key}.npz", _examples(outcome, target))
    row = {
        **asked,
        "presets": presets(settings.attack),
        "preset": settings.attack.preset,
        "options": settings.attack.options,
        **shares(attacked, fooled, count, targeted=settings.attack.target is not None),
        **{f"median_{norm}": outcome.median(norm) for norm in ("l0", "l2", "linf")},
        "queries": outcome.queries,
        "gradients": outcome.gradients,
        "seconds": outcome.seconds,
        "seconds_per_image": outcome.seconds / max(1, attacked),
        "weak": outcome.weak,
        "detection_auroc": _detection_auroc(arrays),
        "outcomes": f"outcomes/{key}.npz",
    }
    return put_row(run.folder, row)


def identity(
    name: str,
    norm: str,
    epsilon: float | None,
    parameters: Mapping[str, Any],
    target: Subject,
    source: Run | None,
) -> Row:
    """Give what tells a row of robustness.json from the others, besides the images."""
    settings = target.settings
    return {
        "attack": name,
        "norm": norm,
        "epsilon": epsilon,
        "bpda": settings.attack.bpda,
        "backend": settings.backend.name,
        "backend_options": backend_options(settings),
        "parameters": dict(parameters),
        "seed": settings.seed,
        "eot": settings.attack.eot,
        "max_queries": settings.attack.max_queries,
        "target": settings.attack.target,
        "source": None if source is None else str(source.folder.path),
    }


def presets(settings: AttackSettings) -> list[str]:
    """Name the preset that is run as it stands, so that its rows may be put side by side with another run's."""
    return [settings.name] if settings.name in PRESETS and not settings.options else []


def _outcome_arrays(outcome: Outcome, target: Subject) -> dict[str, NDArray[Any]]:
    arrays = {
        "index": torch.arange(len(outcome.labels)),
        "label": outcome.labels,
        "clean": outcome.clean,
        "adversarial": outcome.adversarial,
        "correct": outcome.correct,
        "fooled": outcome.fooled,
        "l0": outcome.l0.float(),
        "l2": outcome.l2.float(),
        "linf": outcome.linf.float(),
    }
    if target.model.template is not None:
        with contextlib.suppress(
            BudgetSpent
        ):  # a device with no time left for this: the outcome counts still
            clean, adversarial = (_branches(target, images) for images in (target.images, outcome.examples))
            arrays |= {f"{name}_clean": values for name, values in clean.items()}
            attacked = outcome.correct.cpu()
            for name, values in adversarial.items():
                arrays[f"{name}_adversarial"] = torch.where(attacked, values, torch.nan)
    return {name: array.cpu().numpy() for name, array in arrays.items()}


def _branches(target: Subject, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Look at what two branches make of images, (N,) each: the quantum branch's share, and how much they disagree."""
    reference = next(target.model.parameters())
    parts: dict[str, list[torch.Tensor]] = {}
    with torch.no_grad():
        for part in torch.split(images, target.settings.attack.batch_size):
            branches = target.model.branches(part.to(reference.device, reference.dtype))
            assert branches.weight is not None
            parts.setdefault("weight", []).append(branches.weight)
            if target.model.mixes_branches:
                parts.setdefault("disagreement", []).append(branch_disagreement(branches))
    return {name: torch.cat(values).float().cpu() for name, values in parts.items()}


def _detection_auroc(arrays: dict[str, NDArray[Any]]) -> float | None:
    """Say how well the branches' disagreement tells attacked images from the same ones before; None without two."""
    if "disagreement_clean" not in arrays:
        return None
    correct = arrays["correct"].astype(bool)
    return detection_auroc(arrays["disagreement_clean"][correct], arrays["disagreement_adversarial"][correct])


def _examples(outcome: Outcome, target: Subject) -> dict[str, NDArray[Any]]:
    """Choose a few images to look at: those that were fooled first."""
    order = torch.argsort(outcome.fooled.int() * 2 + outcome.correct.int(), descending=True, stable=True)
    chosen = order[:EXAMPLES].cpu()
    arrays = {
        "index": chosen,
        "label": outcome.labels[chosen],
        "clean": target.images[chosen].float(),
        "adversarial": outcome.examples[chosen],
        "clean_prediction": outcome.clean[chosen],
        "adversarial_prediction": outcome.adversarial[chosen],
    }
    return {name: array.cpu().numpy() for name, array in arrays.items()}
