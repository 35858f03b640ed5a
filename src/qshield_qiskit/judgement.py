"""Attacks on a run and the verdict on them: robustness.json and verdict.json."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qshield_qiskit import assembly, catalog, config
from qshield_qiskit.config import AttackSettings, Settings
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.errors import InputError
from qshield_qiskit.models.hybrid import HybridClassifier
from qshield_qiskit.outcomes import identity, keep_outcome, presets
from qshield_qiskit.reporting.recording import find_row, put_row, put_worst_cases
from qshield_qiskit.reporting.robustness import VERDICT
from qshield_qiskit.robustness.attacking import attack, check_method
from qshield_qiskit.robustness.attacks import Attack, choose, default_norms
from qshield_qiskit.robustness.verdict import verdict
from qshield_qiskit.runs import Run
from qshield_qiskit.subjects import KEYS, Subject, backend_options, subject

MOST_ATTACKED = 1000
MOST_JUDGED = 100
"""Images that are attacked, and that are judged, unless the user asks for more."""

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
    chosen = attacks_named(settings, target.model.num_classes)
    maker = None if source is None else _source_model(source, target)
    stand_in = target.stand_in()
    rows: list[Row] = []
    with assembly.conversation(target.model):
        for name, method in chosen.items():
            for epsilon in settings.radii() if method.bounded else [None]:
                if epsilon == 0:
                    continue  # a curve's start, where nothing is changed and nobody fooled
                norm = settings.norm or method.norms[0]
                asked = identity(name, norm, epsilon, method.model_dump(), target, source)
                there = None if anew else find_row(run.folder, asked, target.image_set)
                if there is not None:
                    rows.append(put_row(run.folder, there | {"presets": presets(settings)}))
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
                rows.append(keep_outcome(run, outcome, target, source))
    return rows + put_worst_cases(run.folder, rows)


def attacks_named(settings: AttackSettings, num_classes: int) -> dict[str, Attack]:
    """Give the attacks that settings ask for, by name, in the order in which they are run.

    Raises:
        InputError: There is no such attack, or it cannot do what is asked of it.
    """
    chosen = choose(settings.name, settings.preset, settings.options, num_classes)
    chosen = {name: method for name, method in chosen.items() if _is_wanted(name, method, settings)} or chosen
    for name, method in chosen.items():
        check_method(name, method, max(settings.radii()), settings.norm, settings.target)
    return chosen


def _is_wanted(name: str, method: Attack, settings: AttackSettings) -> bool:
    """Say whether an attack was named itself, or comes from a preset and can do what is asked for."""
    if name in [part.strip() for part in settings.name.split(",")]:
        return True
    return settings.norm in {None, *method.norms} and (settings.target is None or method.can_target)


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
    with assembly.conversation(target.model):
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
    template, backend = run.model.template, settings.backend
    if template is not None and catalog.names_hardware(
        backend.name, template.num_qubits, **backend.build_options()
    ):
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
    if (
        found is not None
        and _is_about(found, run.config)
        and (quick or not found["quick"])
        and found["n"] == (run.config.verdict.images or min(MOST_JUDGED, len(run.dataset().test)))
    ):
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
    given = settings.attack
    norms = {given.norm} if given.norm else default_norms(given.name)
    return max((given if "linf" in norms or not norms else AttackSettings()).radii())


def _source_model(source: Run, target: Subject) -> HybridClassifier:
    model = source.model
    if model.input_shape != target.model.input_shape or model.num_classes != target.model.num_classes:
        raise InputError(
            f"--from {source.folder.path}: its model takes images of {model.input_shape} in {model.num_classes} "
            f"classes, but here they are {target.model.input_shape} in {target.model.num_classes}"
        )
    return model.to(next(target.model.parameters()).device)
