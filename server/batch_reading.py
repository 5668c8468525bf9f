"""Lines of several images in shared batches: who is told when one of them cannot be read."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

from ocr_core.stages import AnyStages, WaitingImage, WaitingLine
from ocr_core.types import RawImage, Recognition, RecognizeOptions
from server.errors import DeadlineExpired

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


def read_images(stages: AnyStages, images: Sequence[LineImage]) -> ImagesRead:
    """Prepare images of lines and read them, those of one batch key together. Of what is over: DeadlineExpired."""
    prepared: dict[int, WaitingImage] = {}
    outcomes: dict[int, Recognition | Exception] = {}
    unread: dict[Hashable, list[tuple[int, UnreadLine]]] = {}
    for at, (image, options, is_over) in enumerate(images):
        try:
            if is_over():
                raise late()
            prepared[at] = stages.prepare(image, options)
            for crop in prepared[at].crops:
                unread.setdefault(stages.batch_key(crop, options), []).append((at, UnreadLine(crop, options, is_over)))
        except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
            outcomes[at] = error
    started = time.monotonic()
    lines: dict[int, list[object]] = {at: [] for at in prepared}
    batches = []
    for batch in unread.values():
        read = read_lines(stages, [line for _, line in batch])
        batches.append(sum(not isinstance(line, DeadlineExpired) for line in read))
        for (at, _), line in zip(batch, read, strict=True):
            lines[at].append(line)
    for at in prepared.keys() - outcomes.keys():
        outcomes[at] = assembled(stages, prepared[at], lines[at], images[at].options)
    in_order = [outcomes[at] for at in range(len(images))]
    return ImagesRead(in_order, [*filter(None, batches)], time.monotonic() - started)


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
