from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ext.automaton import Automaton
from ext.readings import Readings

_Scores = npt.NDArray[np.float32] | npt.NDArray[np.float16]
_Lines = _Scores | Sequence[_Scores]
_Ints = Sequence[int] | npt.NDArray[np.integer]

class Prepared:
    def __init__(self, automaton: Automaton) -> None: ...

def prepare(automaton: Automaton | Prepared) -> Prepared: ...
def best_path(
    x: _Lines,
    blank: int,
    lengths: _Ints | None = None,
    kind: str = "probs",
    classes: _Ints | None = None,
    confidences: bool = True,
    threads: int = 1,
) -> Readings: ...
def prefix_beam_search(
    x: _Lines,
    blank: int,
    beam_width: int,
    prune_top_k: int,
    prune_min_prob: float,
    n_best: int = 1,
    lengths: _Ints | None = None,
    kind: str = "probs",
    classes: _Ints | None = None,
    automata: Sequence[Automaton | Prepared] = (),
    prune_cum_prob: float = 1.0,
    align: bool = True,
    alternatives: int = 0,
    threads: int = 1,
) -> Readings: ...
def log_probs(
    x: _Scores,
    blank: int,
    labellings: Sequence[_Ints],
    kind: str = "probs",
    normalisers: npt.NDArray[np.float64] | None = None,
) -> npt.NDArray[np.float64]: ...

class BestPathStream:
    def __init__(
        self, blank: int, kind: str = "probs", classes: _Ints | None = None, confidences: bool = True
    ) -> None: ...
    def push(self, x: _Scores) -> None: ...
    def partial(self) -> tuple[npt.NDArray[np.int32], int]: ...
    def finish(self) -> Readings: ...

class BeamStream:
    def __init__(
        self,
        blank: int,
        beam_width: int,
        prune_top_k: int,
        prune_min_prob: float,
        n_best: int = 1,
        kind: str = "probs",
        classes: _Ints | None = None,
        automata: Sequence[Automaton | Prepared] = (),
        prune_cum_prob: float = 1.0,
        align: bool = True,
        alternatives: int = 0,
    ) -> None: ...
    def push(self, x: _Scores) -> None: ...
    def partial(self) -> tuple[npt.NDArray[np.int32], int]: ...
    def finish(self) -> Readings: ...
