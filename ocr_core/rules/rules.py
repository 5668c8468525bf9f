"""The rules composed: forms of Unicode, words, fields, extractors. Usable without any pipeline."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from ocr_core.page_output import word_at
from ocr_core.rules.dictionary import Dictionary
from ocr_core.rules.draft import Draft
from ocr_core.rules.extractors import CompiledExtractor
from ocr_core.rules.field_types import repaired
from ocr_core.rules.findings import Field
from ocr_core.rules.options import RuleOptions
from ocr_core.rules.rows import rows_from
from ocr_core.rules.unicode_text import normalised, with_width
from ocr_core.types import Line, Point, Polygon

MAX_FIELDS = 1000
"""Of one image."""

_Span = tuple[str, int, int]
"""Name of a field, and where it starts and ends in the text of its line."""


@dataclass(frozen=True, slots=True)
class Ruled:
    """Lines after rules, and what was found in them."""

    lines: tuple[Line, ...]
    fields: tuple[Field, ...] = ()


class Rules:
    """What options ask for, ready to be applied. May be shared by threads.

    options: without a profile. words: of the list that they name. Raises OptionInvalid for an extractor that is none.
    """

    def __init__(self, options: RuleOptions, words: Sequence[str] = ()) -> None:
        self._options = options
        self._dictionary = Dictionary((*words, *options.dictionary))
        self._extractors = [
            CompiledExtractor(extractor, f"options.rules.extractors[{number}]")
            for number, extractor in enumerate(options.extractors)
        ]

    def apply(self, lines: Sequence[Line]) -> Ruled:
        """Lines should have their characters: what is sure stays, and fields have their places from them."""
        done = [self._one(line) for line in lines]
        ruled_lines = tuple(line for line, _ in done)
        spans = [(*span, number) for number, (_, spans) in enumerate(done) for span in spans]
        spans += self._extracted(ruled_lines) if self._extractors else ()
        spans.sort(key=lambda span: (span[-1], span[1]))
        return Ruled(ruled_lines, tuple(_field(ruled_lines, *span) for span in spans[:MAX_FIELDS]))

    def _one(self, line: Line) -> tuple[Line, list[_Span]]:
        draft = normalised(Draft.of(line), self._options.unicode_form)
        draft = self._dictionary.corrected(with_width(draft, self._options.width_form))
        draft, found = repaired(draft, self._options.field_types)
        return draft.finished(), [(kind.value, start, end) for kind, start, end in found]

    def _extracted(self, lines: Sequence[Line]) -> Iterator[tuple[str, int, int, int]]:
        """Spans and the lines in which they are. A match belongs to the line in which it begins, a value to its own."""
        for row in rows_from([line.polygon for line in lines]):
            text = "\n".join(lines[number].text for number in row)
            starts = list(accumulate((len(lines[number].text) + 1 for number in row), initial=0))
            for extractor in self._extractors:
                for start, end in extractor.spans(text, begin_before=starts[1]):
                    place = bisect(starts, start) - 1
                    if end < starts[place + 1]:
                        yield extractor.name, start - starts[place], end - starts[place], row[place]


def ruled(rules: Rules | None, lines: Sequence[Line], *, include_characters: bool) -> Ruled:
    """As Rules.apply, and without the characters that nobody has asked for."""
    found = rules.apply(lines) if rules else Ruled(tuple(lines))
    if include_characters:
        return found
    return replace(
        found, lines=tuple(replace(line, characters=()) if line.characters else line for line in found.lines)
    )


def _field(lines: Sequence[Line], name: str, start: int, end: int, number: int) -> Field:
    line = lines[number]
    corners = word_at(line, start, end).corners
    return Field(name, line.text[start:end], number, start, end, Polygon(tuple(Point(x, y) for x, y in corners)))
