"""Words that readings are corrected to, where they differ by what readings often get wrong."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from ocr_core.layout.joining import is_wide
from ocr_core.rules.draft import SURE, Draft, Part
from ocr_core.rules.lookalikes import LOOKALIKES, PAIRS

_LOOKALIKE_COST = 0.25
"""Of one character for another that looks like it; any other edit costs 1."""

_COST_PER_CHARACTER = 0.1
"""Of a word, by which a reading may differ: one that looks alike in four letters, any other one in ten."""

_MIN_LETTERS = 4
_MIN_WIDE = 3
"""Characters that a word needs to change anything: short ones are like too many others."""

_EDGES = re.compile(r"(?<![0-9A-Za-z])|(?![0-9A-Za-z])")


class Dictionary:
    """Words and phrases, indexed by what they look like. May be shared by threads."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = list(dict.fromkeys(filter(None, map(str.strip, words))))
        self._known = {word.casefold() for word in self._words}
        self._ends: set[str] = set()
        self._by_look: defaultdict[str, list[str]] = defaultdict(list)
        for word in self._words:
            if _is_long_enough(word):
                self._ends |= _ends(_look(word))
                for key in _keys(word):
                    self._by_look[key].append(word)
        self._lengths = {len(word) + more for word in self._words for more in _reach(word)}

    def corrected(self, draft: Draft) -> Draft:
        """Text that is nearly a word of the dictionary as that word; nothing where several are as near."""
        parts: list[tuple[float, Part]] = []
        known: list[tuple[int, int]] = []
        for start, end in _spans(draft.text, self._lengths):
            text = draft.text[start:end]
            if text.casefold() in self._known:
                known.append((start, end))
            elif not _is_number(text) and (found := self._nearest(text)):
                word, cost = found
                if _is_doubtful(draft, start, end, word):
                    parts.append((cost / len(word), (start, end, word)))
        return draft.replaced(sorted(_apart(parts, known)), "dictionary")

    def _nearest(self, text: str) -> tuple[str, float] | None:
        """The one word within its reach of the text, as text is written, and its cost."""
        if _ends(_look(text)).isdisjoint(self._ends):
            return None  # most texts, sooner than by their keys
        candidates = {_as_written(word, text) for key in _keys(text) for word in self._by_look.get(key, ())}
        costs = sorted((_cost(text, word), word) for word in candidates)
        near = [(word, cost) for cost, word in costs if _is_near(text, word, cost)]
        if not near or (len(near) > 1 and near[1][1] < near[0][1] + _LOOKALIKE_COST):
            return None
        return near[0]


def _is_near(text: str, word: str, cost: float) -> bool:
    """Within reach, and no other ending or beginning: that makes other words of one root."""
    has_ends = text[0].casefold() == word[0].casefold() and text[-1].casefold() == word[-1].casefold()
    return cost <= len(word) * _COST_PER_CHARACTER and (cost < 1 or has_ends)


def _is_long_enough(word: str) -> bool:
    return len(word) >= (_MIN_WIDE if any(map(is_wide, word)) else _MIN_LETTERS)


def _is_number(text: str) -> bool:
    return 2 * sum(map(str.isdigit, text)) > sum(map(str.isalnum, text))


def _reach(word: str) -> Sequence[int]:
    """By how many characters a text may be longer than a word that it is corrected to."""
    if len(word) * _COST_PER_CHARACTER >= 1 or any(
        pair in word.casefold() or one in word for pair, one in PAIRS.items()
    ):
        return -1, 0, 1
    return (0,)


def _spans(text: str, lengths: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Where words of these lengths may stand: between edges of runs of letters and digits, or Chinese characters."""
    edges = {match.start() for match in _EDGES.finditer(text)}
    for start in sorted(edges):
        for length in lengths:
            end = start + length
            if length > 0 and end in edges and not text[start].isspace() and not text[end - 1].isspace():
                yield start, end


def _as_written(word: str, text: str) -> str:
    """A word in capitals where the text is; one that the dictionary has in capitals as the text has it."""
    if text == text.upper():
        return word.upper()
    if word != word.upper():
        return word
    return word.lower() if text == text.lower() else word.capitalize() if text == text.capitalize() else word


def _look(text: str) -> str:
    """The same for texts that look alike; often for others too."""
    seen = _singly(text)
    for pair, one in _PAIRS_SEEN:
        seen = seen.replace(pair, one)
    return seen


def _ends(look: str) -> set[str]:
    """Of which an edit leaves one as it is."""
    return {f"{look[:2]}-", f"-{look[-2:]}"}


def _singly(text: str) -> str:
    return "".join(_LOOK_OF.get(character, character) for character in text.casefold())


def _looks() -> dict[str, str]:
    """One character for all that look alike, whatever their case, and whatever is like these in turn."""
    parents: dict[str, str] = {}

    def top(character: str) -> str:
        while (above := parents.get(character, character)) != character:
            character = above
        return character

    for one, others in LOOKALIKES.items():
        for other in others:
            parents[top(other.casefold())] = top(one.casefold())
    return {character: top(character) for character in list(parents)}


_LOOK_OF = _looks()
_PAIRS_SEEN = [(_singly(pair), _singly(one)) for pair, one in PAIRS.items()]


def _keys(text: str) -> set[str]:
    """Looks by which a text and a word find each other; of long ones also what is left without a character."""
    look = _look(text)
    is_long = (len(text) + 1) * _COST_PER_CHARACTER >= 1
    return {look, *(look[:i] + look[i + 1 :] for i in range(len(look) if is_long else 0))}


def _cost(text: str, word: str) -> float:
    """Of the cheapest edits from one to the other (Wagner and Fischer 1974, with edits of two characters to one)."""
    above = [[float(column) for column in range(len(word) + 1)]]
    for row, read in enumerate(text, 1):
        costs = [float(row)]
        for column, wanted in enumerate(word, 1):
            costs.append(min(above[-1][column] + 1, costs[-1] + 1, above[-1][column - 1] + _exchange(read, wanted)))
            if row > 1 and PAIRS.get(text[row - 2 : row]) == wanted:
                costs[column] = min(costs[column], above[-2][column - 1] + _LOOKALIKE_COST)
            if column > 1 and PAIRS.get(word[column - 2 : column]) == read:
                costs[column] = min(costs[column], above[-1][column - 2] + _LOOKALIKE_COST)
        above.append(costs)
    return above[-1][-1]


def _exchange(read: str, wanted: str) -> float:
    if read == wanted or read.casefold() == wanted.casefold():
        return 0.0
    return _LOOKALIKE_COST if wanted in LOOKALIKES.get(read, "") else 1.0


def _is_doubtful(draft: Draft, start: int, end: int, word: str) -> bool:
    """Whether the recogniser holds the word possible, as far as it says anything of that."""
    text = draft.text[start:end]
    if len(text) == len(word):
        changed = [at for at in range(len(text)) if text[at].casefold() != word[at].casefold()]
        return all(draft.may_become(start + at, word[at]) for at in changed)
    return draft.confidence(start, end) < SURE


def _apart(parts: Iterable[tuple[float, Part]], known: Sequence[tuple[int, int]]) -> Iterator[Part]:
    """The cheapest, none over another or over a word that is known."""
    taken = list(known)
    for _, part in sorted(parts):
        if all(part[1] <= start or end <= part[0] for start, end in taken):
            taken.append(part[:2])
            yield part
