"""Results on standard output: a Markdown table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers are aligned to the right by the reader's program, not here."""
    return "\n".join(_row(cells) for cells in (header, ["---"] * len(header), *rows))


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
