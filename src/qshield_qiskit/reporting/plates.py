"""Which figures a report has: each with the words beneath it and for those who cannot see it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from qshield_qiskit.reporting import figures
from qshield_qiskit.reporting.comparison import (
    Compared,
    Share,
    Subject,
    attacked,
    compare,
    curves,
    is_main,
    main_epsilons,
    own_share,
)
from qshield_qiskit.reporting.figures import Norms, Weights
from qshield_qiskit.reporting.gallery import MOST_COLUMNS, gallery
from qshield_qiskit.reporting.robustness import WORST_CASE, Key, Row
from qshield_qiskit.reporting.titles import attack_title, norm_title, radius_title, span

MOST_GALLERIES = 4
MOST_WEIGHTS = 6

FIXED = 1e-6
"""Shares of the quantum branch that differ by less are one share."""


@dataclass(frozen=True)
class Plate:
    """A figure with its words.

    Attributes:
        name: Of its files.
        figure: The figure.
        alt: What it shows, for those who cannot see it.
        caption: How to read it.
        photograph: Whether it is made of images, which PNG keeps sharp.
    """

    name: str
    figure: Figure
    alt: str
    caption: str
    photograph: bool = False


def small_print(models: Sequence[Subject], *, intervals: bool = False) -> str:
    """Say under a figure what its intervals are, its seeds, and the verdict on each model."""
    seeds = sorted({str(row.figures.get("seed")) for model in models for row in model.rows})
    about = f"{'95 % Wilson intervals; ' * intervals}each model trained once; attack seed {', '.join(seeds)}. Verdict:"
    verdicts = [f"{model.name}, training seed {seed_of(model)}: {model.verdict_words}" for model in models]
    return "\n".join([about[0].upper() + about[1:], *verdicts])


def seed_of(model: Subject) -> str:
    """The seed of the training."""
    return str(model.run.metrics.get("seed", "unknown"))


def asr_plates(models: Sequence[Subject]) -> list[Plate]:
    """Attack success of the main balls and of the minimum-norm attacks."""
    epsilons = main_epsilons(models)
    everything = compare(models)
    shown = [attack for attack in everything if is_main(attack.key, epsilons)]
    counts = sorted({share.n for attack in shown for share in attack.shares if share})
    images = (
        "on the images that all models classify correctly and were attacked on"
        if len(models) > 1
        else "on the images that the model classifies correctly"
    )
    drawn, every = ({(each.key.norm, each.key.epsilon) for each in of} for of in (shown, everything))
    left_out = len(every - drawn)
    caption = (
        f"Attack success rate: fooled / attacked, {images} (n = {span(counts)}). Whiskers are 95 % Wilson intervals. "
        "Where an attack was run in several ways, the one on most images is drawn, and of these the most successful."
    )
    if left_out:
        caption += (
            f" {left_out} other {'radius is' if left_out == 1 else 'radii are'} in the curves and the table."
        )
    alt = "Bar chart of attack success. " + " ".join(_in_words(models, attack) for attack in shown)
    note = small_print(models, intervals=True)
    return [Plate("asr", figures.asr_bars([m.name for m in models], shown, note), alt, caption)]


def curve_plates(models: Sequence[Subject]) -> list[Plate]:
    """Robust accuracy over epsilon, where there are curves."""
    found = curves(models)
    if not found:
        return []
    caption = (
        "Robust accuracy: the share of all images looked at, right or wrong before, that are right under attack. "
        "A curve begins at the clean accuracy of these images; bands are 95 % Wilson intervals. It must fall, and "
        "reach zero for large ε; where it does not, the attack is too weak or gradients are masked."
    )
    alt = "Line chart of robust accuracy over epsilon. " + " ".join(
        f"{_labelled(models[curve.subject], curve.key)}: "
        + ", ".join(f"{s.value:.0%} at {e:g}" for e, s in zip(curve.epsilons, curve.shares, strict=True))
        + "."
        for curve in found
    )
    names = [model.name for model in models]
    return [
        Plate(
            "epsilon", figures.epsilon_curves(names, found, small_print(models, intervals=True)), alt, caption
        )
    ]


def norm_plates(models: Sequence[Subject]) -> list[Plate]:
    """How large the perturbations of minimum-norm attacks are."""
    samples = []
    for model in models:
        for key, row in model.strongest.items():
            counted = key.norm == "l0"  # a given number of pixels: there is no distribution to see
            if key.epsilon is None and not counted and row.outcomes and key.norm in row.outcomes.norms:
                norms = row.outcomes.norms[key.norm]
                fooled = norms[row.outcomes.fooled & np.isfinite(norms)]
                others = own_share(row).n - len(fooled)
                samples.append(Norms(_labelled(model, key), key.norm, fooled, others))
    if not samples:
        return []
    caption = (
        "Minimum-norm attacks look for the smallest change that fools. The height at x says how many of the attacked "
        "images are fooled by a perturbation of at most x; the mark is the median over the fooled images. Each model "
        "is on its own correct images."
    )
    alt = "Cumulative distribution of perturbation norms. " + " ".join(
        f"{s.label}: median {_median(s.fooled)} over {len(s.fooled)} fooled images." for s in samples
    )
    return [Plate("norms", figures.norm_distributions(samples, small_print(models)), alt, caption)]


def weight_plates(models: Sequence[Subject]) -> list[Plate]:
    """The quantum branch's share of the fusion, clean and attacked."""
    epsilons = main_epsilons(models)
    keys = dict.fromkeys(key for model in models for key in model.strongest if is_main(key, epsilons))
    samples = []
    for key in sorted(keys, key=Key.place):
        rows = [(model, model.strongest.get(key)) for model in models if key.attack != WORST_CASE]
        for model, row in rows:
            weights = None if row is None else _weights(row)
            if weights is not None:
                samples.append(Weights(_labelled(model, key), *weights))
    if not samples:
        return []
    caption = (
        "Share that the fusion gives the quantum branch, on clean images and on the same images under attack."
    )
    if len(samples) > MOST_WEIGHTS:
        caption += f" The first {MOST_WEIGHTS} of {len(samples)} are shown."
        samples = samples[:MOST_WEIGHTS]
    columns = 2 if len(models) in {2, 4} else 3  # a row holds whole comparisons
    alt = "Histograms of the quantum branch's share. " + " ".join(
        f"{s.label}: median {_median(s.clean)} clean, {_median(s.attacked)} attacked." for s in samples
    )
    return [
        Plate("quantum_weight", figures.quantum_weights(samples, small_print(models), columns), alt, caption)
    ]


