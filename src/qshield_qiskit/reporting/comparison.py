"""Several models on the same images: attack success, and robust accuracy over epsilon, each with its interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qshield_qiskit.intervals import wilson_interval
from qshield_qiskit.reporting.robustness import WORST_CASE, Key, Outcomes, RobustRun, Row
from qshield_qiskit.reporting.titles import attack_title, radius_title


@dataclass(frozen=True)
class Share:
    """So many of n.

    >>> share = Share(9, 10)
    >>> share.value, round(share.low, 3), round(share.high, 3)
    (0.9, 0.596, 0.982)
    """

    count: int
    n: int

    @property
    def value(self) -> float:
        """The share, in [0, 1]; nan of nothing."""
        return self.count / self.n if self.n else float("nan")

    @property
    def low(self) -> float:
        """Lower end of the 95 % Wilson interval."""
        return wilson_interval(self.count, self.n)[0]

    @property
    def high(self) -> float:
        """Upper end of the 95 % Wilson interval."""
        return wilson_interval(self.count, self.n)[1]


@dataclass(frozen=True)
class Subject:
    """A model that is compared: a run, on one backend.

    Attributes:
        label: A letter if there are several, else nothing.
        run: The run.
        backend: What it ran on when it was attacked.
        several_backends: Whether the run was attacked on other backends too.
    """

    label: str
    run: RobustRun
    backend: str
    several_backends: bool = False

    @property
    def name(self) -> str:
        """What tells it from the others."""
        name = f"{self.run.name} on {self.backend}" if self.several_backends else self.run.name
        return f"{self.label}  {name}" if self.label else name

    @property
    def rows(self) -> list[Row]:
        """Every row of this backend."""
        return [row for row in self.run.rows if row.backend == self.backend]

    @property
    def strongest(self) -> dict[Key, Row]:
        """One row for each key: of several, the one of most images that fooled the largest share."""
        best: dict[Key, Row] = {}
        for row in self.rows:
            if row.key not in best or weight(row) >= weight(best[row.key]):
                best[row.key] = row
        return best

    @property
    def is_own(self) -> bool:
        """Whether it ran on what it was trained on, so that the run's metrics are about it."""
        return self.backend == self.run.own_backend

    @property
    def verdict(self) -> Mapping[str, Any] | None:
        """The verdict on it; None if there is none yet."""
        return self.run.verdict_on(self.backend)

    @property
    def verdict_words(self) -> str:
        """The verdict in a few words with its radius, to stand beside every robustness figure."""
        if self.verdict is None:
            return "no verdict yet"
        radius = radius_title(float(self.verdict["epsilon"]))
        return f"{self.verdict['verdict']} within {radius}{' (quick check)' if self.verdict.get('quick') else ''}"


@dataclass(frozen=True)
class Compared:
    """One attack on every subject.

    Attributes:
        key: The attack.
        shares: None where it was not run.
        is_one_of_several: Whether there are worst cases of other attacks in the same ball.
    """

    key: Key
    shares: tuple[Share | None, ...]
    is_one_of_several: bool = False

    @property
    def title(self) -> str:
        """The attack in words, with what a worst case is of where that tells it from another."""
        if not (self.is_one_of_several and self.key.members):
            return self.key.title
        return f"{self.key.title}, of {' and '.join(map(attack_title, sorted(self.key.members)))}"


@dataclass(frozen=True)
class Curve:
    """Robust accuracy over epsilon, of one attack on one subject.

    Attributes:
        subject: Position of the subject.
        key: The attack; its epsilon means nothing here.
        epsilons: Ascending.
        shares: Images still right, of all that were looked at.
    """

    subject: int
    key: Key
    epsilons: tuple[float, ...]
    shares: tuple[Share, ...]


def subjects(runs: Sequence[RobustRun]) -> list[Subject]:
    """Split runs by the backend they were attacked on, the one of the training first, and give each a letter."""
    found = []
    for run in runs:
        backends = sorted({row.backend for row in run.rows}, key=lambda name: (name != run.own_backend, name))
        found += [(run, backend, len(backends) > 1) for backend in backends]
    letters = [chr(ord("A") + k) if k < 26 else f"#{k + 1}" for k in range(len(found))]
    return [
        Subject(letter if len(found) > 1 else "", *subject)
        for letter, subject in zip(letters, found, strict=True)
    ]


def own_share(row: Row) -> Share:
    """Attack success on the images that the model itself classifies correctly."""
    return Share(int(row.figures["fooled"]), int(row.figures["attacked"]))


def weight(row: Row) -> tuple[int, float]:
    """Give what a row counts by beside others of its key: its images, then the share that was fooled."""
    return int(row.figures["n"]), own_share(row).value


