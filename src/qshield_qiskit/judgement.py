"""Attacks on a run and the verdict on them: robustness.json, outcomes/, adversarial/, verdict.json."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from numpy.typing import NDArray

from qshield_qiskit import catalog, config, runs
from qshield_qiskit.config import AttackSettings, Settings
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import BudgetSpent, InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.reporting.recording import (
    find_row,
    image_set,
    put_row,
    put_worst_cases,
    shares,
    write_arrays,
)
from qshield_qiskit.reporting.robustness import VERDICT
from qshield_qiskit.robustness.attacking import attack
from qshield_qiskit.robustness.attacks import PRESETS, choose
from qshield_qiskit.robustness.detection import branch_disagreement, detection_auroc
from qshield_qiskit.robustness.outcome import Outcome
from qshield_qiskit.robustness.verdict import verdict
from qshield_qiskit.runs import Run
from qshield_qiskit.subjects import KEYS, Subject, backend_options, subject

MOST_ATTACKED = 1000
MOST_JUDGED = 100
"""Images that are attacked, and that are judged, unless the user asks for more."""

EXAMPLES = 8
"""Adversarial examples that are kept of each attack."""

Row = dict[str, Any]
Announce = Callable[[str, float | None], Any]
"""Called with an attack's name and epsilon before it starts; gives what is called with its progress, or None."""


def attack_run(
    run: Run,
    dotted: Sequence[str] = (),
    *,
    source: Run | None = None,
    terms: Terms | None = None,
    announce: Announce | None = None,
    anew: bool = True,
) -> list[Row]:
    """Attack a run's model and keep every outcome.

    Args:
        run: The run.
        dotted: Overrides of attack, backend and the data's place.
        source: Another run, whose model the examples are made on (transfer).
        terms: On what terms a device is used.
        announce: Hears of every attack, for a progress bar.
        anew: Whether an attack is repeated whose row, with the same settings on the same images, is there already.

    Returns:
        The rows of robustness.json, new or there already: each attack of each epsilon, and each epsilon's worst case.

    Raises:
        InputError: A setting does not fit.
    """
    target = subject(run, dotted, lambda settings: settings.attack.images, MOST_ATTACKED, terms)
    settings = target.settings.attack
    if not any(settings.radii()):
        raise InputError(f"attack.epsilon={settings.epsilon}: nothing is above 0; try 0:0.3:7")
    chosen = choose(settings.name, settings.preset, settings.options, target.model.num_classes)
    if settings.norm is not None:
        chosen = {name: method for name, method in chosen.items() if settings.norm in method.norms} or chosen
    if settings.target is not None:
        chosen = {name: method for name, method in chosen.items() if method.can_target} or chosen
    maker = None if source is None else _source_model(source, target)
    stand_in = None if settings.bpda is None else _stand_in(target)
    rows: list[Row] = []
    with runs.conversation(target.model):
        for name, method in chosen.items():
            for epsilon in settings.radii() if method.bounded else [None]:
                if epsilon == 0:
                    continue  # a curve's start, where nothing is changed and nobody fooled
                norm = settings.norm or method.norms[0]
                asked = _identity(name, norm, epsilon, method.model_dump(), target, source)
                there = None if anew else find_row(run.folder, asked, image_set(range(len(target.labels))))
                if there is not None:
                    rows.append(there)
                    continue
                outcome = attack(
                    target.model,
                    target.images,
                    target.labels,
                    name,
                    epsilon=epsilon,
                    norm=settings.norm,
                    parameters=method,
                    target=settings.target,
                    eot=settings.eot,
                    differentiable=stand_in,
                    source=maker,
                    seed=target.settings.seed,
                    batch_size=settings.batch_size,
                    max_queries=settings.max_queries,
                    watch=target.settings.backend.max_qpu_seconds is not None,
                    progress=None if announce is None else announce(name, epsilon),
                )
                rows.append(_keep(run, outcome, target, source))
    return rows + put_worst_cases(run.folder, rows)


def judge_run(
    run: Run,
    dotted: Sequence[str] = (),
    *,
    quick: bool = False,
    keep: bool = True,
    terms: Terms | None = None,
    progress: Any = None,
) -> Row:
    """Judge whether a run's robustness figures may be believed, and keep the verdict as verdict.json.

    Args:
        run: The run.
        dotted: Overrides of verdict, attack (epsilon, eot), backend and the data's place.
        quick: Weaker attacks, for a first answer.
        keep: Write it to verdict.json.
        terms: On what terms a device is used.
        progress: As for `verdict`.

    Returns:
        What verdict.json holds.

    Raises:
        InputError: A setting does not fit.
    """
    target = subject(run, dotted, lambda settings: settings.verdict.images, MOST_JUDGED, terms)
    settings = target.settings
    with runs.conversation(target.model):
        found = verdict(
            target.model,
            target.images,
            target.labels,
            epsilon=_judged_radius(settings),
            eot=settings.attack.eot,
            seed=settings.seed,
            batch_size=settings.verdict.batch_size,
            quick=quick,
            progress=progress,
        )
    found |= {"backend": settings.backend.name, "backend_options": backend_options(settings)}
    if keep:
        run.folder.write_json(VERDICT, found)
    return found


