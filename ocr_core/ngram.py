"""N-gram models of characters: how likely a text is, and the automaton that weighs it while it is being read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np

from ext.automaton import Automaton, Float64
from ext.ngrams import log_probs
from ocr_core.charset import Charset
from ocr_core.errors import OptionInvalid
from ocr_core.ngram_tables import BEGIN, END, FIRST_CHARACTER, UNKNOWN, NGrams, read_ngrams, write_ngrams
from ocr_core.ngram_training import estimate
from ocr_core.spelling import TextAutomaton, arrange, over_labels
from ocr_core.trie import Int64

MAX_WEIGHT = 10.0
MAX_BONUS = 100.0

_CACHED = 4
"""Automata kept; that of a million n-grams takes some 30 MB."""


@dataclass(frozen=True, eq=False)
class CharacterModel:
    """A character n-gram model with backoff. Characters are code points; those it does not know are all alike."""

    ngrams: NGrams

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads what `save` wrote, an ARPA file, gzipped or not, or a binary file of KenLM.

        Raises LanguageInvalid when the file is not there, damaged, or no model of characters.
        """
        return cls(read_ngrams(path))

    @classmethod
    def train(cls, lines: Iterable[str], order: int = 4, min_count: int = 2) -> Self:
        """Learns from lines of text, as ocr_core.ngram_training says."""
        return cls(estimate(lines, order, min_count))

    def save(self, path: Path) -> None:
        """Writes the compact binary of docs/language.md, with weights rounded to float16."""
        write_ngrams(self.ngrams, path)

    @cached_property
    def order(self) -> int:
        """Characters of the longest n-grams."""
        return len(self.counts)

    @property
    def counts(self) -> tuple[int, ...]:
        """N-grams of each length, from one on."""
        return tuple(level.stop - level.start for level in self.ngrams.trie.levels())

    def log_probs(self, lines: Iterable[str]) -> Float64:
        """float64 [characters and line ends]: nats of each, given what is before it in its line."""
        ngrams, trie = self.ngrams, self.ngrams.trie
        text = self._spelled(lines)
        return log_probs(trie.keys, trie.width, ngrams.log_probs, ngrams.backoffs, self.order, text, BEGIN)

    def line_log_probs(self, lines: Sequence[str]) -> Float64:
        """float64 [line]: nats of whole lines, their ends included."""
        starts = [0, *accumulate(len(line) + 1 for line in lines)][:-1]
        return np.add.reduceat(self.log_probs(lines), starts) if lines else np.zeros(0)

    def log_prob(self, text: str) -> float:
        """Nats of a whole line, its end included."""
        return float(self.line_log_probs([text])[0])

    def unknown(self, characters: Iterable[str]) -> tuple[str, ...]:
        """Those of these code points that the model does not know."""
        return tuple(character for character in characters if character not in self.symbols)

    def automaton(self, charset: Charset, weight: float = 1.0, bonus: float = 0.0) -> Automaton:
        """Weighs each character by exp(weight * log p + bonus) and the end of the line by exp(weight * log p).

        A label of several characters is weighed as they are. Raises OptionInvalid when weight is not from 0 to
        MAX_WEIGHT or bonus not within MAX_BONUS.
        """
        if not 0.0 <= weight <= MAX_WEIGHT:
            raise OptionInvalid(f"weight of the language model is {weight}, must be from 0 to {MAX_WEIGHT}")
        if not abs(bonus) <= MAX_BONUS:
            raise OptionInvalid(f"bonus per character is {bonus}, must be from {-MAX_BONUS} to {MAX_BONUS}")
        return _automaton(self, charset, weight, bonus)

    @cached_property
    def symbols(self) -> Mapping[str, int]:
        """Of the code points that it knows."""
        return {character: symbol for symbol, character in enumerate(self.ngrams.characters, FIRST_CHARACTER)}

    def _spelled(self, lines: Iterable[str]) -> Int64:
        """BEGIN, characters and END of all lines."""
        symbols = self.symbols
        spelled: list[int] = []
        for line in lines:
            spelled += (BEGIN, *[symbols.get(character, UNKNOWN) for character in line], END)
        return np.array(spelled, np.int64)


@lru_cache(_CACHED)
def _automaton(model: CharacterModel, charset: Charset, weight: float, bonus: float) -> Automaton:
    """States are contexts, the start that of BEGIN; a context without n-grams is its longest suffix that has some."""
    trie, backoffs = model.ngrams.trie, np.append(0.0, model.ngrams.backoffs)
    suffixes = trie.suffixes()
    is_state = (np.bincount(trie.parents, minlength=len(trie)) > 0) | (backoffs != 0)
    context, ends = np.arange(len(trie)), _ends(model, suffixes, backoffs)
    for level in trie.levels():
        context[level] = np.where(is_state[level], context[level], context[suffixes[level]])
    states = np.flatnonzero(is_state)
    states = np.concatenate(([1 + BEGIN], states[states != 1 + BEGIN]))
    numbers = np.full(len(trie), -1)
    numbers[states] = np.arange(len(states))
    shorter = np.where(suffixes[states] < 0, -1, numbers[context[suffixes[states]]])
    automaton = arrange(
        numbers[trie.parents],
        trie.symbols,
        numbers[context[1:]],
        weight * model.ngrams.log_probs.astype(np.float64) + bonus,
        weight * ends[states],
        (shorter, weight * backoffs[states]),
    )
    return over_labels(TextAutomaton(automaton, model.symbols, UNKNOWN), charset)


def _ends(model: CharacterModel, suffixes: Int64, backoffs: Float64) -> Float64:
    """float64 [nodes]: nats of the end of the line after each."""
    trie = model.ngrams.trie
    listed = trie.children(np.arange(len(trie)), END)
    ends = np.where(listed >= 0, model.ngrams.log_probs[listed - 1], 0.0).astype(np.float64)
    for level in trie.levels():
        backed_off = backoffs[level] + ends[suffixes[level]]
        ends[level] = np.where(listed[level] >= 0, ends[level], backed_off)
    return ends
