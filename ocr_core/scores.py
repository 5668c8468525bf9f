"""Class scores as decoders take them: one line, a padded batch, or a sequence of lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from ocr_core.ctc_rows import Lengths, Matrix
from ocr_core.errors import ModelFailed

Batch: TypeAlias = Matrix | Sequence[Matrix]
"""One line, [time, class], several padded to one length, [batch, time, class], or lines of any lengths."""

_TYPES = (np.dtype(np.float32), np.dtype(np.float16))


def check_batch(x: Batch, lengths: Lengths | None, class_count: int) -> None:
    """Raises TypeError, ValueError, or ModelFailed when a line has another number of classes than the charset."""
    if isinstance(x, np.ndarray):
        check_scores(x, class_count, axes=(2, 3))
        if lengths is not None and (x.ndim != 3 or len(lengths) != len(x)):
            raise ValueError(f"{len(lengths)} lengths do not fit scores of shape {x.shape}")
        return
    if lengths is not None:
        raise ValueError("a sequence of lines has its lengths, others cannot be given")
    for line in x:
        check_scores(line, class_count)


def check_scores(x: Matrix, class_count: int, axes: tuple[int, ...] = (2,)) -> None:
    """axes: how many x may have. Raises TypeError or ModelFailed."""
    if not isinstance(x, np.ndarray) or x.dtype not in _TYPES or x.ndim not in axes:
        found = f"{x.dtype} with {x.ndim} axes" if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"scores are {found}, must be float32 or float16 [time, class]")
    if x.shape[-1] != class_count:
        raise ModelFailed(
            f"charset has {class_count - 1} characters and blank, {class_count} classes; "
            f"model emits {x.shape[-1]} classes"
        )
