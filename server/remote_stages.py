"""The pipeline in a process of its own, so that calls are answered beside it and outlive it.

Whoever reads holds Python's interpreter for a good part of the time: the event loop of the same process falls behind
when there is more to do than can be done, and it is then that callers have to be told so.
"""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from ocr_core.errors import OcrError
from ocr_core.frame_change import FrameSketch
from ocr_core.language_dir import LanguageDir
from ocr_core.model_status import ModelStatus
from ocr_core.rules.options import RuleOptions
from ocr_core.rules.rule_shelf import RuleShelf
from ocr_core.rules.rules import Rules
from ocr_core.types import ModelInfo, RawImage, Recognition, RecognizeOptions
from server.engine_link import ENGINE_FLAG, Connection, EngineEnd
from server.engine_process import Prepared
from server.errors import EngineLost, ProcessesFailed
from server.metrics import Metrics
from server.settings import Settings

ENGINE_PROGRAM = (sys.executable, "-P", "-m", "server.engine_program")
"""-P: the packages are ours, whatever lies in the folder where the server was started."""

_END_S = 10.0

_log = structlog.get_logger(__name__)
_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class RemoteCrop:
    """A line crop that another process keeps. number: of its image; key: see Stages.batch_key."""

    number: int
    place: int
    nbytes: int
    key: Hashable


@dataclass(slots=True, eq=False)
class RemoteImage:
    """An image whose crops another process keeps, until all are read or nothing refers to it any more.

    recognition: of an image without lines.
    """

    number: int
    crops: tuple[RemoteCrop, ...]
    recognition: Recognition | Exception | None
    forget: Callable[[int], None]
    is_kept: bool

    def __del__(self) -> None:
        if self.is_kept:
            self.forget(self.number)


class RemoteStages:
    """Implements Stages with a process that has the pipeline. Construct, start(), use from any thread, close().

    command: ENGINE_PROGRAM; ENGINE_FLAG is added to it. When the process ends, what it was reading fails with
    EngineLost, and another one takes its place at once, with the models that the last one had. Later calls wait for it.
    """

    def __init__(self, settings: Settings, command: Sequence[str], metrics: Metrics) -> None:
        # Whoever takes its place has to know what was changed at run time.
        self._folder = TemporaryDirectory(prefix="glyphwire-")
        agreement = settings.model_agreement or Path(self._folder.name) / "models.json"
        self._config = replace(settings.pipeline_config, agreement=agreement)
        self._nice = settings.engine_nice
        self._command = command
        self._metrics = metrics
        self._rules = RuleShelf(LanguageDir(settings.language_dir))
        # Guards the next two, and is held while a process takes the place of another one.
        self._replacing = threading.Lock()
        self._engine: Engine | None = None
        self._is_closed = False
        self._models: tuple[ModelInfo, ...] = ()
        self.shelf = RemoteShelf(self)

    def start(self) -> None:
        """Start the process and load its models. Raises OcrError."""
        engine = Engine(self._command, self._nice)
        try:
            self._models = engine.call("start", self._config)
        except BaseException as error:
            status = engine.close()
            if isinstance(error, (OSError, EOFError)):
                raise ProcessesFailed(f"the process that reads has ended with status {status}") from None
            raise
        self._engine = engine
        threading.Thread(target=self._watch, args=(engine,), name="engine-end", daemon=True).start()

    def close(self) -> None:
        """End the process."""
        with self._replacing:
            self._is_closed = True
            engine, self._engine = self._engine, None
        if engine:
            engine.close()
        self._folder.cleanup()

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> RemoteImage:
        """As Pipeline's."""
        number = next(_numbers)
        prepared: Prepared = self._call("prepare", number, *_described(image, options), content=_content(image))
        pairs = enumerate(zip(prepared.keys, prepared.sizes, strict=True))
        crops = tuple(RemoteCrop(number, place, size, key) for place, (key, size) in pairs)
        return RemoteImage(number, crops, prepared.recognition, self._forget, is_kept=bool(crops))

    def sketch(self, image: bytes | RawImage, options: RecognizeOptions) -> FrameSketch:
        """As Pipeline's."""
        sketch: FrameSketch = self._call("sketch", *_described(image, options), content=_content(image))
        return sketch

    def batch_key(self, crop: RemoteCrop, options: RecognizeOptions) -> Hashable:
        """As Pipeline's."""
        del options
        return crop.key

    def read_lines(
        self, crops: Sequence[RemoteCrop], options: Sequence[RecognizeOptions]
    ) -> list[Recognition | Exception | None]:
        """As Pipeline's, but what is returned for the crop that was the last of its image is all of it put together.

        options: those with which the images were prepared.
        """
        del options
        read: Mapping[int, Recognition | Exception] = self._call(
            "read_lines", [(crop.number, crop.place) for crop in crops]
        )
        last = {crop.number: at for at, crop in enumerate(crops)}
        return [read.get(crop.number) if last[crop.number] == at else None for at, crop in enumerate(crops)]

    def assemble(
        self, prepared: RemoteImage, lines: Sequence[Recognition | Exception | None], options: RecognizeOptions
    ) -> Recognition:
        """As Pipeline's."""
        del options
        prepared.is_kept = False
        (outcome,) = (outcome for outcome in (*lines, prepared.recognition) if outcome is not None)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def rules(self, options: RuleOptions) -> Rules | None:
        """As Pipeline's."""
        return self._rules.find(options)

    def models(self) -> tuple[ModelInfo, ...]:
        """As Pipeline's."""
        return self._models

    def statuses(self) -> tuple[ModelStatus, ...]:
        """As ModelShelf's."""
        statuses: tuple[ModelStatus, ...] = self._call("statuses")
        return statuses

    def change(self, change: str, *arguments: str) -> None:
        """A change of the ModelShelf. Raises what that raises."""
        try:
            self._call("change", change, *arguments)
        finally:
            self._models = self._call("models")

    def _call(self, method: str, *arguments: object, content: bytes | memoryview | None = None) -> Any:  # noqa: ANN401 - what EngineHost returns
        with self._replacing:
            engine = self._engine
        try:
            if engine:
                return engine.call(method, *arguments, content=content)
        except (OSError, EOFError):
            pass
        self._replace(engine)
        raise EngineLost("the process that was reading has ended")

    def _forget(self, number: int) -> None:
        if engine := self._engine:
            engine.forget(number)

    def _watch(self, engine: Engine) -> None:
        """Have it replaced when it ends, and not when somebody calls next, who would have to wait."""
        engine.wait()
        self._replace(engine)

    def _replace(self, lost: Engine | None) -> None:
        """Start another engine in the place of one that has ended, or was not replaced, unless somebody else has."""
        with self._replacing:
            if self._engine is not lost or self._is_closed:
                return
            self._engine = None
            if lost:
                _log.error("engine_lost", pid=lost.pid, status=lost.close())
                self._metrics.engine_losses.inc()
            try:
                self.start()
            except OcrError as error:
                # Whoever calls next tries again.
                _log.error("engine_not_replaced", error=error.message)


