"""What is known about the text of a line before it is read: words, patterns, characters.

Each value compiles to an automaton for the beam search (`ext.automaton`), once per charset. Whatever sequence of labels
spells a text, it is judged alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ext.automaton import Automaton, Int32
from ocr_core.charset import Charset
from ocr_core.errors import OptionInvalid
from ocr_core.pattern import parse, pattern_automaton
from ocr_core.spelling import over_labels, readable_labels, spelled, trim
from ocr_core.words import Words, hot, lenient, strict, unseparated

MAX_WEIGHT = 100.0
"""Nats that a word may be worth, more or less than nothing."""

_CACHED = 32
"""Automata kept per kind of knowledge."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Words that a line is made of, or is likely to have.

    Without bonus a line must be words with runs of separators between them, and maybe before and after them; the empty
    line is one. With a bonus, in nats, any line may be read, and each of its words that stands between separators or
    line ends gains that much. separators: characters. None: the line is one word, which may have spaces. Empty:
    words follow each other directly; with a bonus they count wherever they occur, as hot words do.

    Raises OptionInvalid when a word is empty or has a separator in it, or the bonus is not within MAX_WEIGHT.
    """

    words: Collection[str]
    bonus: float | None = None
    separators: str | None = " "

    def __post_init__(self) -> None:
        object.__setattr__(self, "words", frozenset(self.words))
        _check_words(self.words)
        _check_weight(self.bonus or 0.0)
        torn = next((word for word in self.words if not set(self.separators or "").isdisjoint(word)), None)
        if torn is not None:
            raise OptionInvalid(f"the word {torn!r} has a separator in it")

    def automaton(self, charset: Charset) -> Automaton:
        """Raises OptionInvalid when words are demanded and the charset can spell none of them."""
        return _lexicon_automaton(self, charset)

    def unspelled(self, charset: Charset) -> tuple[str, ...]:
        """Words that are left out because the charset cannot spell them, sorted."""
        return _parted(self.words, charset)[1]


@dataclass(frozen=True, slots=True, init=False)
class HotWords:
    """Words, or any pieces of text, with the worth of each occurrence in a line, in nats; below 0 it counts against it.

    While a word is being read its worth is given in equal parts, and taken back where the word breaks off; so a word
    that the model finds unlikely is still in the beam when it is complete. Raises OptionInvalid when a word is empty
    or a weight is not within MAX_WEIGHT.
    """

    weights: tuple[tuple[str, float], ...]

    def __init__(self, weights: Mapping[str, float]) -> None:
        object.__setattr__(self, "weights", tuple(sorted(weights.items())))
        _check_words(weights)
        for weight in weights.values():
            _check_weight(weight)

    def automaton(self, charset: Charset) -> Automaton:
        """Words that the charset cannot spell are left out."""
        return _hot_words_automaton(self, charset)

    def unspelled(self, charset: Charset) -> tuple[str, ...]:
        """Words that are left out because the charset cannot spell them, sorted."""
        return _parted(dict(self.weights), charset)[1]


@dataclass(frozen=True, slots=True)
class Pattern:
    r"""A regular expression that the line must match as a whole.

    Characters, `.`, classes such as `[A-Z0-9]` and `[^ ]`, `\d \w \s \D \W \S` (ASCII), `\t`, `\x41`, `\u4eac`, groups,
    `|`, `? * + {m} {m,} {,n} {m,n}`. Every sign with a meaning stands for itself after `\`. Raises OptionInvalid when
    it does not parse or is too large.
    """

    expression: str

    def __post_init__(self) -> None:
        parse(self.expression)

    def automaton(self, charset: Charset) -> Automaton:
        """Raises OptionInvalid when it needs too many states, or no text of the charset matches."""
        return _pattern_automaton(self, charset)

    def allowed_labels(self, charset: Charset) -> Int32:
        """Sorted labels that occur in any match."""
        return readable_labels(self.automaton(charset), charset.blank_index)


@dataclass(frozen=True, slots=True)
class Whitelist:
    """Characters that a line may have, and no others."""

    characters: str

    def allowed_labels(self, charset: Charset) -> Int32:
        """Sorted labels whose characters are all allowed. Raises OptionInvalid when there are none."""
        allowed = set(self.characters)
        fits = [bool(allowed.issuperset(character)) for character in charset.characters]
        labels = np.flatnonzero(np.insert(fits, charset.blank_index, False))
        if not labels.size:
            raise OptionInvalid("the model has none of the allowed characters")
        return labels.astype(np.int32)


@lru_cache(_CACHED)
def _pattern_automaton(pattern: Pattern, charset: Charset) -> Automaton:
    characters = "".join(sorted(set("".join(charset.characters))))
    automaton = trim(over_labels(pattern_automaton(pattern.expression, characters), charset))
    if not automaton.arc_symbols.size:
        raise OptionInvalid("nothing that the model can read matches the pattern")
    return automaton


@lru_cache(_CACHED)
def _lexicon_automaton(lexicon: Lexicon, charset: Charset) -> Automaton:
    spelled_words, _ = _parted(lexicon.words, charset)
    words = Words(spelled_words)
    if lexicon.bonus is not None:
        if lexicon.separators == "":
            return over_labels(hot(words, np.full(len(spelled_words), lexicon.bonus)), charset)
        return over_labels(lenient(words, lexicon.separators or "", lexicon.bonus), charset)
    if not spelled_words:
        raise OptionInvalid("the model can spell none of the words")
    automaton = unseparated(words) if lexicon.separators == "" else strict(words, lexicon.separators or "")
    return trim(over_labels(automaton, charset))


@lru_cache(_CACHED)
def _hot_words_automaton(hot_words: HotWords, charset: Charset) -> Automaton:
    weights = dict(hot_words.weights)
    words, _ = _parted(weights, charset)
    return over_labels(hot(Words(words), np.array([weights[word] for word in words], np.float64)), charset)


def _parted(words: Iterable[str], charset: Charset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Words that the charset can spell, and the others, both sorted."""
    ordered = sorted(words)
    fits = spelled(ordered, charset)
    return (
        tuple(word for word, fit in zip(ordered, fits, strict=True) if fit),
        tuple(word for word, fit in zip(ordered, fits, strict=True) if not fit),
    )


def _check_words(words: Iterable[str]) -> None:
    if not all(words):
        raise OptionInvalid("a word is empty")


def _check_weight(weight: float) -> None:
    if not abs(weight) <= MAX_WEIGHT:
        raise OptionInvalid(f"the weight of a word is {weight}, must be from {-MAX_WEIGHT} to {MAX_WEIGHT}")
