"""What was read, as text, JSON, TSV, fields, Markdown or HTML for a terminal or a pipe."""

from __future__ import annotations

import html
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import Enum

import glyphwire
from rich.console import Console

from ocr_core import types
from ocr_core.layout.export import Structured, to_html, to_markdown, to_tsv
from ocr_core.structure import Paragraph, Structure

_PIPE_WIDTH = 200
FORMATS = ("text", "json", "tsv", "fields")
STRUCTURE_FORMATS = ("markdown", "html")
"""Formats of pages with their structure; TSV becomes one, too, when structure was asked for."""
TSV_HEADER = "source\tline\tconfidence\tpolygon\ttext"
HTML_HEADER = '<!DOCTYPE html>\n<meta charset="utf-8">'

Recognition = types.Recognition | glyphwire.Recognition
"""The same fields, whether read in this process or by a server."""

_Line = types.Line | glyphwire.Line
StableLine = types.StableLine | glyphwire.StableLine


def report(
    form: str,
    source: str,
    recognition: Recognition,
    *,
    titled: bool,
    merged: Sequence[StableLine] | None = None,
    page: Mapping[str, object] | None = None,
) -> Iterator[str]:
    """Rows for one image. source: its path or frame number; titled: whether plain text names it.

    merged: lines merged over frames. They take the place of the image's own, but in JSON, which has both.
    page: what is known of a page of a document, for JSON.
    """
    lines: Sequence[_Line] = recognition.lines
    match form:
        case "json":
            more = {} if merged is None else {"stable_lines": [asdict(line) for line in merged]}
            whole = {"source": source, **(page or {})} | asdict(recognition) | more
            yield json.dumps(whole, ensure_ascii=False, default=_enum_value)
        case "tsv" if recognition.structure:
            yield from [f"==> {source} <=="] if titled else []
            yield to_tsv(recognition.structure)
        case "tsv":
            numbered = enumerate(lines, 1) if merged is None else ((line.track_id, line) for line in merged)
            for number, line in numbered:
                yield f"{source}\t{number}\t{line.confidence:.4f}\t{_corners(line)}\t{_one_row(line.text)}"
        case "fields":
            for field in recognition.fields:
                yield f"{source}\t{field.line + 1}\t{field.name}\t{_one_row(field.value)}"
        case "markdown":
            yield from [f"<!-- {source} -->\n"] if titled else []
            yield to_markdown(_structure(recognition)) + "\n"
        case "html":
            yield f'<article title="{html.escape(source)}">\n{to_html(_structure(recognition))}\n</article>'
        case _:
            yield from [f"==> {source} <=="] if titled else []
            yield from _texts(lines) if merged is None else map(_merged_row, merged)


def _structure(recognition: Recognition) -> Structured:
    """Pages whose text was not read but taken from a document have none: there each line is a paragraph."""
    lines: Sequence[_Line] = recognition.lines
    plain = Structure(tuple(Paragraph(line.text, (number,)) for number, line in enumerate(lines)))
    return recognition.structure or plain


def _texts(lines: Sequence[_Line]) -> Iterator[str]:
    for line in lines:
        yield line.text
        yield from (f"\t{other.log_prob:.2f}\t{other.text}" for other in line.alternatives)


def _merged_row(line: StableLine) -> str:
    state = "missed" if line.frames_missed else "stable" if line.is_stable else "new"
    return f"{line.track_id}\t{state}\t{line.confidence:.2f}\t{line.text}"


def timings_row(recognition: Recognition) -> str:
    """Where the time went, in one row."""
    return ", ".join(f"{name} {value:.1f} ms" for name, value in stage_times(recognition))


def table_console() -> Console:
    """For tables on standard output; in a pipe their columns are not cut to the width of a terminal."""
    return Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH)


def stage_times(recognition: Recognition) -> list[tuple[str, float]]:
    """Name and milliseconds of each stage."""
    return [(name.removesuffix("_ms").replace("_", " "), value) for name, value in asdict(recognition.timings).items()]


def _corners(line: _Line | StableLine) -> str:
    return " ".join(f"{vertex.x:.1f},{vertex.y:.1f}" for vertex in line.polygon.vertices)


def _enum_value(member: Enum) -> object:
    return member.value


def _one_row(text: str) -> str:
    return " ".join(text.split("\t")).replace("\n", " ")
