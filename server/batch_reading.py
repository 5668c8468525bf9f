"""A batch of lines of several images: who is told when one of them cannot be read."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ocr_core.stages import AnyStages, WaitingLine
from ocr_core.types import RecognizeOptions

_log = logging.getLogger(__name__)


def read_batch(
    stages: AnyStages, crops: Sequence[WaitingLine], options: Sequence[RecognizeOptions]
) -> Sequence[object]:
    """What Stages.read_lines returns for crops of one batch key, or the exception that it raises, for each of them.

    A batch that fails is read again line by line, so that only the owner of a bad line is told.
    """
    try:
        lines: Sequence[object] = stages.read_lines(crops, options)
        if len(lines) != len(crops):
            raise RuntimeError(f"{len(crops)} lines went into a batch, {len(lines)} came out")
    except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
        if len(crops) == 1:
            return [error]
        _log.warning("a batch of %d lines failed: %r", len(crops), error)
        pairs = zip(crops, options, strict=True)
        return [outcome for crop, chosen in pairs for outcome in read_batch(stages, [crop], [chosen])]
    return lines