def attacked(row: Row, outcomes: Outcomes) -> NDArray[np.bool_]:
    """Tell which images were attacked: the correct ones, save those that already are of a targeted class."""
    if row.key.target is None or "l2" not in outcomes.norms:
        return outcomes.correct
    return outcomes.correct & np.isfinite(outcomes.norms["l2"])


def compare(models: Sequence[Subject]) -> list[Compared]:
    """Compute ASR on common images: those that every compared model classifies correctly and was attacked on.

    Args:
        models: One model is judged on its own correct images.

    Returns:
        An item for each attack, in the order of the rows with each worst case last.
    """
    keys = sorted(dict.fromkeys(key for model in models for key in model.strongest), key=Key.place)
    titles = Counter(key.title for key in keys)
    return [
        Compared(
            key, _on_common_images([model.strongest.get(key) for model in models]), titles[key.title] > 1
        )
        for key in keys
    ]


def _on_common_images(rows: Sequence[Row | None]) -> tuple[Share | None, ...]:
    if len(rows) == 1:
        return tuple(None if row is None else own_share(row) for row in rows)
    kept = [None if row is None or row.outcomes is None else (row, row.outcomes) for row in rows]
    images = _intersection(o.index[attacked(row, o)] for row, o in filter(None, kept))
    shares: list[Share | None] = []
    for pair in kept:
        if pair is None:
            shares.append(None)
            continue
        chosen = np.isin(pair[1].index, images)
        shares.append(Share(int(pair[1].fooled[chosen].sum()), int(chosen.sum())))
    return tuple(shares)


def curves(models: Sequence[Subject]) -> list[Curve]:
    """Gather robust accuracy over epsilon, wherever an attack was run in at least two balls.

    Attacks that aim at a class have none: an image that did not arrive there need not be right.
    All curves of a norm are on the images that they share, so that they can be compared point by point; each begins
    at epsilon 0 with the clean accuracy on those images. A worst case is drawn where it is of the same attacks at each
    epsilon, since one of fewer attacks is a weaker one.
    """
    families: dict[tuple[int, Key], list[Row]] = {}
    for subject, model in enumerate(models):
        for key, row in model.strongest.items():
            untargeted = key.epsilon is not None and key.target is None
            says_more = len(key.members) != 1  # than its only attack
            if untargeted and says_more and row.outcomes is not None:
                families.setdefault((subject, key._replace(epsilon=None)), []).append(row)
    families = {
        name: sorted(rows, key=lambda row: row.key.epsilon or 0)
        for name, rows in families.items()
        if len(rows) > 1
    }
    result = []
    for norm in dict.fromkeys(key.norm for _, key in families):
        mine = {name: rows for name, rows in families.items() if name[1].norm == norm}
        images = _intersection(row.outcomes.index for rows in mine.values() for row in rows if row.outcomes)
        if len(images):
            result += [_curve(subject, key, rows, images) for (subject, key), rows in mine.items()]
    return result


def _curve(subject: int, key: Key, rows: Sequence[Row], images: NDArray[np.int64]) -> Curve:
    points: dict[float, Share] = {}
    for row in rows:
        outcomes = row.outcomes
        assert outcomes is not None
        chosen = np.isin(outcomes.index, images)
        right = outcomes.correct & chosen
        points.setdefault(0.0, Share(int(right.sum()), int(chosen.sum())))
        points[row.key.epsilon or 0.0] = Share(int((right & ~outcomes.fooled).sum()), int(chosen.sum()))
    return Curve(subject, key, tuple(points), tuple(points.values()))


def main_epsilons(models: Sequence[Subject]) -> dict[str, float]:
    """Choose for each norm the ball that figures are about.

    In the sup norm it is the verdict's where an attack used it, else the one of most attacks, the largest of several.
    """
    chosen = {}
    bounded = [key for model in models for key in model.strongest if key.epsilon is not None]
    keys = [key for key in bounded if key.attack != WORST_CASE] or bounded
    judged = {float(m.verdict["epsilon"]) for m in models if m.verdict and m.verdict.get("epsilon")}
    for norm in dict.fromkeys(key.norm for key in keys):
        counts = Counter(key.epsilon or 0.0 for key in keys if key.norm == norm)
        chosen[norm] = max(
            counts, key=lambda epsilon: (norm == "linf" and epsilon in judged, counts[epsilon], epsilon)
        )
    return chosen


def is_main(key: Key, epsilons: Mapping[str, float]) -> bool:
    """Tell whether an attack is of a norm's main ball, or has no ball."""
    return key.epsilon is None or key.epsilon == epsilons.get(key.norm)


def _intersection(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    arrays = list(parts)
    return reduce(np.intersect1d, arrays) if arrays else np.array([], np.int64)
