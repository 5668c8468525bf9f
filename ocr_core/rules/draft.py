"""A line's text while rules work on it, tied to what was read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ocr_core.rules.findings import Correction
from ocr_core.types import Character, Line

SURE = 0.99
"""Confidence from which on a character stays as it was read: of 17 wrong ones one has more."""

_MIN_POSTERIOR = 0.01
"""Of alternatives that the recogniser holds possible."""

Part = tuple[int, int, str]
"""Start and end of what is replaced, and what takes its place."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A line and what became of its text so far. places: for each character, start and end of its origin in line.text.

    readings: for each character of line.text, that of the recogniser in which it is; empty when they are not known.
    """

    line: Line
    text: str
    places: tuple[tuple[int, int], ...]
    readings: tuple[int, ...]
    corrections: tuple[Correction, ...] = ()

    @classmethod
    def of(cls, line: Line) -> Draft:
        """As it was read."""
        readings = tuple(number for number, each in enumerate(line.characters) for _ in each.text)
        is_known = len(readings) == len(line.text)
        return cls(line, line.text, tuple((i, i + 1) for i in range(len(line.text))), readings if is_known else ())

    def replaced(self, parts: Iterable[Part], rule: str) -> Draft:
        """With other text in the place of these parts, given in their order."""
        draft, shift = self, 0
        for start, end, text in parts:
            if text != self.text[start:end]:
                draft = draft._replaced(start + shift, end + shift, text, rule)
                shift += len(text) - (end - start)
        return draft

    def _replaced(self, start: int, end: int, text: str, rule: str) -> Draft:
        before = self.text[start:end]
        correction = Correction(rule, before, text, self.places[start][0], self.places[end - 1][1])
        skipped, kept = _shared_ends(before, text)
        first, last = start + skipped, end - kept
        changed = len(text) - skipped - kept
        # As many as before: each comes from the one that it replaces.
        places = self.places[first:last]
        if changed != last - first:
            places = ((places[0][0], places[-1][1]),) * changed
        return replace(
            self,
            text=self.text[:start] + text + self.text[end:],
            places=self.places[:first] + places + self.places[last:],
            corrections=_with(self.corrections, correction),
        )

    def reading(self, position: int) -> Character | None:
        """What the recogniser says of a character of text; None when it says nothing of it alone."""
        start, end = self.places[position]
        if not self.readings or end != start + 1:
            return None
        return self.line.characters[self.readings[start]]

    def may_become(self, position: int, text: str, *, must: bool = False) -> bool:
        """Whether the recogniser holds another character possible there. must: what was read cannot be."""
        reading = self.reading(position)
        if reading is None:
            return must
        if reading.alternatives:
            return any(each.text == text and each.posterior >= _MIN_POSTERIOR for each in reading.alternatives)
        return must or reading.confidence < SURE

    def alternatives(self, position: int) -> tuple[str, ...]:
        """Characters that the recogniser holds possible there besides the one that it read, likeliest first."""
        reading = self.reading(position)
        found = reading.alternatives if reading else ()
        return tuple(each.text for each in found if each.posterior >= _MIN_POSTERIOR)

    def confidence(self, start: int, end: int) -> float:
        """The least of the characters from which text[start:end] comes; that of the line when theirs are not known."""
        first, last = self.places[start][0], self.places[end - 1][1]
        read = [self.line.characters[number].confidence for number in self.readings[first:last]]
        return min(read, default=self.line.confidence)

    def finished(self) -> Line:
        """The line with this text, and characters that spell it."""
        if self.text == self.line.text:
            return replace(self.line, corrections=self.corrections)
        return replace(
            self.line,
            text=self.text,
            characters=self._characters(),
            raw_text=self.line.text,
            corrections=self.corrections,
        )

    def _characters(self) -> tuple[Character, ...]:
        """Those that were read, joined where several became one, or one several."""
        groups: list[tuple[int, int, str]] = []
        for character, (start, end) in zip(self.text if self.readings else "", self.places, strict=False):
            first, last = self.readings[start], self.readings[end - 1]
            if groups and first <= groups[-1][1]:
                before = groups.pop()
                groups.append((before[0], max(before[1], last), before[2] + character))
            else:
                groups.append((first, last, character))
        return tuple(_joined(self.line.characters[first : last + 1], text) for first, last, text in groups)


def _with(corrections: tuple[Correction, ...], new: Correction) -> tuple[Correction, ...]:
    """One more, or the last one longer, where one rule goes on."""
    if corrections and (last := corrections[-1]).rule == new.rule and last.end == new.start:
        joined = Correction(new.rule, last.before + new.before, last.after + new.after, last.start, new.end)
        return (*corrections[:-1], joined)
    return (*corrections, new)


def _shared_ends(one: str, other: str) -> tuple[int, int]:
    """How many characters both have in common at their beginning and at their end; one keeps at least one between."""
    most = min(len(one) - 1, len(other))
    skipped = next((i for i in range(most) if one[i] != other[i]), most)
    most -= skipped
    return skipped, next((i for i in range(most) if one[-1 - i] != other[-1 - i]), most)


def _joined(characters: Sequence[Character], text: str) -> Character:
    """As one character. What was said of alternatives does not hold of another text."""
    first, last = characters[0], characters[-1]
    if len(characters) == 1 and first.text == text:
        return first
    return replace(
        first,
        text=text,
        confidence=min(each.confidence for each in characters),
        x_end=last.x_end,
        end_timestep=last.end_timestep,
        posterior=None,
        alternatives=(),
    )
