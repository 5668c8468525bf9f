"""Tries as arrays."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ocr_core.trie import code_points, trie_of

STRINGS = st.lists(st.lists(st.integers(0, 3), max_size=6).map(tuple), max_size=12)


def built(strings):
    """The trie, and the string of each of its nodes, read off its arrays."""
    flat = np.array([symbol for string in strings for symbol in string], np.int64)
    trie, nodes = trie_of(flat, np.array([len(string) for string in strings], np.int64), 4)
    names = [()]
    for parent, symbol in zip(trie.parents.tolist(), trie.symbols.tolist(), strict=True):
        names.append((*names[parent], symbol))
    return trie, names, nodes


@given(STRINGS)
def test_nodes_are_all_prefixes_shorter_first(strings):
    """Nodes are the strings and their prefixes, once each, in order; every string knows its own."""
    trie, names, nodes = built(strings)
    prefixes = {string[:length] for string in strings for length in range(len(string) + 1)} | {()}
    assert names == sorted(prefixes, key=lambda name: (len(name), name))
    assert [names[node] for node in nodes] == strings
    assert [{len(names[node]) for node in range(len(trie))[level]} for level in trie.levels()] == [
        {length} for length in range(1, len(names[-1]) + 1)
    ]


@given(STRINGS)
def test_children_are_one_symbol_longer(strings):
    """`children` finds the node one symbol further, and -1 where there is none and from -1."""
    trie, names, _ = built(strings)
    for symbol in range(4):
        found = trie.children(np.arange(-1, len(trie)), symbol)
        expected = [names.index((*name, symbol)) if (*name, symbol) in names else -1 for name in names]
        assert found.tolist() == [-1, *expected]


@given(STRINGS)
def test_suffixes_are_the_longest_that_are_nodes(strings):
    """`suffixes` are the longest proper suffixes among the nodes."""
    trie, names, _ = built(strings)
    for name, suffix in zip(names, trie.suffixes().tolist(), strict=True):
        expected = next((name[cut:] for cut in range(1, len(name) + 1) if name[cut:] in names), None)
        assert (names[suffix] if suffix >= 0 else None) == expected


def test_code_points_of_texts_follow_each_other():
    """Characters outside the basic plane are one code point; lone surrogates pass."""
    assert code_points(["aé", "", "👍\ud800"]).tolist() == [0x61, 0xE9, 0x1F44D, 0xD800]