def _weights(row: Row) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """The quantum branch's share on each attacked image, before and under attack; None without a fusion."""
    kept = row.outcomes
    if kept is None or kept.weight_clean is None or kept.weight_adversarial is None:
        return None
    chosen = attacked(row, kept) & np.isfinite(kept.weight_adversarial)
    clean, adversarial = kept.weight_clean[chosen], kept.weight_adversarial[chosen]
    if not chosen.any() or np.ptp(np.concatenate([clean, adversarial])) < FIXED:
        return None  # a fusion that weighs all images alike
    return clean, adversarial


def gallery_plates(model: Subject) -> list[Plate]:
    """A few images of the most successful attacks on one model."""
    epsilons = main_epsilons([model])
    rows = [
        (key, row)
        for key, row in model.strongest.items()
        if is_main(key, epsilons) and key.attack != WORST_CASE and row.examples is not None
    ]
    rows.sort(key=lambda pair: -own_share(pair[1]).value)
    return [_gallery(model, key, row) for key, row in rows[:MOST_GALLERIES]]


def _gallery(model: Subject, key: Key, row: Row) -> Plate:
    examples = row.examples
    assert examples is not None
    shown = min(len(examples.index), MOST_COLUMNS)
    wrong = int(examples.fooled[:shown].sum())
    share = own_share(row)
    caption = (
        f"{shown} of the images that were kept as examples, fooled ones first: {wrong} of these were fooled; of all "
        f"attacked, {share.count} of {share.n}. Orange is brighter, violet darker, white unchanged, all on one scale."
    )
    alt = f"Clean images, perturbations and attacked images of {key.title}. " + " ".join(
        f"A {label} that was read as {before} is read as {after}."
        for label, before, after in zip(
            examples.label[:shown],
            examples.clean_prediction[:shown],
            examples.adversarial_prediction[:shown],
            strict=True,
        )
    )
    ball = "minimum" if key.epsilon is None else radius_title(key.epsilon)
    goal = "" if key.target is None else f" target {key.target}"
    words = f"gallery {key.attack} {key.norm} {ball}{goal}{' transferred' * key.transferred}"
    name = re.sub(r"[^a-z0-9]+", "-", words.lower())
    note = small_print([model])
    return Plate(name.strip("-"), gallery(key.title, examples, note), alt, caption, photograph=True)


def _labelled(model: Subject, key: Key) -> str:
    if key.epsilon is not None:
        return f"{model.label}  {key.title}".strip()
    transferred = ", transferred" if key.transferred else ""
    goal = "" if key.target is None else f", target {key.target}"
    return f"{model.label}  {attack_title(key.attack)}, {norm_title(key.norm)}{goal}{transferred}".strip()


def _in_words(models: Sequence[Subject], attack: Compared) -> str:
    parts = [
        f"{model.label} {_share(share)}".strip() for model, share in zip(models, attack.shares, strict=True)
    ]
    return f"{attack.title}: {'; '.join(parts)}."


def _share(share: Share | None) -> str:
    if share is None:
        return "not run"
    return f"{share.count} of {share.n}"


def _median(values: NDArray[np.float32]) -> str:
    return f"{np.median(values):.3g}" if len(values) else "unknown"
