"""Language knowledge as the beam search sees it: a weighted automaton over symbols, with failure transitions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int32 = npt.NDArray[np.int32]
Float64 = npt.NDArray[np.float64]


class Automaton(NamedTuple):
    """S states, A arcs, state 0 is the start. Weights are factors on probability masses, so 1 says nothing.

    Reading a label from a state multiplies the prefix's mass by the weight of the arc with the label's symbol. A state
    without such an arc multiplies by its backoff weight and the state that it backs off to is asked, and so on; where
    there is nothing left to back off to, the prefix is dropped. A language model backs off to shorter contexts, a set
    of words (Aho and Corasick 1975) to its longest suffix that starts a word, a pattern nowhere. A state that has one
    arc for every symbol is looked up without a search.
    """

    symbols: Int32
    """[classes] symbol of each class index; blank's is not looked at. -1: no state has an arc for it."""
    begins: Int32
    """[S + 1] state s owns arcs begins[s] to begins[s + 1], sorted by symbol, no symbol twice."""
    arc_symbols: Int32
    """[A]"""
    arc_states: Int32
    """[A] where the arc leads."""
    arc_weights: Float64
    """[A] positive and finite."""
    backoff_states: Int32
    """[S] -1 for none. Chains end: no state backs off to itself, directly or not."""
    backoff_weights: Float64
    """[S] positive and finite."""
    final_weights: Float64
    """[S] factor when the line ends here; 0 where it must not end."""


def check_automaton(automaton: Automaton) -> Automaton:
    """The automaton with contiguous arrays of the right types.

    Raises ValueError for anything that would make a search read where it must not, or never end.
    """
    checked = Automaton._make(
        np.ascontiguousarray(values, np.float64 if name.endswith("weights") else np.int32)
        for name, values in automaton._asdict().items()
    )
    states, arcs = len(checked.final_weights), len(checked.arc_symbols)
    begins = checked.begins
    if not states or len(begins) != states + 1 or begins[0] != 0 or begins[-1] != arcs or (np.diff(begins) < 0).any():
        raise ValueError(
            "begins of an automaton must rise from 0 to the number of arcs and be one more than its states"
        )
    if len(checked.arc_states) != arcs or len(checked.arc_weights) != arcs:
        raise ValueError("an automaton's arcs need a symbol, a state and a weight each")
    if len(checked.backoff_states) != states or len(checked.backoff_weights) != states:
        raise ValueError("an automaton's states need a backoff state, a backoff weight and a final weight each")
    _check_range(checked.arc_states, 0, states, "arc_states")
    _check_range(checked.arc_symbols, 0, np.iinfo(np.int32).max, "arc_symbols")
    _check_range(checked.backoff_states, -1, states, "backoff_states")
    _check_range(checked.symbols, -1, np.iinfo(np.int32).max, "symbols")
    if (np.diff(checked.arc_symbols)[np.diff(_owners(checked)) == 0] <= 0).any():
        raise ValueError("an automaton's arcs must be sorted by symbol, no symbol twice in a state")
    for weights in (checked.arc_weights, checked.backoff_weights):
        if not ((weights > 0) & np.isfinite(weights)).all():
            raise ValueError("an automaton's arc and backoff weights must be positive and finite")
    if not ((checked.final_weights >= 0) & np.isfinite(checked.final_weights)).all():
        raise ValueError("an automaton's final weights must be finite and not negative")
    greatest_weight(checked)
    return checked


def greatest_weight(automaton: Automaton) -> float:
    """What no label weighs more than in any state, backing off included. Raises ValueError for a circle of backoffs."""
    own = np.zeros(len(automaton.final_weights))
    np.maximum.at(own, _owners(automaton), automaton.arc_weights)
    greatest = own.copy()
    state, weight = automaton.backoff_states.copy(), automaton.backoff_weights.copy()
    for _ in range(len(own)):
        live = state >= 0
        if not live.any():
            return float(greatest.max())
        greatest[live] = np.maximum(greatest[live], weight[live] * own[state[live]])
        weight[live] *= automaton.backoff_weights[state[live]]
        state[live] = automaton.backoff_states[state[live]]
    if (state >= 0).any():
        raise ValueError("an automaton's backoff states form a circle")
    return float(greatest.max())


def _owners(automaton: Automaton) -> npt.NDArray[np.intp]:
    """[A] the state that each arc leaves."""
    return np.repeat(np.arange(len(automaton.final_weights)), np.diff(automaton.begins))


def _check_range(values: Int32, low: int, end: int, name: str) -> None:
    if values.size and not (low <= values.min() and values.max() < end):
        raise ValueError(f"{name} of an automaton must be from {low} to {end - 1}")
