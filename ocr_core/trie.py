"""Tries as sorted arrays: word lists, hot words and n-gram models are all sets of strings and their prefixes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, slots=True)
class Trie:
    """Node 0 is the empty string; node i + 1 is its parent's string and one symbol more: keys[i].

    keys: int64 [nodes - 1], strictly increasing: parent * width + symbol, symbols below width. So shorter strings come
    before longer ones, and the children of a node are neighbours.
    """

    keys: Int64
    width: int

    def __len__(self) -> int:
        return len(self.keys) + 1

    @property
    def parents(self) -> Int64:
        """int64 [nodes - 1], of nodes 1 onwards."""
        return self.keys // self.width

    @property
    def symbols(self) -> Int64:
        """int64 [nodes - 1], last symbols of nodes 1 onwards."""
        return self.keys % self.width

    def children(self, nodes: Int64, symbols: Int64 | int) -> Int64:
        """The node one symbol further, -1 where there is none. Of node -1 there never is."""
        wanted = nodes * self.width + symbols
        if not self.keys.size:
            return np.full(wanted.shape, -1)
        places = np.searchsorted(self.keys, wanted)
        return np.where(self.keys[np.minimum(places, len(self.keys) - 1)] == wanted, places + 1, -1)

    def levels(self) -> Iterator[slice]:
        """The nodes of one symbol, of two, and so on."""
        start, stop = 0, 1
        while stop < len(self):
            start, stop = stop, 1 + int(np.searchsorted(self.keys, stop * self.width))
            yield slice(start, stop)

    def suffixes(self) -> Int64:
        """int64 [nodes]: the longest proper suffix that is a node too; -1 for node 0 (Aho and Corasick 1975)."""
        parents, symbols = self.parents, self.symbols
        found = np.full(len(self), -1)
        for level in self.levels():
            last = symbols[level.start - 1 : level.stop - 1]
            shorter = found[parents[level.start - 1 : level.stop - 1]]
            suffix = np.zeros(len(last), np.int64)
            pending = np.flatnonzero(shorter >= 0)
            while pending.size:
                child = self.children(shorter[pending], last[pending])
                suffix[pending] = np.maximum(child, 0)
                pending = pending[child < 0]
                shorter[pending] = found[shorter[pending]]
                pending = pending[shorter[pending] >= 0]
            found[level] = suffix
        return found


def trie_of(symbols: Int64, lengths: Int64, width: int) -> tuple[Trie, Int64]:
    """The trie of strings that lie one behind the other in symbols, and the node of each string."""
    begins = np.cumsum(lengths) - lengths
    nodes = np.zeros(len(lengths), np.int64)
    keys = [np.empty(0, np.int64)]
    size = 1
    for place in range(int(lengths.max(initial=0))):
        longer = np.flatnonzero(lengths > place)
        level, members = np.unique(nodes[longer] * width + symbols[begins[longer] + place], return_inverse=True)
        nodes[longer] = size + members
        keys.append(level)
        size += len(level)
    return Trie(np.concatenate(keys), width), nodes


def code_points(texts: Sequence[str]) -> Int64:
    """int64 [characters]: the characters of all texts, one behind the other."""
    return np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), "<u4").astype(np.int64)
