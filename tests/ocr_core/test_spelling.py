"""From text to labels."""

from __future__ import annotations

import numpy as np
import pytest

from ext.automaton import check_automaton
from ocr_core.charset import Charset
from ocr_core.spelling import Speller, TextAutomaton, arrange, over_labels, readable_labels, spelled, trim
from tests.ocr_core.automaton_walk import weight_of

CHARSET = Charset(("f", "ffi", "x", "i", "f"), 0)


def chain(word: str, weight: float) -> TextAutomaton:
    """Reads one word, each character with a weight."""
    symbols = {character: symbol for symbol, character in enumerate(sorted(set(word)))}
    steps = np.arange(len(word))
    finals = np.append(np.full(len(word), -np.inf), 0.0)
    read = np.array([symbols[character] for character in word])
    return TextAutomaton(arrange(steps, read, steps + 1, np.full(len(word), np.log(weight)), finals), symbols, -1)


def test_a_label_does_what_its_characters_do():
    """A label of three characters weighs what they do together; labels that are not read have no symbol."""
    automaton = over_labels(chain("ffi", 0.5), CHARSET)
    assert [weight_of(automaton, labels) for labels in ((1, 5, 4), (2,))] == pytest.approx([0.125, 0.125])
    assert automaton.symbols[0] == automaton.symbols[3] == -1
    assert automaton.symbols[1] == automaton.symbols[5]
    assert readable_labels(automaton, 0).tolist() == [1, 2, 4, 5]
    check_automaton(automaton)


def test_weights_stay_within_floating_point():
    """Labels of many very unlikely or likely characters keep a positive finite weight."""
    for weight in (1e-300, 1e300):
        check_automaton(over_labels(chain("ffi", weight), CHARSET))


def test_trim_leaves_what_leads_to_an_end():
    """Without a label for i only the long label is left of the word; of a word that ends nowhere only the start."""
    charset = Charset(("f", "ffi"), 2)
    trimmed = trim(over_labels(chain("ffi", 1.0), charset))
    assert (len(trimmed.final_weights), trimmed.arc_states.tolist()) == (2, [1])
    assert trimmed.symbols.tolist()[0] == -1
    nothing = trim(over_labels(chain("fx", 1.0), charset))
    assert (len(nothing.final_weights), nothing.arc_symbols.size) == (1, 0)


def test_texts_are_spelled_by_labels_of_any_length():
    """A text is spelled if labels can be put one behind the other to make it."""
    charset = Charset(("ab", "abc", "d"), 3)
    assert spelled(["abd", "abcd", "abcabd", "abcbd", "", "da"], charset) == [True, True, True, False, True, False]


def test_texts_are_spelled_by_their_longest_characters():
    """The longest character is taken unless the rest cannot be spelled then; of equal characters the first class."""
    speller = Speller(Charset(("f", "ffi", "ix", "i", "f"), 0))
    assert [speller.labels(text) for text in ("ffi", "fff", "ffix", "ffixi", "", "x", "ffx")] == [
        [2],
        [1, 1, 1],
        [1, 1, 3],
        [1, 1, 3, 4],
        [],
        None,
        None,
    ]
    plain = Speller(Charset(tuple("aba"), 1))
    assert [plain.labels(text) for text in ("ab", "", "ac")] == [[0, 2], [], None]
