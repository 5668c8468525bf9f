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
