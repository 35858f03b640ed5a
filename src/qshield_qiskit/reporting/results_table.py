"""Kept results as tables for people, in Markdown, and whether a table has what a table should have."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qshield_qiskit.reporting.titles import attack_title, ball_title, norm_title, weak_notes

ENOUGH_IMAGES = 1000
ENOUGH_SEEDS = 3


def markdown(title: str, items: Sequence[Mapping[str, Any]]) -> str:
    """Lay items out as tables, one for each preset and epsilon, a column for each model.

    >>> print(markdown("Nothing", []), end="")
    # Nothing
    """
    lines = [f"# {title}"]
    tables: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for item in items:
        key = tuple(item[name] for name in ("dataset", "preset", "epsilon", "image_set"))
        tables.setdefault(key, []).append(item)
    for members in tables.values():
        lines += ["", *_table(members)]
    if items:
        lines += ["", "Made by:", "", "```sh"]
        commands = dict.fromkeys(str(item["command"]) for item in items)
        lines += "\n\n".join(command.replace("; ", "\n") for command in commands).split("\n")
        lines += ["```"]
    return "\n".join(lines) + "\n"


def _table(members: Sequence[Mapping[str, Any]]) -> list[str]:
    first = members[0]
    preset = [f"preset `{first['preset']}`"] if first["preset"] else []
    lines = [
        f"## {', '.join([str(first['dataset']), *preset, ball_title('linf', first['epsilon'])])}",
        "",
        f"ASR in percent with its 95 % Wilson interval, on the {first['common_images']:,} of the first {first['n']:,} "
        "test images that every model here classifies correctly; ODR is of the whole test set.",
        "",
        "| | " + " | ".join(_heading(item, members) for item in members) + " |",
        "| --- |" + " --- |" * len(members),
        _row("ODR", [_clean(item) for item in members]),
        _row("verdict", [_verdict(item) for item in members]),
    ]
    for attack in dict.fromkeys(name for item in members for name in item["asr"]):
        starred = any(attack in item["too_weak"] for item in members)
        cells = [_cell(item, attack) for item in members]
        norms = {item["median_norm"][attack]["norm"] for item in members if attack in item["median_norm"]}
        goal = "".join(f", minimum {norm_title(norm)}" for norm in sorted(norms))
        lines.append(_row(attack_title(attack) + goal + (" \\*" if starred else ""), cells))
    worst = [_share(item["worst_case_asr"], item["worst_case_interval"]) for item in members]
    lines.append(_row("**worst case** of the bounded", [f"**{share}**" for share in worst]))
    lines.append(_row("seconds", [f"{item['seconds']:,.0f}" for item in members]))
    lines += ["", f"Reporting: {reporting(members)}."]
    weak = {name: why for item in members for name, why in item["too_weak"].items()}
    lines += [line for note in weak_notes(weak) for line in ("", f"\\{note}")]
    return lines


def reporting(members: Sequence[Mapping[str, Any]]) -> str:
    """Say whether a table of models on the same images has what a table should have: the fifteenth check.

    Args:
        members: Its items; the worst case, the common images and the intervals are there in any case.

    Returns:
        What is there, and what is lacking: three seeds of every model, a thousand images, a verdict on each.
    """
    seeds: dict[tuple[Any, ...], set[int]] = {}
    for item in members:
        seeds.setdefault((*_kind(item), item["recipe"]), set()).add(item["seed"])
    fewest = min(map(len, seeds.values()))
    lacks = [
        what
        for what, there in (
            (f"have {ENOUGH_SEEDS} seeds of every model", fewest >= ENOUGH_SEEDS),
            ("have a verdict on every model", all(item["verdict"] for item in members)),
            (f"attack {ENOUGH_IMAGES:,} images", members[0]["n"] >= ENOUGH_IMAGES),
        )
        if not there
    ]
    there = f"worst case per image, the same {members[0]['common_images']:,} images, Wilson intervals, {fewest} seed"
    there += "s" * (fewest != 1)
    wanted = " and ".join(filter(None, [", ".join(lacks[:-1]), *lacks[-1:]]))
    return f"{there}. A full report would {wanted}" if lacks else there


def _heading(item: Mapping[str, Any], members: Sequence[Mapping[str, Any]]) -> str:
    """Name a model, and what else tells it from the others of a table."""
    defence = "" if item["defence"] == "none" else f" by {item['defence']}"
    words = {
        "backend": f"on {item['backend']}",
        "eot": f"eot {item['eot']}",
        "bpda": f"gradients of {item['bpda']}",
    }
    varied = [
        words[key] for key in words if len({str(each[key]) for each in members}) > 1 and item[key] is not None
    ]
    alike = {each["recipe"] for each in members if _kind(each) == _kind(item)}
    recipe = [f"settings {item['recipe']}"] if len(alike) > 1 else []
    return ", ".join([f"{item['model']}{defence}", *recipe, *varied, f"seed {item['seed']}"])


def _kind(item: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give what the heading of every model says of it."""
    return item["model"], item["defence"], item["backend"]


def _clean(item: Mapping[str, Any]) -> str:
    """Word a clean accuracy."""
    return "not measured" if item["odr"] is None else f"{100 * item['odr']:.1f} (n = {item['odr_n']:,})"


def _verdict(item: Mapping[str, Any]) -> str:
    return f"**{item['verdict'] or 'none yet'}**" + (" (quick)" if item["verdict_quick"] else "")


def _row(name: str, cells: Sequence[str]) -> str:
    return f"| {name} | " + " | ".join(cells) + " |"


def _cell(item: Mapping[str, Any], attack: str) -> str:
    if attack not in item["asr"]:
        return ""
    share = _share(item["asr"][attack], item["asr_interval"][attack])
    median = item["median_norm"].get(attack, {"value": None})
    if median["value"] is None:
        return share
    return f"{share}; median {norm_title(median['norm'])} {median['value']:.3g}"


def _share(value: float, interval: Sequence[float]) -> str:
    if math.isnan(value):
        return "no common image"
    return f"{100 * value:.1f} ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})"