def standing_verdict(run: Run, dotted: Sequence[str] = (), *, progress: Any = None) -> Row | None:
    """Give the verdict that the run already has for this epsilon, backend and eot, else a quick one.

    A quick one does not replace a full one of another ball or backend. On a device of IBM's, where it would cost
    hundreds of jobs that nobody asked for, there is none.
    """
    found, settings = kept_verdict(run), config.override(run.config, dotted, KEYS)
    if found is not None and _is_about(found, settings):
        return found
    if catalog.is_hardware(settings.backend.name):
        return None
    keep = found is None or bool(found.get("quick"))
    return judge_run(run, dotted, quick=True, keep=keep, progress=progress)


def kept_verdict(run: Run) -> Row | None:
    """Give what the run's verdict.json holds, if there is one."""
    if not (run.folder.path / VERDICT).is_file():
        return None
    found: Row = run.folder.read_json(VERDICT, f"qshield verdict {run.folder.path}")
    return found


def verdict_once(run: Run, *, quick: bool, progress: Any = None) -> Row:
    """Give the verdict that the run already has under its own settings, else judge it; full is as good as quick."""
    found = kept_verdict(run)
    if found is not None and _is_about(found, run.config) and (quick or not found["quick"]):
        wanted = run.config.verdict.images
        if wanted is None or found["n"] == wanted:
            return found
    return judge_run(run, quick=quick, progress=progress)


def _is_about(verdict: Row, settings: Settings) -> bool:
    """Say whether a verdict is about this epsilon, backend and number of draws."""
    asked = {
        "epsilon": _judged_radius(settings),
        "backend": settings.backend.name,
        "backend_options": backend_options(settings),
        "eot": settings.attack.eot,
    }
    return all(verdict.get(key) == value for key, value in asked.items())


def _judged_radius(settings: Settings) -> float:
    """Give the largest radius of a verdict, which is in the sup norm: one in another norm does not count."""
    given = settings.attack if settings.attack.norm in {None, "linf"} else AttackSettings()
    return max(given.radii())


def _source_model(source: Run, target: Subject) -> HybridClassifier:
    model = source.model
    if model.input_shape != target.model.input_shape or model.num_classes != target.model.num_classes:
        raise InputError(
            f"--from {source.folder.path}: its model takes images of {model.input_shape} in {model.num_classes} "
            f"classes, but here they are {target.model.input_shape} in {target.model.num_classes}"
        )
    return model.to(next(target.model.parameters()).device)


def _stand_in(target: Subject) -> HybridClassifier:
    """Put the model on the backend that is differentiated in place of its own."""
    model, settings = target.model, target.settings
    if model.template is None or model.branch != "circuit":
        raise InputError(f"attack.bpda={settings.attack.bpda}: this model has no circuit; leave it out")
    assert settings.attack.bpda is not None
    return model.with_backend(catalog.load_backend(settings.attack.bpda, model.template.num_qubits))


def _keep(run: Run, outcome: Outcome, target: Subject, source: Run | None) -> Row:
    """Write an outcome's files and its row."""
    settings = target.settings
    identity = _identity(outcome.attack, outcome.norm, outcome.epsilon, outcome.parameters, target, source)
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True, default=str).encode()).hexdigest()[:8]
    radius = "" if outcome.epsilon is None else f"-{outcome.epsilon:.4g}"
    key = f"{outcome.attack}-{outcome.norm}{radius}-{digest}"
    count, attacked, fooled = len(outcome.labels), outcome.attacked, int(outcome.fooled.sum())
    arrays = _outcome_arrays(outcome, target)
    write_arrays(run.folder, f"outcomes/{key}.npz", arrays)
    write_arrays(run.folder, f"adversarial/{key}.npz", _examples(outcome, target))
    row = {
        **identity,
        "presets": [settings.attack.name] if _is_a_preset(settings.attack) else [],
        **shares(attacked, fooled, count, targeted=settings.attack.target is not None),
        "image_set": image_set(range(count)),
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


def _identity(
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


def _is_a_preset(settings: AttackSettings) -> bool:
    """Say whether a preset is run as it stands, so that its rows may be put side by side with another run's."""
    return settings.name in PRESETS and not settings.options


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
        ):  # the outcome counts, also where a device has no time left for this
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
