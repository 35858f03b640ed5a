"""What attacks left in a run folder: the rows of robustness.json, the outcome of each image, a few examples."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from qshield_qiskit.errors import InputError
from qshield_qiskit.reporting.certificates import CertificateRow, read_certificates
from qshield_qiskit.reporting.folder import CONFIG, RunFolder
from qshield_qiskit.reporting.titles import NORMS, attack_title, ball_title

ROBUSTNESS = "robustness.json"
VERDICT = "verdict.json"
WORST_CASE = "worst_case"
"""Names the row whose images are those that any bounded attack of that epsilon fooled."""

_NEEDED = ("attack", "norm", "epsilon", "attacked", "fooled", "n")


class Key(NamedTuple):
    """What must agree for two rows of different runs to be compared."""

    attack: str
    norm: str
    epsilon: float | None  # None: a minimum-norm attack, which has no ball
    target: str | None
    transferred: bool
    members: frozenset[str] = frozenset()  # the attacks that a worst case is of

    def place(self) -> tuple[object, ...]:
        """Sort by norm, then by radius with minimum-norm attacks last; a worst case comes after what it is of."""
        norms = list(NORMS)
        norm = norms.index(self.norm) if self.norm in norms else len(norms)
        return self.epsilon is None, norm, self.norm, self.epsilon or 0.0, self.attack == WORST_CASE

    @property
    def title(self) -> str:
        """The attack in words.

        >>> Key("pgd", "linf", 0.1, None, False).title, Key("cw", "l2", None, None, True).title
        ('PGD, L∞ ≤ 0.1', 'C&W, minimum L2, transferred')
        """
        ball = ball_title(self.norm, self.epsilon)
        goal = [] if self.target is None else [f"target {self.target}"]
        return ", ".join([attack_title(self.attack), ball, *goal, *(["transferred"] * self.transferred)])


@dataclass(frozen=True)
class Outcomes:
    """What became of each image that an attack looked at; all (N,).

    Attributes:
        index: Position in the test set.
        correct: Whether the clean image was classified correctly.
        fooled: Whether the attack changed that.
        norms: By the name of the norm, the size of each perturbation; nan where not attacked; a worst case has none.
        weight_clean: Share of the quantum branch in the fusion; None without one.
        weight_adversarial: The same under attack, nan where not attacked.
    """

    index: NDArray[np.int64]
    correct: NDArray[np.bool_]
    fooled: NDArray[np.bool_]
    norms: Mapping[str, NDArray[np.float32]]
    weight_clean: NDArray[np.float32] | None = None
    weight_adversarial: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Examples:
    """A few attacked images.

    Attributes:
        index: (M,), positions in the test set.
        label: (M,), true classes.
        clean: (M, C, H, W), [0, 1].
        adversarial: (M, C, H, W), [0, 1].
        clean_prediction: (M,), classes.
        adversarial_prediction: (M,), classes.
    """

    index: NDArray[np.int64]
    label: NDArray[np.int64]
    clean: NDArray[np.float32]
    adversarial: NDArray[np.float32]
    clean_prediction: NDArray[np.int64]
    adversarial_prediction: NDArray[np.int64]

    @property
    def fooled(self) -> NDArray[np.bool_]:
        """Which were right before and are wrong now, (M,)."""
        right_before = np.equal(self.clean_prediction, self.label)
        return np.asarray(right_before & np.not_equal(self.adversarial_prediction, self.label))


@dataclass(frozen=True)
class Row:
    """One item of robustness.json and the files that belong to it.

    Attributes:
        figures: The item.
        folder: The run's folder.
    """

    figures: Mapping[str, Any]
    folder: Path

    @property
    def key(self) -> Key:
        """What it may be compared by."""
        attack, epsilon, target = (self.figures.get(name) for name in ("attack", "epsilon", "target"))
        parameters = (self.figures.get("parameters") or {}) if attack == WORST_CASE else {}
        return Key(
            str(attack),
            str(self.figures["norm"]),
            None if epsilon is None else float(epsilon),
            None if target is None else str(target),
            self.figures.get("source") is not None,
            frozenset(map(str, parameters.get("attacks", []))),
        )

    @property
    def backend(self) -> str:
        """What the attacked model ran on, with the settings that it was given."""
        return f"{self.figures.get('backend')} {self.figures.get('backend_options') or ''}".rstrip()

    @cached_property
    def outcomes(self) -> Outcomes | None:
        """The outcome of each image; None if they were not kept."""
        arrays = self._load("outcomes")
        if arrays is None:
            return None
        return Outcomes(
            arrays["index"],
            arrays["correct"].astype(bool),
            arrays["fooled"].astype(bool),
            {norm: arrays[norm] for norm in ("l0", "l2", "linf") if norm in arrays},
            arrays.get("weight_clean"),
            arrays.get("weight_adversarial"),
        )

    @cached_property
    def examples(self) -> Examples | None:
        """A few images; None if none were kept."""
        arrays = self._load("adversarial")
        if arrays is None or len(arrays["index"]) == 0:
            return None
        return Examples(**{name: arrays[name] for name in Examples.__dataclass_fields__})

    def _load(self, kind: str) -> dict[str, NDArray[Any]] | None:
        named = self.figures.get("outcomes")
        path = self.folder / kind / Path(str(named)).name
        if named is None or not path.is_file():
            return None
        needed = {"index", "correct", "fooled"} if kind == "outcomes" else set(Examples.__dataclass_fields__)
        try:
            with np.load(path, allow_pickle=False) as content:
                arrays = dict(content)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise _damaged(path, error, self.folder) from error
        if missing := needed - set(arrays):
            raise _damaged(path, f"no {', '.join(sorted(missing))}", self.folder)
        return arrays


@dataclass(frozen=True)
class RobustRun:
    """A run that was attacked.

    Attributes:
        folder: Its files.
        description: What was trained on what, in one line.
        rows: One for each attack, norm, epsilon, backend, parameters and seed.
        verdict: The content of verdict.json, or None.
        metrics: The content of metrics.json, or nothing.
        environment: The content of environment.json, or nothing.
        config: The text of config.yaml.
        certificates: The rows of certificates.json.
    """

    folder: RunFolder
    description: str
    rows: tuple[Row, ...]
    verdict: Mapping[str, Any] | None
    metrics: Mapping[str, Any]
    environment: Mapping[str, Any]
    config: str
    certificates: tuple[CertificateRow, ...] = ()

    def of_rows(self, items: Iterable[Mapping[str, Any]], verdict: Mapping[str, Any] | None) -> RobustRun:
        """Give the same run as it was when these items of robustness.json were kept, each once, and this verdict."""
        rows = {item["outcomes"]: Row(item, self.folder.path) for item in items}
        return replace(self, rows=tuple(rows.values()), verdict=verdict)

    @property
    def name(self) -> str:
        """Experiment and date, as in the folder's path."""
        path = self.folder.path.resolve()
        return f"{path.parent.name}/{path.name}"

    @cached_property
    def dataset(self) -> str:
        """The name of its data set, or the file of one of one's own."""
        chosen = yaml.safe_load(self.config)["dataset"]
        return str(chosen.get("file") or chosen["name"])

    def verdict_on(self, backend: str) -> Mapping[str, Any] | None:
        """Give the verdict if it is about this backend, worded as `Row.backend`, else None."""
        if self.verdict is None:
            return None
        name = self.verdict.get("backend")
        judged = f"{name} {self.verdict.get('backend_options') or ''}".rstrip() if name else self.own_backend
        return self.verdict if judged == backend else None

    @cached_property
    def own_backend(self) -> str | None:
        """The backend it was trained on, worded as `Row.backend`."""
        try:
            settings = yaml.safe_load(self.config)["backend"]
            options = {**settings, **(settings.get("options") or {})}
            name = options.pop("name")
        except (yaml.YAMLError, KeyError, TypeError):
            return None
        options.pop("options", None)
        given = [f"{key}={value}" for key, value in sorted(options.items()) if value is not None]
        return " ".join([name, *given])


