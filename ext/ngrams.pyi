import numpy as np
import numpy.typing as npt

def log_probs(
    keys: npt.NDArray[np.int64],
    width: int,
    log_probs: npt.NDArray[np.float32],
    backoffs: npt.NDArray[np.float32],
    order: int,
    symbols: npt.NDArray[np.int64],
    begin: int,
) -> npt.NDArray[np.float64]: ...
