from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_Reading: TypeAlias = tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.float32], float]

def best_path(probs: npt.NDArray[np.float32], blank: int) -> _Reading: ...
def prefix_beam_search(
    probs: npt.NDArray[np.float32],
    blank: int,
    beam_width: int,
    prune_top_k: int,
    prune_min_prob: float,
    n_best: int = 1,
) -> list[_Reading]: ...