def read_run(folder: RunFolder, description: str = "") -> RobustRun:
    """Read what a report needs of a run.

    Args:
        folder: The run's folder.
        description: What was trained on what.

    Raises:
        InputError: The run was not attacked yet, or a file is damaged.
    """
    path = folder.path
    items = folder.read_json(ROBUSTNESS, f"qshield attack {path}")
    if not isinstance(items, list) or not items:
        raise _damaged(path / ROBUSTNESS, "no rows", path)
    for item in items:
        missing = [name for name in _NEEDED if not isinstance(item, dict) or name not in item]
        if missing:
            raise _damaged(path / ROBUSTNESS, f"a row without {', '.join(missing)}", path)

    def content(name: str, made_by: str) -> Any:
        return folder.read_json(name, made_by) if (path / name).is_file() else None

    return RobustRun(
        folder,
        description,
        tuple(Row(item, path) for item in items),
        content(VERDICT, f"qshield verdict {path}"),
        content("metrics.json", f"qshield train --resume {path}") or {},
        content("environment.json", f"qshield train --resume {path}") or {},
        (path / CONFIG).read_text(encoding="utf-8"),
        read_certificates(folder),
    )


def _damaged(path: Path, reason: object, folder: Path) -> InputError:
    return InputError(f"{path}: damaged ({reason}); make it anew with: qshield attack {folder}")
