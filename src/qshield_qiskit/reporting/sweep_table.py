"""A sweep's results as tables: means and intervals over seeds, hybrids against their twins, and what failed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from qshield_qiskit.intervals import t_interval
from qshield_qiskit.reporting.paired import holm
from qshield_qiskit.reporting.robustness import WORST_CASE
from qshield_qiskit.reporting.sheet import Sheet
from qshield_qiskit.reporting.sweep_folder import DONE, FAILED
from qshield_qiskit.reporting.sweep_lines import Row, attacks_of, compare_with_twins, groups, key_of, lines
from qshield_qiskit.reporting.titles import attack_title, ball_title, weak_notes


def sheets(rows: Sequence[Row]) -> list[Sheet]:
    """Lay out all tables of a sweep."""
    return [
        _overview(rows),
        *(_attacks(rows, group) for group in groups(rows)),
        *_paired(rows),
        *failures(rows),
    ]


def percent(values: Sequence[float]) -> str:
    """Word shares over seeds: their mean in percent, and half of its 95 % t interval where there are seeds enough.

    >>> percent([0.5]), percent([0.4, 0.5, 0.6]), percent([])
    ('50.0', '50.0 ± 24.8', '')
    """
    if not values:
        return ""
    mean, interval = statistics.fmean(values), t_interval(values)
    return f"{100 * mean:.1f}" + ("" if interval is None else f" ± {100 * (interval[1] - mean):.1f}")


def _overview(rows: Sequence[Row]) -> Sheet:
    named = groups(rows)
    body = []
    for line in lines(rows):
        worst = [percent(_shares(line.attacks(group, WORST_CASE))) for group in named]
        seconds, inference = line.mean("train_seconds"), line.mean("inference_seconds")
        cost = "" if seconds is None or inference is None else f"{seconds + inference:.1f}"
        body.append(
            [
                line.label,
                ", ".join(map(str, line.seeds())) or "none",
                percent([row["odr"] for row in line.cells]),
                *worst,
                line.verdict,
                cost,
            ]
        )
    notes = [
        f"ODR, ASR in percent: mean over seeds ± half its 95 % t interval. {_images(rows)}",
        "Worst case: fooled by any bounded attack of the group. Seconds: training and one pass over the test images.",
    ]
    headings = ["", "seeds", "ODR %", *(f"worst case %, {group}" for group in named), "verdict", "seconds"]
    return Sheet(f"{rows[0]['sweep']}: {_counts(rows)}", headings, body, notes)


def _attacks(rows: Sequence[Row], group: str) -> Sheet:
    keys = attacks_of(rows, group)
    weak = [row for row in rows if row["group"] == group and row["weak"]]
    balls = {ball_title(key.norm, key.epsilon) for key in keys if key.epsilon is not None}
    body = [
        [line.label, *(percent(_shares(line.attacks(group, key.attack, key))) for key in keys)]
        for line in lines(rows)
    ]
    headings = [
        (attack_title(key.attack) if len(balls) == 1 and key.epsilon is not None else key.title)
        + (" *" if key in map(key_of, weak) else "")
        for key in keys
    ]
    title = ", ".join([f"ASR %, attacks {group}", *(balls if len(balls) == 1 else ())])
    return Sheet(title, ["", *headings], body, weak_notes({row["attack"]: row["weak"] for row in weak}))


def _paired(rows: Sequence[Row]) -> list[Sheet]:
    compared = compare_with_twins(rows)
    if not compared:
        return []
    corrected = holm([pair.found.p for pair in compared])
    body = []
    for (line, _, group, found), p in zip(compared, corrected, strict=True):
        interval = (
            ""
            if found.interval is None
            else f"{100 * found.interval[0]:+.1f} to {100 * found.interval[1]:+.1f}"
        )
        body.append(
            [
                line.label,
                group,
                str(found.seeds),
                str(found.images),
                f"{100 * found.difference:+.1f}",
                interval,
                str(found.first_only),
                str(found.second_only),
                f"{found.p:.3g}",
                f"{p:.3g}",
            ]
        )
    notes = [
        "Points of worst-case ASR, model less twin, on the images that both classify correctly: below 0 the model is "
        "harder to fool. Over seeds: 95 % t interval of the difference.",
        "p: exact sign-flip test over images (McNemar's for one seed), given these trained models; the last column is "
        "corrected by Holm for the number of rows.",
    ]
    headings = [
        *("", "attacks", "seeds", "pairs", "points", "over seeds", "only model", "only twin", "p", "p, Holm")
    ]
    return [Sheet("Second branch against none", headings, body, notes)]


def failures(rows: Sequence[Row]) -> list[Sheet]:
    """List the cells that failed, with their reasons."""
    failed = {row["digest"]: row for row in rows if row["state"] == FAILED}
    if not failed:
        return []
    body = [[row["cell"], row["failure"] or ""] for row in failed.values()]
    return [
        Sheet(
            "Failed, and set aside",
            ["cell", "why"],
            body,
            ["Try them again: qshield sweep ... --retry-failed"],
        )
    ]


def _shares(rows: Sequence[Row]) -> list[float]:
    return [row["asr"] for row in rows if row["asr"] is not None]


def _images(rows: Sequence[Row]) -> str:
    common = sorted({row["common_images"] for row in rows if row["common_images"] is not None})
    counts = sorted({row["n"] for row in rows if row["n"] is not None})
    if not common:
        return "Nothing was attacked."
    spread = f"{common[0]}" if common[0] == common[-1] else f"{common[0]} to {common[-1]}"
    return f"ASR on the {spread} of {counts[-1]} test images that every model of a seed classifies correctly."


def _counts(rows: Sequence[Row]) -> str:
    states = {row["digest"]: row["state"] for row in rows}
    done = sum(state == DONE for state in states.values())
    failed = sum(state == FAILED for state in states.values())
    return f"{done} of {len(states)} cells done" + (f", {failed} failed" if failed else "")
