import numpy as np
import numpy.typing as npt

_Bytes = npt.NDArray[np.uint8]

def strokes(image: _Bytes, sketch: _Bytes) -> tuple[float, float, list[tuple[int, int, int, int]]]: ...
def slope(sketch: _Bytes, within: npt.NDArray[np.float32]) -> tuple[float, float]: ...
