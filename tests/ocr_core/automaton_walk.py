"""Reading an automaton by the letter of `ext.automaton`, and a text by every way of spelling it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from ext.automaton import Automaton
from ocr_core.charset import Charset


def step(automaton: Automaton, state: int, label: int) -> tuple[int, float]:
    """State and weight after one label; state -1 where the prefix is dropped."""
    symbol, weight = automaton.symbols[label], 1.0
    while state >= 0:
        begin, end = automaton.begins[state : state + 2]
        arcs = begin + np.flatnonzero(automaton.arc_symbols[begin:end] == symbol)
        if symbol >= 0 and arcs.size:
            (arc,) = arcs
            return int(automaton.arc_states[arc]), weight * float(automaton.arc_weights[arc])
        weight *= float(automaton.backoff_weights[state])
        state = int(automaton.backoff_states[state])
    return -1, 0.0


def weight_of(automaton: Automaton, labels: Iterable[int]) -> float:
    """What a line of these labels is multiplied with; 0 when it is dropped or must not end there."""
    state, total = 0, 1.0
    for label in labels:
        state, weight = step(automaton, state, label)
        total *= weight
        if state < 0:
            return 0.0
    return total * float(automaton.final_weights[state])


def labellings(text: str, charset: Charset) -> Iterator[tuple[int, ...]]:
    """Every label sequence that spells the text."""
    if not text:
        yield ()
    for label in range(charset.class_count):
        character = "" if label == charset.blank_index else charset.character(label)
        if character and text.startswith(character):
            for rest in labellings(text[len(character) :], charset):
                yield (label, *rest)


def text_weight(automaton: Automaton, text: str, charset: Charset) -> float:
    """The weight of a text, which must be that of all its labellings."""
    weights = [weight_of(automaton, labels) for labels in labellings(text, charset)]
    assert weights, f"{text!r} cannot be spelled"
    np.testing.assert_allclose(weights, weights[0], rtol=1e-9)
    return weights[0]


def successors(automaton: Automaton, blank: int) -> Iterator[list[int]]:
    """For every state, the states that its labels lead to."""
    labels = [label for label in range(len(automaton.symbols)) if label != blank]
    for state in range(len(automaton.final_weights)):
        reached = (step(automaton, state, label)[0] for label in labels)
        yield [target for target in reached if target >= 0]
