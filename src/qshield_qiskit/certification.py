"""Certificates of a run: certificates.json, certificates/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from qshield_qiskit import assembly
from qshield_qiskit.devices.terms import Terms
from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.reporting.certificates import put_certificates
from qshield_qiskit.reporting.recording import digest, write_arrays
from qshield_qiskit.robustness.certificates import Certified, DoesNotApplyError, certify, chosen
from qshield_qiskit.runs import Run
from qshield_qiskit.subjects import Subject, backend_options, subject

MOST_IMAGES = 100
"""Images that are certified unless the user asks for another number."""

VACUOUS = "vacuous here: no image is certified at any of these radii"

Row = dict[str, Any]
Announce = Callable[[str], Any]
"""Called with a certificate's name before it starts; gives what is called with its progress, or None."""


def certify_run(
    run: Run, dotted: Sequence[str] = (), *, terms: Terms | None = None, announce: Announce | None = None
) -> list[Row]:
    """Certify a run's predictions and keep the radius of every image, certificate by certificate.

    Args:
        run: The run.
        dotted: Overrides of certificate, backend and the data's place.
        terms: On what terms a device is used.
        announce: Hears of every certificate, for a progress bar.

    Returns:
        The rows of certificates.json that are new: one for each certificate, norm and kind of bound; one that says
        why, in place of a certificate that does not apply.

    Raises:
        InputError: A setting does not fit.
    """
    target = subject(run, dotted, lambda settings: settings.certificate.images, MOST_IMAGES, terms)
    settings = target.settings.certificate
    rows: list[Row] = []
    with assembly.conversation(target.model):
        for name in chosen(settings.name):
            options = settings.model_dump(exclude={"name", "images"})
            try:
                found = certify(
                    target.model,
                    target.images,
                    target.labels,
                    name,
                    seed=target.settings.seed,
                    progress=None if announce is None else announce(name),
                    **options,
                )
                new = [_keep(run, name, each, target) for each in found]
            except DoesNotApplyError as reason:
                nothing = {"applies": False, "says": f"does not apply: {reason}"}
                new = [_identity(name, None, {}, target) | nothing]
            put_certificates(run.folder, new)
            rows += new
    return rows


def _identity(name: str, norm: str | None, figures: dict[str, Any], target: Subject) -> Row:
    """Tell which certificate of what this is."""
    return {
        "certificate": name,
        "bound": figures.get("bound"),
        "norm": norm,
        "parameters": {key: value for key, value in figures.items() if key not in {"bound", "symbols"}},
        "backend": target.settings.backend.name,
        "backend_options": backend_options(target.settings),
        "seed": target.settings.seed,
        "n": len(target.labels),
        "image_set": target.image_set,
    }


def _keep(run: Run, name: str, certified: Certified, target: Subject) -> Row:
    """Write a certificate's radii, and give its row."""
    labels = target.labels.cpu().long()
    right = certified.predicted == labels
    identity = _identity(name, certified.norm, certified.figures, target)
    path = f"certificates/{name}-{identity['bound'] or ''}-{certified.norm}-{digest((repr(identity),))}.npz"
    path = path.replace("--", "-")
    arrays = {
        "index": torch.arange(len(labels)),
        "label": labels,
        "predicted": certified.predicted,
        "correct": right,
        "radius": certified.radii,
    }
    write_arrays(run.folder, path, {key: array.numpy() for key, array in arrays.items()})
    won = certified.radii[right]
    points = [_point(certified, labels, r) for r in target.settings.certificate.points(certified.norm)]
    vacuous = "" if any(point["certified"] for point in points) else f"; {VACUOUS}"
    return {
        **identity,
        "applies": True,
        "symbols": certified.figures.get("symbols"),
        "correct": int(right.sum()),
        "median_radius": float(won.quantile(0.5)) if len(won) else None,
        "largest_radius": float(won.max()) if len(won) else None,
        "curve": [_point(certified, labels, 0.0), *points],
        "seconds": certified.seconds,
        "says": certified.says + vacuous,
        "radii": path,
    }


def _point(certified: Certified, labels: Tensor, radius: float) -> Row:
    """Count the images that are certified to be right within a radius."""
    count, n = int(certified.holds(labels, radius).sum()), len(labels)
    low, high = wilson_interval(count, n)
    return {"radius": radius, "certified": count, "accuracy": count / n, "low": low, "high": high}
