"""The process that reads for a server: the pipeline, behind connections from the server.

It keeps the crops of images whose lines wait, so that no pixel comes back, and ends when the server has gone.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import time
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ocr_core.errors import InputError
from ocr_core.model_status import ModelStatus
from ocr_core.pipeline_config import PipelineConfig
from ocr_core.shared_pixels import SharedPixels
from ocr_core.stages import AnyStages, WaitingImage
from ocr_core.types import ModelInfo, RawImage, Recognition, RecognizeOptions
from server.allocator import drop_loaded_files
from server.batch_reading import ImagesRead, LineImage, UnreadLine, assembled, late, read_images, read_lines
from server.engine_link import Connection, ServerEnd, Withdrawals

if TYPE_CHECKING:
    from ocr_core.frame_change import FrameSketch

Content = bytes | SharedPixels
"""Of an image: a file or pixels."""


class Prepared(NamedTuple):
    """What the server needs to know of a page. keys, sizes: batch key and bytes of each crop.

    started: when this was begun, of time.monotonic(). recognition: when there are no crops.
    """

    started: float
    seconds: float
    keys: tuple[Hashable, ...]
    sizes: tuple[int, ...]
    recognition: Recognition | Exception | None = None


class SentImage(NamedTuple):
    """An image of a line. raw: what its content is, unless a file; size: of its part of the payload, in bytes."""

    number: int
    raw: RawImage | None
    pickled_options: bytes
    deadline: float
    size: int


class LineImagesRead(NamedTuple):
    """started: when this was begun, of time.monotonic(). seconds: that all of it has taken."""

    started: float
    seconds: float
    images: ImagesRead


class LinesRead(NamedTuple):
    """Lines of a batch. started: when this was begun, of time.monotonic(). seconds: that it has taken.

    images: what has become of those that are read now, by number. left_out: numbers of those that nobody waits for.
    """

    started: float
    seconds: float
    images: Mapping[int, Recognition | Exception]
    left_out: frozenset[int]


@dataclass(slots=True)
class _Image:
    """prepared: once it is. lines: readings, or exceptions, by place. deadline: of time.monotonic()."""

    prepared: WaitingImage
    options: RecognizeOptions
    deadline: float
    lines: dict[int, object] = field(default_factory=dict)

    def error(self) -> Exception | None:
        """What is wrong with one of its lines."""
        return next((line for line in self.lines.values() if isinstance(line, Exception)), None)


class EngineHost:
    """What connections may call, by name, and the images that wait. Construct, start(), use from any thread.

    make: the pipeline of a config.
    """

    _stages: AnyStages

    def __init__(self, make: Callable[[PipelineConfig], AnyStages]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._images: dict[int, _Image] = {}
        self._withdrawals: Withdrawals | None = None

    def follow(self, withdrawals: Withdrawals) -> None:
        """Begin nothing that is withdrawn."""
        self._withdrawals = withdrawals

    def start(self, config: PipelineConfig) -> tuple[ModelInfo, ...]:
        """Load the models. Returns those that requests can name. Raises SetupError."""
        self._stages = self._make(config)
        self._stages.start()
        drop_loaded_files()
        # What is loaded stays, and need not be looked through for garbage.
        gc.collect()
        gc.freeze()
        return self._stages.models()

    def prepare(
        self, number: int, raw: RawImage | None, pickled_options: bytes, deadline: float, content: Content
    ) -> Prepared:
        """Load a page and find its lines, which are read by this number. raw: what its content is, unless a file.

        Raises DeadlineExpired.
        """
        started = time.monotonic()
        if self._is_over(number, deadline):
            raise late()
        options = _options(pickled_options)
        image = _Image(self._stages.prepare(_image(raw, content), options), options, deadline)
        crops = image.prepared.crops
        keys = tuple(self._stages.batch_key(crop, options) for crop in crops)
        if not crops:
            return Prepared(started, time.monotonic() - started, keys, (), self._assembled(image))
        with self._lock:
            self._images[number] = image
        return Prepared(started, time.monotonic() - started, keys, tuple(crop.nbytes for crop in crops))

    def read_images(self, images: Sequence[SentImage], content: bytes) -> LineImagesRead:
        """Prepare and read images of lines. content: of all of them, one after the other."""
        started = time.monotonic()
        read = read_images(self._stages, [*self._line_images(images, content)])
        outcomes = [told(each) if isinstance(each, Exception) else each for each in read.outcomes]
        return LineImagesRead(started, time.monotonic() - started, read._replace(outcomes=outcomes))

    def read_lines(self, places: Sequence[tuple[int, int]]) -> LinesRead:
        """Read lines of one batch key, by image and place. Of images that are over, or unknown, nothing is said."""
        started = time.monotonic()
        with self._lock:
            images = {number: self._images.get(number) for number, _ in places}
        self._read([(image, place) for number, place in places if (image := images[number])])
        with self._lock:
            done = [number for number, image in images.items() if image and _is_done(image)]
            finished = {number: image for number in done if (image := self._images.pop(number, None))}
        ended = {number: self._assembled(image) for number, image in finished.items()}
        left_out = frozenset(number for number, image in images.items() if image is None)
        return LinesRead(started, time.monotonic() - started, ended, left_out)

    def forget(self, number: int) -> None:
        """Nobody waits for this page any more."""
        with self._lock:
            self._images.pop(number, None)

    def sketch(self, raw: RawImage | None, pickled_options: bytes, content: Content) -> FrameSketch:
        """As Stages has it."""
        return self._stages.sketch(_image(raw, content), _options(pickled_options))

    def models(self) -> tuple[ModelInfo, ...]:
        """As Stages has them."""
        return self._stages.models()

    def statuses(self) -> tuple[ModelStatus, ...]:
        """As ModelShelf has them."""
        return self._stages.shelf.statuses()

    def change(self, change: str, *arguments: str) -> None:
        """A change of the ModelShelf."""
        getattr(self._stages.shelf, change)(*arguments)

    def _read(self, lines: Sequence[tuple[_Image, int]]) -> None:
        """Lines of one batch key, in one batch."""
        unread = [
            UnreadLine(image.prepared.crops[place], image.options, partial(_is_past, image.deadline))
            for image, place in lines
        ]
        read = read_lines(self._stages, unread)
        with self._lock:
            for (image, place), line in zip(lines, read, strict=True):
                image.lines[place] = line

    def _is_over(self, number: int, deadline: float) -> bool:
        is_withdrawn = self._withdrawals is not None and self._withdrawals.has(number)
        return is_withdrawn or _is_past(deadline)

    def _line_images(self, images: Sequence[SentImage], content: bytes) -> Iterator[LineImage]:
        view, start = memoryview(content), 0
        for number, raw, pickled_options, deadline, size in images:
            part = slice(start, start + size)
            image = replace(raw, pixels=view[part]) if raw else content[part]
            yield LineImage(image, _options(pickled_options), partial(self._is_over, number, deadline))
            start += size

    def _assembled(self, image: _Image) -> Recognition | Exception:
        # All of them, unless one is an error.
        lines = [image.lines[place] for place in sorted(image.lines)]
        outcome = assembled(self._stages, image.prepared, lines, image.options)
        return told(outcome) if isinstance(outcome, Exception) else outcome


def serve(host: EngineHost, link: ServerEnd) -> None:
    """Answer the server's calls until it has gone; it alone decides when that is."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    host.follow(link.withdrawals)
    for note in link.notes():
        if isinstance(note, int):
            host.forget(note)
            continue
        connection, threads = note
        for _ in range(threads):
            threading.Thread(target=converse, args=(host, connection), name="engine", daemon=True).start()
    # Nobody waits for what is being read, and nothing is left to be saved.
    os._exit(0)