class RemoteShelf:
    """Implements ModelChanges with the ModelShelf of the process."""

    def __init__(self, stages: RemoteStages) -> None:
        self._stages = stages

    def statuses(self) -> tuple[ModelStatus, ...]:
        """As ModelShelf's."""
        return self._stages.statuses()

    def load(self, name: str) -> None:
        """As ModelShelf's."""
        self._stages.change("load", name)

    def unload(self, name: str) -> None:
        """As ModelShelf's."""
        self._stages.change("unload", name)

    def reload(self) -> None:
        """As ModelShelf's."""
        self._stages.change("reload")

    def set_default(self, name: str) -> None:
        """As ModelShelf's."""
        self._stages.change("set_default", name)

    def follow(self) -> None:
        """As ModelShelf's."""
        self._stages.change("follow")


class Engine:
    """One such process. Each thread that calls it has a connection of its own."""

    def __init__(self, command: Sequence[str], nice: int) -> None:
        self._link = EngineEnd()
        self._of_thread = threading.local()
        self._connections: list[Connection] = []
        descriptor = self._link.descriptor
        self._process = subprocess.Popen(  # noqa: S603 - ourselves
            [*command, f"{ENGINE_FLAG}={descriptor}"], pass_fds=[descriptor], stdin=subprocess.DEVNULL
        )
        self._link.inherited()
        # It has one thread yet; those to come inherit from it. Where that is not allowed, it reads all the same.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def call(self, method: str, *arguments: object, content: bytes | memoryview | None = None) -> Any:  # noqa: ANN401 - what EngineHost returns
        """Call a method of its EngineHost. Blocks. Raises what that raises; OSError or EOFError when it has ended."""
        connection = self._connection()
        connection.send((method, arguments), content)
        answer, _ = connection.receive()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def forget(self, number: int) -> None:
        """Nobody waits for this image any more. Never blocks."""
        self._link.forget(number)

    def wait(self) -> None:
        """Until it has ended."""
        self._process.wait()

    def close(self) -> int:
        """End it. Returns its status."""
        self._link.close()
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        for connection in self._connections:
            connection.close()
        return status

    def _connection(self) -> Connection:
        mine: Connection | None = getattr(self._of_thread, "connection", None)
        if mine is None:
            mine = self._of_thread.connection = self._link.connect()
            self._connections.append(mine)
        return mine


def _content(image: bytes | RawImage) -> bytes | memoryview:
    return image.pixels if isinstance(image, RawImage) else image


def _described(image: bytes | RawImage, options: RecognizeOptions) -> tuple[RawImage | None, bytes]:
    """All but the content of an image."""
    return replace(image, pixels=b"") if isinstance(image, RawImage) else None, _pickled(options)


@lru_cache(maxsize=256)
def _pickled(options: RecognizeOptions) -> bytes:
    return pickle.dumps(options, pickle.HIGHEST_PROTOCOL)
