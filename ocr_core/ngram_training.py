"""N-gram models of characters from text: interpolated modified Kneser-Ney smoothing (Chen and Goodman 1999, section 3).

As in KenLM (Heafield et al. 2013), n-grams at the begin of a line keep their counts, and pruned ones leave their share
to the shorter context.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ext.automaton import Float64
from ocr_core.errors import OptionInvalid
from ocr_core.ngram_tables import BEGIN, END, FIRST_CHARACTER, NGrams
from ocr_core.trie import Int64, Trie, code_points

MAX_ORDER = 10

_UNPRUNED_LENGTH = 2
_LEAST_LEFT = 1e-12
"""Keeps logarithms finite where rounding leaves nothing."""
_FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""KenLM's, for texts in which nothing occurs once, twice or three times."""
_LOG_PROB_OF_BEGIN = -99.0
"""Nats; nobody asks for it."""


class _Level(NamedTuple):
    """N-grams of one length, in the order of their nodes in the trie of all; node `start` is the first."""

    start: int
    keys: Int64
    """Parent node * width + last symbol."""
    occurrences: Int64
    suffixes: Int64
    """Node of each without its first character."""
    at_begin: npt.NDArray[np.bool_]
    """Those that nothing can precede, as they begin with BEGIN and go on."""


def estimate(lines: Iterable[str], order: int, min_count: int) -> NGrams:
    """A model of n-grams of up to `order` characters, begins and ends of lines included.

    N-grams longer than two characters that occur less than min_count times are left out. Line breaks at the ends of
    lines are dropped, and empty lines too. Takes about 150 bytes of memory per character of the text. Raises
    OptionInvalid when there is no text, or order is not from 2 to MAX_ORDER.
    """
    if not 2 <= order <= MAX_ORDER:
        raise OptionInvalid(f"order is {order}, must be from 2 to {MAX_ORDER}", "order")
    characters, text = _symbols(lines)
    width = FIRST_CHARACTER + len(characters)
    levels = _levels(text, order, width)
    log_probs, backoffs, kept = _smooth(levels, width, min_count)
    numbers = np.cumsum(np.append(True, kept)) - 1
    keys = np.concatenate([level.keys for level in levels])[kept]
    trie = Trie(numbers[keys // width] * width + keys % width, width)
    return NGrams(characters, trie, log_probs[kept].astype(np.float32), backoffs[kept].astype(np.float32))


def _symbols(lines: Iterable[str]) -> tuple[tuple[str, ...], Int64]:
    """The characters that occur, and the text as symbols: BEGIN, the characters, END, of all lines."""
    texts = [kept for line in lines if (kept := line.rstrip("\r\n"))]
    if not texts:
        raise OptionInvalid("there is no text to learn from")
    codes, symbols = np.unique(code_points(texts), return_inverse=True)
    ends = np.cumsum([len(text) for text in texts])
    text = np.insert(symbols.astype(np.int64) + FIRST_CHARACTER, ends, END)
    begins = np.concatenate(([0], ends[:-1] + np.arange(1, len(ends))))
    return tuple(map(chr, codes.tolist())), np.insert(text, begins, BEGIN)


def _levels(text: Int64, order: int, width: int) -> list[_Level]:
    """The n-grams of each length within lines; those of length one are all symbols."""
    nodes = 1 + text  # of the n-gram that begins at each place, -1 where it would go beyond the line
    at_begin = np.zeros(width, bool)
    levels = [_Level(1, np.arange(width), np.bincount(text, minlength=width), np.zeros(width, np.int64), at_begin)]
    for length in range(2, order + 1):
        last = text[length - 2 : -1]
        places = np.flatnonzero((nodes[: len(last)] >= 0) & (last != END))
        keys, first, members, occurrences = np.unique(
            nodes[places] * width + text[places + length - 1],
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        begins = places[first]
        start = levels[-1].start + len(levels[-1].keys)
        levels.append(_Level(start, keys, occurrences, nodes[begins + 1], text[begins] == BEGIN))
        nodes = np.full(len(nodes), -1)
        nodes[places] = start + members
    return levels


def _smooth(levels: Sequence[_Level], width: int, min_count: int) -> tuple[Float64, Float64, npt.NDArray[np.bool_]]:
    """Log probabilities and log backoff weights of all n-grams in nats, and which of them the model has."""
    size = levels[-1].start + len(levels[-1].keys)
    probs = np.full(size, 1.0 / (width - 1))  # that of node 0: every symbol but BEGIN alike
    left = np.ones(size)  # probability that a context leaves to the shorter one
    kept = []
    for length, level in enumerate(levels, 1):
        counts = _counts(level, levels[length] if length < len(levels) else None)
        parents = level.keys // width
        kept.append((level.occurrences >= min_count) | (length <= _UNPRUNED_LENGTH))
        discounted = np.where(kept[-1], counts - _discounts(counts)[np.minimum(counts, 3)], 0.0)
        discounted /= np.bincount(parents, counts)[parents]
        left -= np.bincount(parents, discounted, size)
        left = np.maximum(left, _LEAST_LEFT)
        probs[level.start : level.start + len(counts)] = discounted + left[parents] * probs[level.suffixes]
    log_probs = np.log(probs[1:])
    log_probs[BEGIN] = _LOG_PROB_OF_BEGIN
    return log_probs, np.log(left[1:]), np.concatenate(kept)


def _counts(level: _Level, longer: _Level | None) -> Int64:
    """What is smoothed: of the longest n-grams occurrences, of others how many characters they have behind."""
    if longer is None:
        return level.occurrences
    continued = np.bincount(longer.suffixes - level.start, minlength=len(level.keys))
    return np.where(level.at_begin, level.occurrences, continued)


def _discounts(counts: Int64) -> Float64:
    """What counts of 0, 1, 2 and from 3 on are lowered by (Chen and Goodman 1999, equation 26)."""
    once, twice, thrice, four_times = np.bincount(np.minimum(counts, 5), minlength=6)[1:5].tolist()
    if not (once and twice and thrice and four_times):
        return np.array((0.0, *_FALLBACK_DISCOUNTS))
    share = once / (once + 2.0 * twice)
    best = (1 - 2 * share * twice / once, 2 - 3 * share * thrice / twice, 3 - 4 * share * four_times / thrice)
    fits = all(0.0 < discount <= count for count, discount in enumerate(best, 1))
    return np.array((0.0, *(best if fits else _FALLBACK_DISCOUNTS)))