def converse(host: EngineHost, connection: Connection) -> None:
    """Answer calls of a connection until the server has gone. Whatever else ends it, the server is told."""
    try:
        while True:
            (number, method, arguments), content = connection.receive()
            answer = _answered(host, method, arguments, content)
            # Pixels of a page are not kept until the next one comes.
            del content
            try:
                connection.send((number, answer))
            except OSError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever an answer's own methods raise
                connection.send((number, RuntimeError(f"what {method} returned cannot be sent: {error!r}")))
    except (OSError, EOFError):
        return
    finally:
        connection.close()


def _answered(host: EngineHost, method: str, arguments: tuple[Any, ...], content: Content | None) -> object:
    try:
        return getattr(host, method)(*arguments, *(() if content is None else (content,)))
    except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
        return told(error)


def told(error: Exception) -> Exception:
    """An error that can be sent, with its traceback in a note for the server's log, unless it is the caller's fault."""
    if isinstance(error, InputError):
        return error
    trace = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:  # noqa: BLE001 - whatever an error's own methods raise
        return RuntimeError(trace)
    error.add_note(trace)
    return error


def _is_done(image: _Image) -> bool:
    return image.error() is not None or len(image.lines) == len(image.prepared.crops)


@lru_cache(maxsize=256)
def _options(pickled: bytes) -> RecognizeOptions:
    options: RecognizeOptions = pickle.loads(pickled)  # noqa: S301 - of the same program
    return options


def _image(raw: RawImage | None, content: Content) -> bytes | RawImage:
    return replace(raw, pixels=content) if raw else cast(bytes, content)


def _is_past(deadline: float) -> bool:
    return time.monotonic() >= deadline
