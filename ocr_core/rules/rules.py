"""The rules composed: forms of Unicode, words, fields, extractors. Usable without any pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ocr_core.page_output import word_at
from ocr_core.rules.dictionary import Dictionary
from ocr_core.rules.draft import Draft
from ocr_core.rules.extractors import CompiledExtractor
from ocr_core.rules.field_types import repaired
from ocr_core.rules.findings import Field
from ocr_core.rules.options import RuleOptions
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
        spans = ((number, line, span) for number, (line, spans) in enumerate(done) for span in spans)
        fields = tuple(_field(number, line, *span) for number, line, span in islice(spans, MAX_FIELDS))
        return Ruled(tuple(line for line, _ in done), fields)

    def _one(self, line: Line) -> tuple[Line, list[_Span]]:
        draft = normalised(Draft.of(line), self._options.unicode_form)
        draft = self._dictionary.corrected(with_width(draft, self._options.width_form))
        draft, found = repaired(draft, self._options.field_types)
        spans = [(kind.value, start, end) for kind, start, end in found]
        return draft.finished(), [*spans, *self._extracted(draft.text)]

    def _extracted(self, text: str) -> Iterator[_Span]:
        for extractor in self._extractors:
            yield from ((extractor.name, start, end) for start, end in extractor.spans(text))


def ruled(rules: Rules | None, lines: Sequence[Line], *, include_characters: bool) -> Ruled:
    """As Rules.apply, and without the characters that nobody has asked for."""
    found = rules.apply(lines) if rules else Ruled(tuple(lines))
    if include_characters:
        return found
    return replace(
        found, lines=tuple(replace(line, characters=()) if line.characters else line for line in found.lines)
    )


def _field(number: int, line: Line, name: str, start: int, end: int) -> Field:
    corners = word_at(line, start, end).corners
    return Field(name, line.text[start:end], number, start, end, Polygon(tuple(Point(x, y) for x, y in corners)))
