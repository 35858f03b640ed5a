"""A table of text, once for the terminal, once as Markdown and once as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.table import Table
from rich.text import Text

MOST_UNBROKEN = 16
"""In a terminal, a cell of fewer characters stays on one line."""


@dataclass(frozen=True)
class Sheet:
    """A table.

    Attributes:
        title: What it shows.
        headings: Of the columns; the first names the rows.
        rows: Cells of text.
        notes: Sentences below.
        parts: Position of a row, and a heading that stands above it.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    parts: dict[int, str] = field(default_factory=dict)

    def to_rich(self) -> Table:
        """Lay it out for the terminal."""
        table = Table(title=self.title, title_justify="left", box=None, pad_edge=False, header_style="bold")
        for position, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if position else "left", no_wrap=position == 0)
        for position, row in enumerate(self.rows):
            if position in self.parts:
                table.add_row(Text(self.parts[position], style="dim italic"))
            whole = [cell.replace(" ", "\u00a0") if len(cell) < MOST_UNBROKEN else cell for cell in row]
            table.add_row(*map(Text, whole))
        if self.notes:
            table.caption = Text("\n".join(self.notes), style="dim")
            table.caption_justify = "left"
        return table

    def to_markdown(self) -> str:
        """Write it as Markdown, under a heading of the second level."""
        lines = [f"## {self.title}", "", _line(self.headings), "|" + " --- |" * len(self.headings)]
        for position, row in enumerate(self.rows):
            if position in self.parts:
                lines.append(_line([f"*{self.parts[position]}*", *[""] * (len(self.headings) - 1)]))
            lines.append(_line(row))
        for note in self.notes:
            lines += ["", note.replace("*", "\\*")]
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """Write it as a table of the report's page, which scrolls sideways on a narrow screen."""
        head = "".join(f'<th scope="col">{html.escape(heading)}</th>' for heading in self.headings)
        body = []
        for position, row in enumerate(self.rows):
            if position in self.parts:
                heading = html.escape(self.parts[position])
                body.append(f'<tr class="part"><th colspan="{len(self.headings)}">{heading}</th></tr>')
            first, *cells = map(html.escape, row)
            cells_of_row = "".join(f"<td>{cell}</td>" for cell in cells)
            body.append(f'<tr><th scope="row">{first}</th>{cells_of_row}</tr>')
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f'<div class="scroll" tabindex="0" role="region" aria-label="{html.escape(self.title)}"><table>\n'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{chr(10).join(body)}\n</tbody></table></div>\n"
            + (f'<ul class="notes">{notes}</ul>' if notes else "")
        )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
