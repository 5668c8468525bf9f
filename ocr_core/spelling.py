"""From automata that read text to automata that read the labels of a charset.

A label stands for one character or several, and several labels for the same: what a label does in an automaton is what
its characters do one after the other. So all label sequences that spell a text end in one state with one weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ext.automaton import Automaton, Float64, Int32
from ocr_core.charset import Charset
from ocr_core.trie import Int64

_MAX_LOG_WEIGHT = 700.0
"""Nats; exp of more is no finite float64."""


class TextAutomaton(NamedTuple):
    """An automaton that reads code points."""

    arcs: Automaton
    """Its symbols field is empty; the two fields below take its place."""
    symbols: Mapping[str, int]
    """Symbol of each code point."""
    other: int
    """Symbol of code points that are not in symbols; -1: they are not read."""


def arrange(
    owners: Int64,
    symbols: Int64,
    targets: Int64,
    log_weights: Float64,
    final_log_weights: Float64,
    backoffs: tuple[Int64, Float64] | None = None,
) -> Automaton:
    """An automaton from arcs in any order. Logarithms: -inf is 0 for final weights, and clipped for others.

    backoffs: states, int64 [S], and their log weights; None: nothing backs off.
    """
    order = np.lexsort((symbols, owners))
    states = len(final_log_weights)
    backoff_states, backoff_log_weights = backoffs or (np.full(states, -1), np.zeros(states))
    return Automaton(
        symbols=np.empty(0, np.int32),
        begins=_begins(owners, states),
        arc_symbols=symbols[order].astype(np.int32),
        arc_states=targets[order].astype(np.int32),
        arc_weights=_exp(log_weights[order]),
        backoff_states=backoff_states.astype(np.int32),
        backoff_weights=_exp(backoff_log_weights),
        final_weights=np.where(np.isneginf(final_log_weights), 0.0, _exp(final_log_weights)),
    )


def over_labels(text: TextAutomaton, charset: Charset) -> Automaton:
    """The same automaton, reading labels: arcs for what the charset spells, and no others.

    Where a state has an arc for the first character of a label, but cannot read the others, no state that it backs off
    to must be able to read them.
    """
    arcs = text.arcs
    owners = _owners(arcs)
    added = [(owners, arcs.arc_symbols.astype(np.int64), arcs.arc_states.astype(np.int64), arcs.arc_weights)]
    width = 1 + max(text.other, *text.symbols.values(), int(arcs.arc_symbols.max(initial=0)))
    keys = owners * width + arcs.arc_symbols
    symbol_of: dict[str, int] = {}
    for spelling in dict.fromkeys(charset.characters):
        path = [text.symbols.get(character, text.other) for character in spelling]
        symbol_of[spelling] = path[0]
        if len(path) > 1:
            symbol_of[spelling] = width + len(added)
            first, targets, weights = _follow(arcs, keys, width, path)
            added.append((owners[first], np.full(len(first), symbol_of[spelling]), targets, weights))
    owners, symbols, targets, weights = (np.concatenate(columns) for columns in zip(*added, strict=True))
    return _select(arcs, _labels(charset, symbol_of), owners, symbols, targets, weights)


def trim(automaton: Automaton) -> Automaton:
    """Without states from which no line can end, or which no line reaches; the start stays.

    A state that backs off must not lead to a dead end by an arc and elsewhere by backing off.
    """
    owners, targets = _owners(automaton), automaton.arc_states.astype(np.int64)
    backing = np.flatnonzero(automaton.backoff_states >= 0)
    sources = np.concatenate((owners, backing))
    reached = np.concatenate((targets, automaton.backoff_states[backing].astype(np.int64)))
    start = np.arange(len(automaton.final_weights)) == 0
    alive = _spread(automaton.final_weights > 0, reached, sources) & _spread(start, sources, reached) | start
    kept = alive[owners] & alive[targets]
    numbers = np.append(np.cumsum(alive) - 1, -1)
    return _select(
        automaton._replace(
            backoff_states=numbers[automaton.backoff_states[alive]].astype(np.int32),
            backoff_weights=automaton.backoff_weights[alive],
            final_weights=automaton.final_weights[alive],
        ),
        automaton.symbols.astype(np.int64),
        numbers[owners[kept]],
        automaton.arc_symbols[kept].astype(np.int64),
        numbers[targets[kept]],
        automaton.arc_weights[kept],
    )


def readable_labels(automaton: Automaton, blank: int) -> Int32:
    """Sorted labels that some state has an arc for."""
    readable = automaton.symbols >= 0
    readable[blank] = False
    return np.flatnonzero(readable).astype(np.int32)


def spelled(texts: Sequence[str], charset: Charset) -> list[bool]:
    """Whether labels of the charset, one behind the other, spell each text."""
    speller = Speller(charset)
    return [speller.labels(text) is not None for text in texts]


class Speller:
    """Labels of a charset, one behind the other, that spell texts."""

    def __init__(self, charset: Charset) -> None:
        self._labels: dict[str, int] = {}
        for i, character in enumerate(charset.characters):
            self._labels.setdefault(character, i + (i >= charset.blank_index))
        self._longest = max(map(len, self._labels))

    def labels(self, text: str) -> list[int] | None:
        """Class indices, None where there are none that spell the text.

        Of several spellings the one with the longest characters, the first of them first; of a character that occurs
        twice in the charset its first class.
        """
        if self._longest == 1:
            labels = [self._labels.get(character, -1) for character in text]
            return None if -1 in labels else labels
        lengths = self._lengths(text)
        if not lengths[0]:
            return None
        labels, begin = [], 0
        while begin < len(text):
            end = begin + lengths[begin]
            labels.append(self._labels[text[begin:end]])
            begin = end
        return labels

    def _lengths(self, text: str) -> list[int]:
        """Of the longest character that begins at each place, 0 where the rest cannot be spelled; 1 at the end."""
        lengths = [0] * len(text) + [1]
        for begin in reversed(range(len(text))):
            tried = range(min(self._longest, len(text) - begin), 0, -1)
            lengths[begin] = next(
                (n for n in tried if lengths[begin + n] and text[begin : begin + n] in self._labels), 0
            )
        return lengths


def _owners(automaton: Automaton) -> Int64:
    return np.repeat(np.arange(len(automaton.begins) - 1), np.diff(automaton.begins))


def _begins(owners: Int64, states: int) -> Int32:
    return np.concatenate(([0], np.cumsum(np.bincount(owners, minlength=states)))).astype(np.int32)


def _exp(log_weights: Float64) -> Float64:
    return np.asarray(np.exp(np.clip(log_weights, -_MAX_LOG_WEIGHT, _MAX_LOG_WEIGHT)))


def _labels(charset: Charset, symbol_of: Mapping[str, int]) -> Int64:
    """int64 [classes]: symbol of each class, -1 for blank."""
    symbols = np.array([symbol_of[character] for character in charset.characters], np.int64)
    return np.insert(symbols, charset.blank_index, -1)


def _select(
    automaton: Automaton, labels: Int64, owners: Int64, symbols: Int64, targets: Int64, weights: Float64
) -> Automaton:
    """The automaton with these arcs, as far as labels have their symbols; symbols are numbered anew without gaps."""
    used = np.intersect1d(labels[labels >= 0], symbols)
    kept = np.isin(symbols, used)
    if not kept.all():
        owners, symbols, targets, weights = owners[kept], symbols[kept], targets[kept], weights[kept]
    places = owners * (1 + int(symbols.max(initial=0))) + symbols
    order = np.argsort(places, kind="stable")
    return automaton._replace(
        symbols=np.where(np.isin(labels, used), np.searchsorted(used, labels), -1).astype(np.int32),
        begins=_begins(owners, len(automaton.final_weights)),
        arc_symbols=np.searchsorted(used, symbols[order]).astype(np.int32),
        arc_states=targets[order].astype(np.int32),
        arc_weights=weights[order],
    )


def _follow(arcs: Automaton, keys: Int64, width: int, path: Sequence[int]) -> tuple[Int64, Int64, Float64]:
    """Arcs of the first symbol that the rest of the path can be read behind, where that leads, and the weight."""
    first = np.flatnonzero(arcs.arc_symbols == path[0]) if path[0] >= 0 else np.empty(0, np.int64)
    targets, log_weights = arcs.arc_states[first].astype(np.int64), np.log(arcs.arc_weights[first])
    for symbol in path[1:]:
        targets, steps = _step(arcs, keys, width, targets, symbol)
        log_weights += steps
    alive = targets >= 0
    return first[alive], targets[alive], _exp(log_weights[alive])


def _step(arcs: Automaton, keys: Int64, width: int, states: Int64, symbol: int) -> tuple[Int64, Float64]:
    """One symbol from each state: where it leads, -1 for nowhere, and the log weight. keys: owner * width + symbol."""
    states, targets, log_weights = states.copy(), np.full(len(states), -1), np.zeros(len(states))
    pending = np.flatnonzero(states >= 0) if symbol >= 0 and keys.size else np.empty(0, np.int64)
    while pending.size:
        wanted = states[pending] * width + symbol
        places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
        found = keys[places] == wanted
        targets[pending[found]] = arcs.arc_states[places[found]]
        log_weights[pending[found]] += np.log(arcs.arc_weights[places[found]])
        pending = pending[~found]
        log_weights[pending] += np.log(arcs.backoff_weights[states[pending]])
        states[pending] = arcs.backoff_states[states[pending]]
        pending = pending[states[pending] >= 0]
    return targets, log_weights


def _spread(reached: npt.NDArray[np.bool_], sources: Int64, targets: Int64) -> npt.NDArray[np.bool_]:
    """States that can be reached over the arcs, from those that are."""
    while True:
        further = reached.copy()
        further[targets[reached[sources]]] = True
        if np.array_equal(further, reached):
            return reached
        reached = further
