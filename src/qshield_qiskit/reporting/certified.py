"""What the report says of certificates: a figure beside the attacks, a table, and whether any attack beat one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from qshield_qiskit.reporting import page
from qshield_qiskit.reporting.certificate_figure import RadiusCurve, certificate_curves
from qshield_qiskit.reporting.certificates import CertificateRow
from qshield_qiskit.reporting.comparison import Subject
from qshield_qiskit.reporting.plates import Plate, small_print
from qshield_qiskit.reporting.titles import norm_title, radius_title

OF_ANOTHER = "smoothing"
"""The certificate that is about another classifier than the one that was attacked."""

TOLERANCE = 1e-6
"""By how much rounding may bring a perturbation below a radius."""


def certificates_of(model: Subject) -> list[CertificateRow]:
    """Give the certificates of a run on the backend that the subject is about."""
    return [row for row in model.run.certificates if row.backend == model.backend]


def smallest_perturbations(model: Subject, norm: str, index: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Find the smallest perturbation by which any attack of a run fooled the model.

    Args:
        model: The run on a backend.
        norm: In which perturbations are measured, whatever norm the attack was bounded in.
        index: (N,), positions in the test set.

    Returns:
        (N,): infinite where no attack succeeded, -1 where the model was wrong before; None unless an attack of that
        norm looked at each of these images.
    """
    smallest = np.full(len(index), np.inf)
    looked = np.zeros(len(index), dtype=bool)
    for row in model.rows:
        kept = row.outcomes
        if kept is None or norm not in kept.norms:
            continue
        place = {int(position): k for k, position in enumerate(kept.index)}
        found = np.array([place.get(int(position), -1) for position in index])
        there = found >= 0
        if row.key.norm == norm and row.key.target is None:
            looked |= there
        sizes = np.where(kept.fooled, kept.norms[norm].astype(np.float64), np.inf)
        # A targeted attack leaves those of the target alone, and says of them no more than that.
        sizes = np.where(kept.correct, sizes, -1.0 if row.key.target is None else np.inf)
        smallest[there] = np.minimum(smallest[there], sizes[found[there]])
    return smallest if looked.all() else None


def certificate_plates(models: Sequence[Subject]) -> list[Plate]:
    """Certified accuracy over radius, beside what the attacks left on the same images."""
    curves: list[RadiusCurve] = []
    for model in models:
        empirical: dict[str, RadiusCurve] = {}
        for row in certificates_of(model):
            kept = row.radii
            if kept is None:
                continue
            index, radii = kept
            norm = str(row.figures["norm"])
            curves.append(RadiusCurve(_labelled(model, row.title), norm, radii))
            smallest = smallest_perturbations(model, norm, index)
            if smallest is not None and norm not in empirical:
                label = _labelled(model, "not turned by any attack")
                empirical[norm] = RadiusCurve(label, norm, smallest, attacked=True)
        curves += empirical.values()
    if not any(not curve.attacked for curve in curves):
        return []
    curves.sort(key=lambda curve: (curve.norm != "linf", curve.attacked))
    caption = (
        "Coloured: the share of images that are proven right within the radius. Black: the share that no attack of "
        "this run has turned by a perturbation as small, in whatever norm it was bounded. The truth lies between the "
        "two; smoothing is about another classifier, the smoothed one, and may cross. Bands are 95 % Wilson intervals."
    )
    alt = "Line chart of certified accuracy over radius. " + " ".join(
        f"{curve.label}, {norm_title(curve.norm)}: median radius {_median(curve)}." for curve in curves
    )
    figure = certificate_curves(curves, small_print(models, intervals=True))
    return [Plate("certificates", figure, alt, caption)]


def certificate_words(models: Sequence[Subject]) -> list[str]:
    """A table of every certificate, with what it holds for, and whether an attack has beaten it."""
    parts = []
    for model in models:
        rows = certificates_of(model)
        if rows:
            name = f"<h3>{page.text(model.name)}</h3>" if len(models) > 1 else ""
            parts.append(name + _table(model, rows))
    return parts


def beaten(model: Subject, row: CertificateRow) -> tuple[int, int] | None:
    """Count the images that an attack turned within their certified radius, and those that were certified.

    Returns:
        Both counts; None for a certificate of another classifier, and where nothing was attacked.
    """
    if row.radii is None or row.figures["certificate"] == OF_ANOTHER:
        return None
    index, radii = row.radii
    smallest = smallest_perturbations(model, str(row.figures["norm"]), index)
    if smallest is None:
        return None
    certified = radii > 0
    return int((certified & (smallest >= 0) & (smallest < radii - TOLERANCE)).sum()), int(certified.sum())


def _table(model: Subject, rows: Sequence[CertificateRow]) -> str:
    heads = (
        "certificate",
        "norm",
        "n",
        "clean %",
        "certified %",
        "median radius",
        "seconds",
        "attacks",
        "what it says",
    )
    body = []
    for row in rows:
        figures = row.figures
        cells = [page.DASH] * 7
        if figures["applies"]:
            norm, points = str(figures["norm"]), figures["curve"]
            shares = "<br>".join(
                f"{100 * p['accuracy']:.1f} <small>[{100 * p['low']:.1f}, {100 * p['high']:.1f}] "
                f"≤ {page.text(radius_title(p['radius']))}</small>"
                for p in points[1:]
            )
            count = beaten(model, row)
            cells = [
                page.text(norm_title(norm)),
                page.text(figures["n"]),
                f"{100 * points[0]['accuracy']:.1f}",
                shares,
                page.number(figures["median_radius"]),
                page.number(figures["seconds"]),
                page.DASH if count is None else f"{count[0]} of {count[1]} beaten",
            ]
        values = "".join(f"<td>{cell}</td>" for cell in cells)
        head, says = page.text(row.title), page.text(figures["says"])
        body.append(f'<tr><th scope="row">{head}</th>{values}<td class="prose">{says}</td></tr>')
    columns = "".join(f'<th scope="col">{page.text(head)}</th>' for head in heads)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of certificates"><table>\n'
        f"<thead><tr>{columns}</tr></thead>\n<tbody>\n{chr(10).join(body)}\n</tbody>\n</table></div>"
    )


def _labelled(model: Subject, words: str) -> str:
    return f"{model.label}  {words}".strip()


def _median(curve: RadiusCurve) -> str:
    right = curve.radii[curve.radii >= 0]
    return f"{np.median(right):.3g}" if len(right) else "unknown"
