"""Readings of one line -> the text that most of them have, character by character.

A confusion network, as ROVER builds it from the outputs of several recognisers (Fiscus 1997): every reading is aligned
with those before it and votes for one character, or for none, at each place.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ocr_core.types import Line

_FADING = 0.5**0.1
"""Votes count half after 10 more readings: a text that changes in its place wins in the end."""

_NEGLIGIBLE = 0.02
"""Share of all votes below which a character is forgotten. With _FADING this bounds what is kept of any line."""

_NOTHING = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """A line as it was read once: its characters and the confidence of each. confidence: of the line."""

    characters: tuple[str, ...]
    confidences: tuple[float, ...]
    confidence: float

    @classmethod
    def of(cls, line: Line) -> Reading:
        """Characters have the line's confidence where their own is not known."""
        if line.characters:
            texts, confidences = zip(*((one.text, one.confidence) for one in line.characters), strict=True)
            return cls(texts, confidences, line.confidence)
        return cls(tuple(line.text), (line.confidence,) * len(line.text), line.confidence)


_Place = dict[str, float]
"""Votes for each character at one place of a line, _NOTHING for none there."""

Alignment = Sequence[tuple[int | None, int | None]]
"""Pairs of a place of the line and a character of a reading, in order, each at most once; None where one lacks."""


class LineVotes:
    """What all readings of a line have voted for, older ones faded."""

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._winners: list[str] = []
        self._readings = 0.0
        self._confidences = 0.0

    @property
    def text(self) -> str:
        """The characters with most votes."""
        return "".join(self._winners)

    @property
    def confidence(self) -> float:
        """Mean over the text's characters of their votes, against the most that they could have; 0 for empty text."""
        won = [place[winner] for place, winner in zip(self._places, self._winners, strict=True) if winner]
        return min(1.0, sum(won) / (len(won) * self._readings)) if won else 0.0

    def align(self, reading: Reading) -> Alignment:
        """The alignment with the least doubt. Equal beginnings and ends are aligned without a search."""
        places, characters = self._places, reading.characters
        start = _count_equal(self._winners, characters)
        shorter = min(len(places), len(characters)) - start
        ending = _count_equal(self._winners[::-1][:shorter], characters[::-1])
        place_end, end = len(places) - ending, len(characters) - ending
        pairs: list[tuple[int | None, int | None]] = [(same, same) for same in range(start)]
        for place, position in _search(places[start:place_end], characters[start:end]):
            pairs.append((None if place is None else start + place, None if position is None else start + position))
        return [*pairs, *zip(range(place_end, len(places)), range(end, len(characters)), strict=True)]

    def similarity(self, reading: Reading, alignment: Alignment) -> float:
        """Characters that an aligned reading has in common with the text, as a share of the longer of the two."""
        common = sum(
            self._winners[place] == reading.characters[position]
            for place, position in alignment
            if place is not None and position is not None
        )
        return common / max(len(reading.characters), sum(map(bool, self._winners)), 1)

    def add(self, reading: Reading, alignment: Alignment) -> None:
        """Count the votes of an aligned reading; those before it fade."""
        for place in self._places:
            for character in place:
                place[character] *= _FADING
        self._readings = self._readings * _FADING + 1.0
        self._confidences *= _FADING
        places: list[_Place] = []
        for known, position in alignment:
            place = {_NOTHING: self._confidences} if known is None else self._places[known]
            character = _NOTHING if position is None else reading.characters[position]
            vote = reading.confidence if position is None else reading.confidences[position]
            place[character] = place.get(character, 0.0) + vote
            places.append(place)
        self._confidences += reading.confidence
        self._places = [kept for place in places if any(kept := self._without_negligible(place))]
        self._winners = [max(place, key=place.__getitem__) for place in self._places]

    def _without_negligible(self, place: _Place) -> _Place:
        least = _NEGLIGIBLE * self._readings
        return {character: votes for character, votes in place.items() if votes >= least or character == _NOTHING}


def _count_equal(winners: Sequence[str], characters: Sequence[str]) -> int:
    """Length of the beginning that both have."""
    pairs = zip(winners, characters, strict=False)
    return next(
        (number for number, (one, other) in enumerate(pairs) if one != other), min(len(winners), len(characters))
    )


def _search(places: Sequence[_Place], characters: Sequence[str]) -> Alignment:
    """Dynamic programming: a character costs its share of other votes at its place, and 1 where it has none."""
    totals = [max(sum(place.values()), sys.float_info.min) for place in places]
    skips = [1.0 - place.get(_NOTHING, 0.0) / total for place, total in zip(places, totals, strict=True)]
    costs = [[float(position) for position in range(len(characters) + 1)]]
    for place, total, skip in zip(places, totals, skips, strict=True):
        above, row = costs[-1], [costs[-1][0] + skip]
        for position, character in enumerate(characters):
            doubt = 1.0 - place.get(character, 0.0) / total
            row.append(min(above[position] + doubt, above[position + 1] + skip, row[position] + 1.0))
        costs.append(row)
    return _traced(costs, skips)


def _traced(costs: Sequence[Sequence[float]], skips: Sequence[float]) -> Alignment:
    """The cheapest way through the table, from its end. What is neither skipped nor inserted is matched."""
    pairs: list[tuple[int | None, int | None]] = []
    place, position = len(costs) - 1, len(costs[0]) - 1
    while place or position:
        if place and costs[place][position] == costs[place - 1][position] + skips[place - 1]:
            place -= 1
            pairs.append((place, None))
        elif position and costs[place][position] == costs[place][position - 1] + 1.0:
            position -= 1
            pairs.append((None, position))
        else:
            place, position = place - 1, position - 1
            pairs.append((place, position))
    return pairs[::-1]
