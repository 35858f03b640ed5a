"""One point of a grid, named by hashes of what it depends on, and of what it has in common with others."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qshield_qiskit.config import Settings, TrainingSettings

SEED = "seed"

ELSEWHERE = {"runs", "experiment", "attack", "verdict", "certificate", "evaluation"}
"""Sections that a trained model does not depend on."""
PLACES = {"data": {"root", "mirror"}, "training": {"threads"}}
"""Settings of other sections that it does not depend on either."""
SECOND_BRANCH = {"model": {"fusion", "features", "projection", "detach_circuit", "readout"}}
"""Settings of the second branch, beside `circuit` and `backend`; a model without that branch ignores them."""
OF_THE_DEVICE = ("noise_aware", "noise_variants")
OF_TWO_BRANCHES = (*OF_THE_DEVICE, "lipschitz_weight", "branch_weight")
IGNORED = {"circuit": (), "control": OF_THE_DEVICE, "none": OF_TWO_BRANCHES}
"""Settings of training that change nothing about a model of this branch; they count as if nobody had set them."""


@dataclass(frozen=True)
class Cell:
    """One point of a grid.

    Attributes:
        choices: By axis, the value as it is typed.
        settings: All settings of its run.
        attacks: By group, overrides for `qshield attack`.
        verdict: "none", "quick" or "full".
    """

    choices: Mapping[str, str]
    settings: Settings
    attacks: Mapping[str, tuple[str, ...]]
    verdict: str

    @property
    def label(self) -> str:
        """What tells it from the other cells: `CNN, seed 0`."""
        words = [f"seed {value}" if axis == SEED else value for axis, value in self.choices.items()]
        return ", ".join(words) or f"seed {self.settings.seed}"

    @property
    def training(self) -> str:
        """Name all that its trained model depends on; cells that share it share a run."""
        return _hash(training_settings(self.settings))

    @property
    def line(self) -> str:
        """Name what it has in common with its other seeds."""
        return _hash([training_settings(self.settings.model_copy(update={"seed": 0})), self._attacked()])

    @property
    def twin(self) -> str:
        """Name what it has in common with its twin, the same model without a second branch."""
        plain = self.settings.model.model_copy(update={"branch": "none"})
        alone = self.settings.model_copy(update={"seed": 0, "model": plain})
        return _hash([training_settings(alone), self._attacked()])

    @property
    def digest(self) -> str:
        """Name the training, and all that is done with it."""
        return _hash([self.training, self._attacked(), self.verdict])

    def _attacked(self) -> list[Any]:
        settings = self.settings.model_dump(mode="json", include={"attack", "verdict", "evaluation"})
        return [settings, {group: list(dotted) for group, dotted in self.attacks.items()}]


def training_settings(settings: Settings) -> dict[str, Any]:
    """Give the settings that a trained model depends on, as plain values.

    Without a second branch it does not depend on circuit, backend and fusion, so that a grid of circuits has one twin.
    """
    tree = settings.model_dump(mode="json", exclude=ELSEWHERE)
    plain = TrainingSettings().model_dump(mode="json")
    tree["training"] |= {name: plain[name] for name in IGNORED[settings.model.branch]}
    if settings.evaluation.images is not None:  # on which its figures were measured
        tree["evaluation"] = {"images": settings.evaluation.images}
    left_out = dict(PLACES)
    if settings.model.branch == "none":
        left_out |= SECOND_BRANCH
        del tree["circuit"], tree["backend"]
    elif settings.model.branch == "control":
        del tree["backend"]
    return {
        section: {k: v for k, v in content.items() if k not in left_out.get(section, ())}
        if isinstance(content, dict)
        else content
        for section, content in tree.items()
    }


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:10]
