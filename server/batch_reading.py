"""Lines of several images in shared batches: who is told when one of them cannot be read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from ocr_core.stages import AnyStages, WaitingImage, WaitingLine
from ocr_core.types import RawImage, Recognition, RecognizeOptions
from server.errors import DeadlineExpired

_PREPARED_BYTES = 32 * 2**20
"""Of line crops that are prepared before they are read."""

_log = logging.getLogger(__name__)


class LineImage(NamedTuple):
    """An image of a line. is_over: whether nobody waits for it any more, asked before each step."""

    image: bytes | RawImage
    options: RecognizeOptions
    is_over: Callable[[], bool]


class UnreadLine(NamedTuple):
    """A line of an image that is prepared. is_over: as of LineImage."""

    crop: WaitingLine
    options: RecognizeOptions
    is_over: Callable[[], bool]


class ImagesRead(NamedTuple):
    """What has become of images, in order. batches: how many lines were read at once. read_s: seconds of reading."""

    outcomes: Sequence[Recognition | Exception]
    batches: Sequence[int]
    read_s: float


class _Prepared(NamedTuple):
    """keys: the batch key of each crop."""

    image: WaitingImage
    keys: Sequence[Hashable]


def read_images(stages: AnyStages, images: Sequence[LineImage]) -> ImagesRead:
    """Prepare images of lines and read them, those of one batch key together. Of what is over: DeadlineExpired."""
    outcomes: list[Recognition | Exception] = []
    batches: list[int] = []
    read_s = 0.0
    while len(outcomes) < len(images):
        waiting = images[len(outcomes) :]
        prepared = _prepare_some(stages, waiting)
        started = time.monotonic()
        read, sizes = _read_prepared(stages, waiting[: len(prepared)], prepared)
        outcomes += read
        batches += sizes
        read_s += time.monotonic() - started
    return ImagesRead(outcomes, batches, read_s)


def _prepare_some(stages: AnyStages, images: Sequence[LineImage]) -> list[_Prepared | Exception]:
    """As many of the first as there is memory for, one at least, or what is wrong with them."""
    prepared: list[_Prepared | Exception] = []
    left = _PREPARED_BYTES
    for image, options, is_over in images:
        try:
            if is_over():
                raise late()
            ready = stages.prepare(image, options)
            prepared.append(_Prepared(ready, [stages.batch_key(crop, options) for crop in ready.crops]))
            left -= sum(crop.nbytes for crop in ready.crops)
        except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
            prepared.append(error)
        if left < 0:
            break
    return prepared


def _read_prepared(
    stages: AnyStages, images: Sequence[LineImage], prepared: Sequence[_Prepared | Exception]
) -> tuple[list[Recognition | Exception], list[int]]:
    """What has become of images, and sizes of batches."""
    unread: dict[Hashable, list[tuple[int, UnreadLine]]] = {}
    for at, ready in enumerate(prepared):
        if not isinstance(ready, Exception):
            _, options, is_over = images[at]
            for key, crop in zip(ready.keys, ready.image.crops, strict=True):
                unread.setdefault(key, []).append((at, UnreadLine(crop, options, is_over)))
    lines: list[list[object]] = [[] for _ in prepared]
    sizes = []
    for batch in unread.values():
        read = read_lines(stages, [line for _, line in batch])
        sizes.append(sum(not isinstance(outcome, DeadlineExpired) for outcome in read))
        for (at, _), outcome in zip(batch, read, strict=True):
            lines[at].append(outcome)
    outcomes = [
        ready if isinstance(ready, Exception) else assembled(stages, ready.image, read, image.options)
        for image, ready, read in zip(images, prepared, lines, strict=True)
    ]
    return outcomes, [*filter(None, sizes)]


def read_lines(stages: AnyStages, lines: Sequence[UnreadLine]) -> list[object]:
    """What Stages.read_lines returns for lines of one batch key, or an exception; DeadlineExpired of what is over."""
    are_over = [line.is_over() for line in lines]
    wanted = [line for line, is_over in zip(lines, are_over, strict=True) if not is_over]
    read = iter(_read_batch(stages, wanted) if wanted else ())
    return [late() if is_over else next(read) for is_over in are_over]


def assembled(
    stages: AnyStages, prepared: WaitingImage, lines: Sequence[object], options: RecognizeOptions
) -> Recognition | Exception:
    """The lines of an image put together, or what is wrong with one of them."""
    if error := next((line for line in lines if isinstance(line, Exception)), None):
        return error
    try:
        return stages.assemble(prepared, lines, options)
    except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
        return error


def _read_batch(stages: AnyStages, batch: Sequence[UnreadLine]) -> Sequence[object]:
    """A batch that fails is read again line by line, so that only the owner of a bad line is told."""
    try:
        lines: Sequence[object] = stages.read_lines([line.crop for line in batch], [line.options for line in batch])
        if len(lines) != len(batch):
            raise RuntimeError(f"{len(batch)} lines went into a batch, {len(lines)} came out")
    except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
        if len(batch) == 1:
            return [error]
        _log.warning("a batch of %d lines failed: %r", len(batch), error)
        return [outcome for line in batch for outcome in _read_batch(stages, [line])]
    return lines


def late() -> DeadlineExpired:
    """Of what was not begun as nobody waits for it any more."""
    return DeadlineExpired("the deadline passed while the work was queued")
