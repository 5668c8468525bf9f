"""Automata that read words: only them, rather them, or anything with a gain for some of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ext.automaton import Float64
from ocr_core.errors import OptionInvalid
from ocr_core.spelling import TextAutomaton, arrange
from ocr_core.trie import Int64, code_points, trie_of

MAX_STATES = 500_000
"""Of words that follow each other without separators."""


class Words:
    """The trie of words: its nodes are states. Symbols: one for each character in the words, then two more."""

    def __init__(self, words: Sequence[str]) -> None:
        codes, symbols = np.unique(code_points(words), return_inverse=True)
        self.symbols = {chr(code): symbol for symbol, code in enumerate(codes)}
        self.separator = len(codes)
        """Symbol of all separators."""
        self.other = len(codes) + 1
        """Symbol of what is neither in a word nor a separator."""
        self.lengths = np.array([len(word) for word in words], np.int64)
        self.trie, self.nodes = trie_of(symbols.astype(np.int64), self.lengths, self.other + 1)
        self.is_word = np.zeros(len(self.trie), bool)
        self.is_word[self.nodes] = True
        self.depths = np.zeros(len(self.trie), np.int64)
        for depth, level in enumerate(self.trie.levels(), 1):
            self.depths[level] = depth

    def best_below(self, values: Float64, *, proper: bool) -> Float64:
        """float64 [nodes]: the greatest value, at least 0, of the words that begin with a node's string.

        values: one for each word. proper: without the word that is the node's string.
        """
        below = np.zeros(len(self.trie))
        ending = np.zeros(len(self.trie))
        ending[self.nodes] = np.maximum(values, 0.0)
        parents = self.trie.parents
        for level in reversed(list(self.trie.levels())):
            np.maximum.at(below, parents[level.start - 1 : level.stop - 1], np.maximum(below[level], ending[level]))
        return below if proper else np.maximum(below, ending)

    def arcs(self) -> tuple[Int64, Int64, Int64]:
        """Owners, symbols and targets of the arcs within words."""
        return self.trie.parents, self.trie.symbols, np.arange(1, len(self.trie))


def strict(words: Words, separators: str) -> TextAutomaton:
    """Nothing but words with runs of separators between them; no separators: no more than one word."""
    ends = np.flatnonzero(words.is_word | (words.depths == 0))
    owners, symbols, targets = words.arcs()
    finals = np.full(len(words.trie), -np.inf)
    finals[ends] = 0.0
    automaton = arrange(
        np.concatenate((owners, ends)),
        np.concatenate((symbols, np.full(len(ends), words.separator))),
        np.concatenate((targets, np.zeros(len(ends), np.int64))),
        np.zeros(len(owners) + len(ends)),
        finals,
    )
    return TextAutomaton(automaton, words.symbols | dict.fromkeys(separators, words.separator), -1)


def unseparated(words: Words) -> TextAutomaton:
    """Nothing but words, one right after the other.

    A state is a set of nodes, one for each way in which what was read may end in the beginning of a word. Where a word
    may have ended, what only begins a new one is left to the start. Raises OptionInvalid if there are too many states.
    """
    children: list[dict[int, int]] = [{} for _ in range(len(words.trie))]
    for owner, symbol, target in zip(*(column.tolist() for column in words.arcs()), strict=True):
        children[owner][symbol] = target
    is_word = words.is_word.tolist()
    states = [frozenset((0,))]
    numbers = {states[0]: 0}
    arcs = []
    for number, state in enumerate(states):  # grows meanwhile
        for symbol in sorted({symbol for node in state - {0} or state for symbol in children[node]}):
            target = frozenset(children[node][symbol] for node in state if symbol in children[node])
            if any(is_word[node] for node in target):
                target |= {0}
            if target not in numbers:
                numbers[target] = len(states)
                states.append(target)
                if len(states) > MAX_STATES:
                    raise OptionInvalid(f"words without separators need more than {MAX_STATES} states")
            arcs.append((number, symbol, numbers[target]))
    owners, symbols, targets = np.array(arcs, np.int64).T
    ending = np.array([0 in state for state in states])
    backoffs = np.where(ending, 0, -1)
    backoffs[0] = -1
    automaton = arrange(
        owners,
        symbols,
        targets,
        np.zeros(len(arcs)),
        np.where(ending, 0.0, -np.inf),
        (backoffs, np.zeros(len(states))),
    )
    return TextAutomaton(automaton, words.symbols, -1)


def lenient(words: Words, separators: str, bonus: float) -> TextAutomaton:
    """Anything, and every word between separators or line ends gains bonus, in nats.

    While a word is read the gain is given in equal parts, and taken back where it turns out to be none. One more state,
    the last, is that of a word that is none.
    """
    nodes = len(words.trie)
    given = words.depths * words.best_below(bonus / words.lengths, proper=False)
    gain = np.where(words.is_word, bonus, 0.0) - given
    ends = np.flatnonzero(words.is_word | (words.depths == 0))
    owners, symbols, targets = words.arcs()
    everything = np.arange(words.other + 1)
    automaton = arrange(
        np.concatenate((owners, ends, np.full(len(everything), nodes))),
        np.concatenate((symbols, np.full(len(ends), words.separator), everything)),
        np.concatenate((targets, np.zeros(len(ends), np.int64), np.where(everything == words.separator, 0, nodes))),
        np.concatenate((given[targets] - given[owners], gain[ends], np.zeros(len(everything)))),
        np.append(gain, 0.0),
        (np.append(np.full(nodes, nodes), -1), np.append(-given, 0.0)),
    )
    return TextAutomaton(automaton, words.symbols | dict.fromkeys(separators, words.separator), words.other)


def hot(words: Words, weights: Float64) -> TextAutomaton:
    """Anything, and every occurrence of a word, within others too, gains its weight, in nats.

    The automaton of Aho and Corasick 1975. A state has been given the greatest part of a weight that any word earns
    whose beginning was just read; arcs give and take the difference, and pay the weights of the words that end there.
    """
    given = words.depths * words.best_below(weights / words.lengths, proper=True)
    paid = np.bincount(words.nodes, weights, len(words.trie))
    suffixes = words.trie.suffixes()
    for level in words.trie.levels():
        given[level] = np.maximum(given[level], given[suffixes[level]])
        paid[level] += paid[suffixes[level]]
    owners, symbols, targets = words.arcs()
    idle = np.setdiff1d(np.arange(words.other + 1), symbols[owners == 0])
    automaton = arrange(
        np.concatenate((owners, np.zeros(len(idle), np.int64))),
        np.concatenate((symbols, idle)),
        np.concatenate((targets, np.zeros(len(idle), np.int64))),
        np.concatenate((given[targets] - given[owners] + paid[targets], np.zeros(len(idle)))),
        -given,
        (suffixes, given[suffixes] - given),
    )
    return TextAutomaton(automaton, words.symbols, words.other)
