"""Pieces of the report's page; every text from a file is escaped here."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from qshield_qiskit.reporting.comparison import (
    Compared,
    Share,
    Subject,
    is_main,
    main_epsilons,
    own_share,
    weight,
)
from qshield_qiskit.reporting.robustness import WORST_CASE, Row
from qshield_qiskit.reporting.titles import radius_title

DASH = "—"
"""Stands where there is no figure."""

_STATES = {True: ("passed", "✓ passed"), False: ("failed", "✗ failed"), None: ("neutral", "not applicable")}
_COLOURS = {"no masking detected": "passed", "suspect": "open", "masking detected": "failed"}
_CHECK_COLUMNS = (
    ("result", "words"),
    ("check", "words"),
    ("kind", "words"),
    ("figure", "number"),
    ("threshold", "number"),
    ("what it says", "words"),
)
_HEADINGS = (
    ("Attack", "which attack, in which ball"),
    ("n", "images looked at"),
    ("attacked", "images that were right before"),
    ("fooled", ""),
    ("ASR %", "attack success rate: fooled / attacked"),
    ("95 %", "Wilson interval of ASR"),
    ("robust %", "share of all n images still right"),
    ("L0", "median over fooled images"),
    ("L2", "median over fooled images"),
    ("L∞", "median over fooled images"),
    ("queries", "mean per attacked image"),
    ("gradients", "mean per attacked image"),
    ("seconds", "in all"),
    ("seed", "of the attack"),
    ("EOT", "gradient samples averaged per step"),
)


def text(value: object) -> str:
    """Escape."""
    return html.escape(str(value), quote=True)


def section(anchor: str, heading: str, *parts: str) -> str:
    """Put parts under a heading that can be linked to."""
    return f'<section id="{anchor}">\n<h2>{text(heading)}</h2>\n{chr(10).join(parts)}\n</section>'


def figure(kind: str, content: bytes, alt: str, caption: str, shape: Literal["", "wide", "tall"] = "") -> str:
    """Embed a picture; kind is its media type. A wide one is scrolled on a narrow screen, a tall one fills a sheet."""
    data = base64.b64encode(content).decode()
    plate = f"plate {shape}".strip()
    return (
        f'<figure>\n<div class="{plate}"><img alt="{text(alt)}" src="data:{kind};base64,{data}"></div>\n'
        f"<figcaption>{text(caption)}</figcaption>\n</figure>"
    )


def verdict_badge(model: Subject) -> str:
    """The verdict in its colour and words."""
    found = model.verdict["verdict"] if model.verdict else ""
    return f'<span class="verdict {_COLOURS.get(found, "neutral")}">{text(model.verdict_words)}</span>'


def card(model: Subject) -> str:
    """A model at one glance: clean accuracy, its worst case, the verdict."""
    metrics = model.run.metrics
    cells = []
    if model.is_own and "odr" in metrics:
        low, high = percent(metrics["odr_low"]), percent(metrics["odr_high"])
        figures = f"[{low}, {high}], n = {metrics['n']}, seed {metrics.get('seed')}"
        cells.append(_cell("Clean accuracy (ODR)", percent(metrics["odr"]), figures))
    epsilons = main_epsilons([model])
    rows = [row for row in model.rows if is_main(row.key, epsilons)]
    worst = [row for row in rows if row.key.attack == WORST_CASE]
    row = max(worst or rows, key=weight)
    share = own_share(row)
    cells.append(
        _cell(
            f"Fooled (ASR): {row.key.title}" if worst else f"Fooled (ASR) by the strongest: {row.key.title}",
            percent(share.value),
            f"[{percent(share.low)}, {percent(share.high)}], {share.count} of {share.n} attacked, "
            f"seed {row.figures.get('seed')}",
        )
    )
    described = text(model.run.description)
    return (
        f'<article class="card">\n<h3>{text(model.name)}</h3>\n<p class="muted">{described}</p>\n'
        f"<dl>{''.join(cells)}</dl>\n<p>Verdict: {verdict_badge(model)}</p>\n</article>"
    )


def robustness_table(model: Subject) -> str:
    """Every row of robustness.json, with the clean accuracy above and the verdict in the head."""
    rows = sorted(model.rows, key=lambda row: row.key.place())
    epsilons = main_epsilons([model])
    first = [row for row in rows if is_main(row.key, epsilons)]
    others = [row for row in rows if not is_main(row.key, epsilons)]
    weak = list(dict.fromkeys(str(row.figures["weak"]) for row in rows if row.figures.get("weak")))
    columns = "".join(f'<th scope="col" title="{text(tip)}">{text(name)}</th>' for name, tip in _HEADINGS)
    body = "".join(_attack_row(row, weak) for row in first)
    if others:
        body += f'<tr class="part"><th colspan="{len(_HEADINGS)}">Other radii</th></tr>\n'
        body += "".join(_attack_row(row, weak) for row in others)
    name = f"<strong>{text(model.name)}</strong> on {text(model.backend)}, {_clean(model)}"
    marks = "".join(f"<li>{_mark(k)} {text(sentence)}</li>" for k, sentence in enumerate(weak))
    notes = f'<ul class="notes">{marks}</ul>' if marks else ""
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of attacks"><table>\n<thead>\n'
        f'<tr class="head"><th colspan="{len(_HEADINGS)}"><div>{name}<br>Verdict: {verdict_badge(model)} '
        f"{verdict_scope(model)}</div></th></tr>\n<tr>{columns}</tr>\n</thead>\n<tbody>\n{body}</tbody>\n</table></div>\n{notes}"
    )


def verdict_scope(model: Subject) -> str:
    """On what the verdict was reached, or how to reach one."""
    if model.verdict is None:
        if model.run.verdict is not None:
            return "<small>(the run's verdict is about the backend it was trained on)</small>"
        return f"<small>(make one with: <code>qshield verdict {text(model.run.folder.path)}</code>)</small>"
    found = model.verdict
    states = [check["passed"] for check in found["checks"]]
    known = {"n": "n", "EOT": "eot", "seed": "seed"}
    numbers = [f"{name} = {found[key]}" for name, key in known.items() if key in found]
    ball = [f"L∞ ≤ {radius_title(float(found['epsilon']))}"] if found.get("epsilon") else []
    about = ", ".join([*ball, *numbers])
    return (
        f"<small>({states.count(True)} checks passed, {states.count(False)} failed, {states.count(None)} not "
        f"applicable; {text(about)})</small>"
    )


def comparison_table(models: Sequence[Subject], compared: Sequence[Compared]) -> str:
    """ASR of several models on their common images."""
    columns = "".join(
        f'<th scope="col">{text(model.name)}<br>{verdict_badge(model)}</th>' for model in models
    )
    rows = []
    for attack in compared:
        counts = {share.n for share in attack.shares if share is not None}
        cells = "".join(f"<td>{_share_words(share)}</td>" for share in attack.shares)
        kind = ' class="worst"' if attack.key.attack == WORST_CASE else ""
        common = text(DASH if not counts else max(counts))
        rows.append(f'<tr{kind}><th scope="row">{text(attack.title)}</th><td>{common}</td>{cells}</tr>\n')
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table of models"><table>\n'
        "<caption>ASR % with its 95 % Wilson interval, on common images</caption>\n"
        f'<thead><tr><th scope="col">Attack</th><th scope="col">common n</th>{columns}</tr></thead>\n'
        f"<tbody>\n{''.join(rows)}</tbody>\n</table></div>"
    )


def checklist(verdict: Mapping[str, Any]) -> str:
    """The checks behind a verdict, the hard ones first."""
    rows = []
    for check in sorted(verdict["checks"], key=lambda check: not check["hard"]):
        kind, words = _STATES[check["passed"]]
        rows.append(
            f'<tr><td class="words"><span class="verdict {kind}">{words}</span></td>'
            f'<th scope="row" class="words">{text(str(check["name"]).replace("_", " "))}</th>'
            f'<td class="words" data-name="kind">{"hard" if check["hard"] else "soft"}</td>'
            f'<td data-name="figure">{number(check["figure"])}</td>'
            f'<td data-name="threshold">{number(check["threshold"])}</td>'
            f'<td class="prose">{text(check["says"])}</td></tr>\n'
        )
    heads = "".join(f'<th scope="col" class="{kind}">{name}</th>' for name, kind in _CHECK_COLUMNS)
    head = f"<thead><tr>{heads}</tr></thead>"
    body = f"<tbody>\n{''.join(rows)}</tbody>"
    region = 'class="scroll" tabindex="0" role="region" aria-label="Table of checks"'
    return f'<div {region}><table class="checks">\n{head}\n{body}\n</table></div>'


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """A list of names and values."""
    items = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs)
    return f'<dl class="facts">{items}</dl>'


def number(value: object) -> str:
    """A figure to three digits; a dash for none."""
    if value is None:
        return DASH
    if isinstance(value, float):
        return text(f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}")
    return text(value)


def percent(share: float) -> str:
    """A share to a tenth of a percent."""
    return DASH if math.isnan(share) else f"{100 * share:.1f} %"


def _attack_row(row: Row, weak: Sequence[str]) -> str:
    share, item = own_share(row), row.figures
    mark = _mark(weak.index(str(item["weak"]))) if item.get("weak") else ""
    told = [f"from {item['source']}"] if item.get("source") else []
    told += [f"gradients of {item['bpda']}"] if item.get("bpda") else []
    told += [f"at most {item['max_queries']:,} queries"] if item.get("max_queries") else []
    source = "".join(f"<br><small>{text(words)}</small>" for words in told)
    cells = [
        text(item["n"]),
        text(share.n),
        text(share.count),
        percent(share.value).removesuffix(" %"),
        f"{100 * share.low:.1f} to {100 * share.high:.1f}",
        DASH if item.get("robust_accuracy") is None else f"{100 * item['robust_accuracy']:.1f}",
        *(number(item.get(f"median_{norm}")) for norm in ("l0", "l2", "linf")),
        *(number(item.get(name)) for name in ("queries", "gradients", "seconds", "seed", "eot")),
    ]
    kind = ' class="worst"' if row.key.attack == WORST_CASE else ""
    numbers = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr{kind}><th scope="row">{text(row.key.title)}{mark}{source}</th>{numbers}</tr>\n'


def _clean(model: Subject) -> str:
    metrics = model.run.metrics
    if not model.is_own or "odr" not in metrics:
        return "clean accuracy not measured on this backend"
    return (
        f"clean accuracy (ODR) {percent(metrics['odr'])}, 95 % interval {percent(metrics['odr_low'])} to "
        f"{percent(metrics['odr_high'])}, n = {text(metrics['n'])}, seed {text(metrics.get('seed'))}"
    )


def _cell(name: str, value: str, detail: str) -> str:
    return (
        f"<div><dt>{text(name)}</dt><dd><strong>{text(value)}</strong><span>{text(detail)}</span></dd></div>"
    )


def _share_words(share: Share | None) -> str:
    if share is None:
        return DASH
    if share.n == 0:
        return "no common image"
    return f"{100 * share.value:.1f} <small>[{100 * share.low:.1f}, {100 * share.high:.1f}]</small>"


def _mark(position: int) -> str:
    return f"<sup>{'†' * (position + 1) if position < 3 else f'†{position + 1}'}</sup>"
