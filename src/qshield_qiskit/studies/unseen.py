"""Attacks that a defence has not met: it is chosen by all attacks but one, and tried on that one, for each."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qshield_qiskit.errors import InputError
from qshield_qiskit.files import write_atomically
from qshield_qiskit.intervals import t_interval
from qshield_qiskit.reporting.robustness import WORST_CASE
from qshield_qiskit.reporting.sheet import Sheet
from qshield_qiskit.reporting.sweep_folder import DONE, FAILED
from qshield_qiskit.reporting.sweep_lines import SEED
from qshield_qiskit.reporting.sweep_results import from_parquet
from qshield_qiskit.reporting.sweep_table import failures, percent
from qshield_qiskit.studies import Announce, Studied
from qshield_qiskit.sweeps.sweep import Sweep, plan_sweep, run_sweep

EXPERIMENT = "unseen"
UNDEFENDED = "none"

TRAINED_BY = {"pgd": {"pgd"}, "trades": {"pgd"}, "fast": {"fgsm"}, "free": {"fgsm"}}
"""By defence, the attacks that its training itself consists of: they cannot be unseen to it."""


@dataclass(frozen=True)
class Candidate:
    """A defence under one seed.

    Attributes:
        name: Of its settings.
        defence: Its kind.
        correct: Which clean images it gets right, (N,).
        fooled: By attack, which of them that one fooled, (N,).
    """

    name: str
    defence: str
    correct: NDArray[np.bool_]
    fooled: Mapping[str, NDArray[np.bool_]]

    def robust(self, attacks: Sequence[str], images: slice) -> float:
        """Give the share of images that are right whatever these attacks do."""
        lost = np.logical_or.reduce([self.fooled[name] for name in attacks])
        return float((self.correct & ~lost)[images].mean())

    def asr(self, attack: str, images: slice) -> float | None:
        """Give the success rate of an attack on the images that are right without it."""
        chosen = self.fooled[attack][images][self.correct[images]]
        return float(chosen.mean()) if len(chosen) else None


@dataclass(frozen=True)
class Trial:
    """One attack held out, under one seed.

    Attributes:
        attack: The attack.
        seed: The seed.
        unseen: The defence that was chosen without it.
        seen: The defence that was chosen with it among the others.
        asr_undefended: Its success without a defence.
        asr_unseen: Its success against the first.
        asr_seen: Its success against the second.
    """

    attack: str
    seed: int
    unseen: str
    seen: str
    asr_undefended: float | None
    asr_unseen: float | None
    asr_seen: float | None


TUNING, TRYING = slice(0, None, 2), slice(1, None, 2)
"""A defence is chosen on every other image and tried on the rest."""


def run(words: Sequence[str], announce: Announce | None = None) -> Studied:
    """Train and attack every defence, in a sweep that goes on where it was stopped, and hold each attack out in turn.

    Args:
        words: A grid of defences other than experiments/unseen.yaml, and settings as `qshield sweep` takes them.
        announce: Hears of every cell that ends.

    Raises:
        InputError: A setting does not fit, or a cell failed.
    """
    given = list(words)
    experiment = given.pop(0) if given and "=" not in given[0] else EXPERIMENT
    sweep = plan_sweep(experiment, given)

    def watch(sweep: Sweep) -> None:
        if announce is not None:
            ended = len(sweep.in_state(DONE, FAILED))
            announce("defences trained and attacked", min(ended, len(sweep.cells) - 1), len(sweep.cells))

    rows = from_parquet(run_sweep(sweep, retry_failed=True, watch=watch))
    if failed := failures(rows):
        cell, why = failed[0].rows[0]
        raise InputError(f"{sweep.folder.path}: {cell} failed ({why}); mend it and type the same again")
    trials = hold_out_each(rows)
    command = shlex.join(["qshield", "study", "unseen", *words])
    sheet = table(trials, rows)
    facts = {
        "command": command,
        "sweep": str(sweep.folder.path),
        "trials": [asdict(trial) for trial in trials],
    }
    written = [sweep.folder.path / "unseen.json", sweep.folder.path / "unseen.md"]
    write_atomically(written[0], json.dumps(facts, indent=1) + "\n")
    write_atomically(written[1], f"# Unseen attacks\n\n{sheet.to_markdown()}\nMade by `{command}`.\n")
    return Studied([sheet.to_rich()], facts, written)


def hold_out_each(rows: Sequence[Mapping[str, Any]]) -> list[Trial]:
    """Choose a defence without each attack, and try it on that one, seed by seed.

    A defence is chosen by its worst case: the share of the images that stay right under every attack that it may be
    judged by. One whose training consists of the attack that is held out cannot be chosen there.

    Args:
        rows: Of a sweep over defences, in which a group of attacks counts as one attack.

    Raises:
        InputError: There are fewer than two attacks or defences.
    """
    trials = []
    for seed in sorted({row["seed"] for row in rows}):
        candidates = _candidates([row for row in rows if row["seed"] == seed])
        attacks = list(candidates[0].fooled) if candidates else []
        if len(candidates) < 2 or len(attacks) < 2:
            raise InputError(
                f"seed {seed}: {len(candidates)} defences and {len(attacks)} attacks; expected two of each or more"
            )
        plain = next((each for each in candidates if each.defence == UNDEFENDED), None)
        members = _members(rows)
        for attack in attacks:
            others = [name for name in attacks if name != attack]
            free = [each for each in candidates if not TRAINED_BY.get(each.defence, set()) & members[attack]]
            if not free:
                raise InputError(
                    f"attack {attack}: every defence here is trained with it, so that none can be chosen without it; "
                    "add one that is not, such as noise"
                )
            unseen = max(free, key=lambda each: each.robust(others, TUNING))
            seen = max(candidates, key=lambda each: each.robust(attacks, TUNING))
            trials.append(
                Trial(
                    attack,
                    seed,
                    unseen.name,
                    seen.name,
                    None if plain is None else plain.asr(attack, TRYING),
                    unseen.asr(attack, TRYING),
                    seen.asr(attack, TRYING),
                )
            )
    return trials


def table(trials: Sequence[Trial], rows: Sequence[Mapping[str, Any]]) -> Sheet:
    """Lay trials out, a row for each attack that was held out."""
    body = []
    for attack in dict.fromkeys(trial.attack for trial in trials):
        mine = [trial for trial in trials if trial.attack == attack]
        pairs = [
            (t.asr_unseen, t.asr_seen) for t in mine if t.asr_unseen is not None and t.asr_seen is not None
        ]
        gaps = [unseen - seen for unseen, seen in pairs]
        interval = t_interval(gaps)
        body.append(
            [
                attack,
                percent([trial.asr_undefended for trial in mine if trial.asr_undefended is not None]),
                percent([unseen for unseen, _ in pairs]),
                percent([seen for _, seen in pairs]),
                f"{100 * statistics.fmean(gaps):+.1f}" if gaps else "",
                "" if interval is None else f"{100 * interval[0]:+.1f} to {100 * interval[1]:+.1f}",
                ", ".join(dict.fromkeys(trial.unseen for trial in mine)),
                ", ".join(dict.fromkeys(trial.seen for trial in mine)),
            ]
        )
    n = max(row["n"] for row in rows if row["n"])
    seeds = len({trial.seed for trial in trials})
    notes = [
        f"ASR in percent on {n // 2} test images that took no part in the choice, each model's own correct ones; mean "
        f"over {seeds} seeds ± half its 95 % t interval.",
        f"A defence is chosen by the share of {n - n // 2} other test images that stay right under all attacks it may "
        "be judged by: all but the one in the row (unseen), or all (seen). Where the training itself consists of the "
        "attack in the row, that defence cannot be chosen unseen; kin such as APGD of PGD stay.",
    ]
    headings = [
        "held out",
        "undefended",
        "unseen",
        "seen",
        "points",
        "over seeds",
        "chosen unseen",
        "chosen seen",
    ]
    return Sheet("Unseen attacks: ASR %", headings, body, notes)


def _candidates(rows: Sequence[Mapping[str, Any]]) -> list[Candidate]:
    cells: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row["attack"] and row["attack"] != WORST_CASE:
            cells.setdefault(row["digest"], []).append(row)
    found = []
    for members in cells.values():
        fooled: dict[str, NDArray[np.bool_]] = {}
        for row in members:
            lost = np.asarray(row["fooled_by_image"])
            fooled[row["group"]] = fooled.get(row["group"], np.zeros_like(lost)) | lost
        choices = {axis: value for axis, value in json.loads(members[0]["choices"]).items() if axis != SEED}
        name = ", ".join(choices.values()) or members[0]["defence"]
        found.append(
            Candidate(name, members[0]["defence"], np.asarray(members[0]["correct_by_image"]), fooled)
        )
    return found


def _members(rows: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    members: dict[str, set[str]] = {}
    for row in rows:
        if row["group"]:
            members.setdefault(row["group"], set()).add(row["attack"])
    return members
