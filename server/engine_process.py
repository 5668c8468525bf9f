"""The process that reads for a server: the pipeline, behind connections from the server's threads.

It keeps the crops of images whose lines wait, so that no pixel comes back, and ends when the server has gone.
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple

from ocr_core.errors import InputError
from ocr_core.frame_change import FrameSketch
from ocr_core.model_status import ModelStatus
from ocr_core.pipeline_config import PipelineConfig
from ocr_core.stages import AnyStages, WaitingImage, WaitingLine
from ocr_core.types import ModelInfo, RawImage, Recognition, RecognizeOptions
from server.allocator import drop_loaded_files
from server.engine_link import Connection, ServerEnd
from server.errors import EngineLost


class Prepared(NamedTuple):
    """What the server needs to know of an image. keys, sizes: batch key and bytes of each crop.

    recognition: when there are none.
    """

    keys: tuple[Hashable, ...]
    sizes: tuple[int, ...]
    recognition: Recognition | Exception | None


@dataclass(slots=True)
class _Image:
    prepared: WaitingImage
    options: RecognizeOptions
    lines: dict[int, object] = field(default_factory=dict)


class EngineHost:
    """What connections may call, by name, and the images that wait. Construct, start(), use from any thread.

    make: the pipeline of a config.
    """

    _stages: AnyStages

    def __init__(self, make: Callable[[PipelineConfig], AnyStages]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._images: dict[int, _Image] = {}
        self._busy = 0

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count who reads, or prepares."""
        with self._lock:
            self._busy += 1
        try:
            yield
        finally:
            with self._lock:
                self._busy -= 1

    def start(self, config: PipelineConfig) -> tuple[ModelInfo, ...]:
        """Load the models. Returns those that requests can name. Raises SetupError."""
        self._stages = self._make(config)
        self._stages.start()
        drop_loaded_files()
        # What is loaded stays, and need not be looked through for garbage.
        gc.collect()
        gc.freeze()
        return self._stages.models()

    def prepare(self, number: int, raw: RawImage | None, pickled_options: bytes, content: bytes) -> Prepared:
        """Load an image and find its lines, which are read by this number. raw: what its content is, unless a file."""
        options = _options(pickled_options)
        prepared = self._stages.prepare(_image(raw, content), options)
        if not prepared.crops:
            return Prepared((), (), self._assembled(_Image(prepared, options)))
        keys = tuple(self._stages.batch_key(crop, options) for crop in prepared.crops)
        with self._lock:
            self._images[number] = _Image(prepared, options)
        return Prepared(keys, tuple(crop.nbytes for crop in prepared.crops), None)

    def read_lines(self, places: Sequence[tuple[int, int]]) -> Mapping[int, Recognition | Exception]:
        """Read lines of one batch key, by image and place. Returns what has become of images that are read now."""
        with self._lock:
            images = [self._images.get(number) for number, _ in places]
        found = [image for image in images if image]
        if len(found) < len(images):
            raise EngineLost("the image went with the process that had prepared it")
        unread = [(image, place) for image, (_, place) in zip(found, places, strict=True) if place not in image.lines]
        lines = self._read(
            [image.prepared.crops[place] for image, place in unread], [image.options for image, _ in unread]
        )
        finished: dict[int, _Image] = {}
        with self._lock:
            for (image, place), line in zip(unread, lines, strict=True):
                image.lines[place] = line
            for image, (number, _) in zip(found, places, strict=True):
                if len(image.lines) == len(image.prepared.crops) and number in self._images:
                    finished[number] = self._images.pop(number)
        return {number: self._assembled(image) for number, image in finished.items()}

    def read_ahead(self, number: int) -> None:
        """Read a lone line that nobody has asked for yet, while there is nothing else to do."""
        with self._lock:
            image = self._images.get(number)
            is_lone = image is not None and self._busy == 1 and len(image.prepared.crops) == 1
        if image and is_lone:
            # Whoever asks for it is told what is wrong.
            with suppress(Exception):
                image.lines[0] = self._read(image.prepared.crops, [image.options])[0]

    def forget(self, number: int) -> None:
        """Nobody waits for this image any more."""
        with self._lock:
            self._images.pop(number, None)

    def sketch(self, raw: RawImage | None, pickled_options: bytes, content: bytes) -> FrameSketch:
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

    def _read(self, crops: Sequence[WaitingLine], options: Sequence[RecognizeOptions]) -> Sequence[object]:
        lines = self._stages.read_lines(crops, options) if crops else ()
        if len(lines) != len(crops):
            raise RuntimeError(f"{len(crops)} lines went into a batch, {len(lines)} came out")
        return lines

    def _assembled(self, image: _Image) -> Recognition | Exception:
        lines = [image.lines[place] for place in range(len(image.lines))]
        try:
            return self._stages.assemble(image.prepared, lines, image.options)
        except Exception as error:  # noqa: BLE001 - raised again where the answer is awaited
            return told(error)


def serve(host: EngineHost, link: ServerEnd) -> None:
    """Answer the server's calls until it has gone; it alone decides when that is."""
    for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    for note in link.notes():
        if isinstance(note, Connection):
            threading.Thread(target=converse, args=(host, note), name="engine", daemon=True).start()
        else:
            host.forget(note)
    # Nobody waits for what is being read, and nothing is left to be saved.
    os._exit(0)


def converse(host: EngineHost, connection: Connection) -> None:
    """Answer the calls of one thread of the server until it has gone. Whatever else ends it, that thread is told."""
    try:
        while True:
            message, content = connection.receive()
            with host.busy():
                connection.send(_answered(host, message, content))
                if message[0] == "prepare":
                    host.read_ahead(message[1][0])
    except (OSError, EOFError):
        return
    finally:
        connection.close()


def _answered(host: EngineHost, message: tuple[str, tuple[Any, ...]], content: bytes | None) -> object:
    method, arguments = message
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


@lru_cache(maxsize=256)
def _options(pickled: bytes) -> RecognizeOptions:
    options: RecognizeOptions = pickle.loads(pickled)  # noqa: S301 - of the same program
    return options


def _image(raw: RawImage | None, content: bytes) -> bytes | RawImage:
    return content if raw is None else replace(raw, pixels=content)
