"""The pipeline in a process of its own, so that calls are answered beside it and outlive it.

Whoever reads holds Python's interpreter for a good part of the time: the event loop of the same process falls behind
when there is more to do than can be done, and it is then that callers have to be told so.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, cast

import structlog

from ocr_core.errors import OcrError
from ocr_core.model_status import ModelStatus
from ocr_core.rules.options import RuleOptions
from ocr_core.stages import WaitingImage
from ocr_core.types import ModelInfo, RawImage, Recognition, RecognizeOptions
from server.engine_link import ENGINE_FLAG, Connection, EngineEnd, Payload
from server.errors import EngineLost, ProcessesFailed
from server.exchange import Exchange
from server.metrics import Metrics
from server.settings import Settings

if TYPE_CHECKING:
    from ocr_core.frame_change import FrameSketch
    from ocr_core.rules.rule_shelf import RuleShelf
    from ocr_core.rules.rules import Rules

ENGINE_PROGRAM = (sys.executable, "-P", "-m", "server.engine_program")
"""-P: the packages are ours, whatever lies in the folder where the server was started."""

_END_S = 10.0

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class RemoteCrop:
    """A line crop that another process keeps."""

    place: int
    nbytes: int


@dataclass(slots=True, eq=False)
class RemoteImage:
    """An image whose crops another process keeps, until all are read or nothing refers to it any more.

    recognition: of an image of which nothing is left to be read.
    """

    number: int
    crops: tuple[RemoteCrop, ...]
    recognition: Recognition | Exception | None
    engine: Engine
    is_kept: bool

    def forget(self) -> None:
        """Nobody waits for it any more."""
        if self.is_kept:
            self.is_kept = False
            self.engine.forget(self.number)

    def __del__(self) -> None:
        self.forget()


class RemoteStages:
    """A process that has the pipeline, for RemoteWorkers. Construct, start(), use from any thread, close().

    command: ENGINE_PROGRAM; ENGINE_FLAG is added to it. When the process ends, what it was doing fails with
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
        # Guards the next two, and is held while a process takes the place of another one.
        self._replacing = threading.Lock()
        self._engine: Engine | None = None
        self._is_closed = False
        self._models: tuple[ModelInfo, ...] = ()
        self.shelf = RemoteShelf(self)

    def start(self) -> None:
        """Start the process and load its models. Raises OcrError."""
        try:
            engine = Engine(self._command, self._nice)
        except OSError as error:
            raise ProcessesFailed(f"the process that reads cannot be started: {error}") from None
        try:
            self._models = engine.call("start", self._config)
        except EngineLost:
            raise ProcessesFailed(f"the process that reads has ended with status {engine.close()}") from None
        except BaseException as error:
            engine.close()
            if isinstance(error, OSError):
                raise ProcessesFailed(f"the process that reads cannot start: {error}") from error
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

    def sketch(self, image: bytes | RawImage, options: RecognizeOptions) -> FrameSketch:
        """As Pipeline's."""
        sketch: FrameSketch = self._call("sketch", *described(image, options), content=content(image))
        return sketch

    def assemble(self, prepared: WaitingImage, lines: Sequence[object], options: RecognizeOptions) -> Recognition:
        """What came with the last of the lines, or instead of them. Raises it, if it is an exception."""
        del options
        image = cast(RemoteImage, prepared)
        image.is_kept = False
        (outcome,) = (outcome for outcome in (*lines, image.recognition) if outcome is not None)
        if isinstance(outcome, Exception):
            raise outcome
        return cast(Recognition, outcome)

    def rules(self, options: RuleOptions) -> Rules | None:
        """As Pipeline's."""
        return self._rules.find(options)

    @cached_property
    def _rules(self) -> RuleShelf:
        # Here and not above: only pages that have their text need it, and it takes NumPy and RE2.
        from ocr_core.language_dir import LanguageDir
        from ocr_core.rules.rule_shelf import RuleShelf

        return RuleShelf(LanguageDir(self._config.language_dir))

    def models(self) -> tuple[ModelInfo, ...]:
        """As Pipeline's."""
        return self._models

    def engine(self) -> Engine:
        """The process. Raises EngineLost when there is none."""
        if engine := self._engine:
            return engine
        raise engine_lost()

    def renew(self, lost: Engine | None) -> None:
        """Have another process in the place of one that has ended, or of none. Blocks. See engine() for how it went."""
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

    def _call(self, method: str, *arguments: object, content: Payload | None = None) -> Any:  # noqa: ANN401 - what EngineHost returns
        with self._replacing:
            engine = self._engine
        try:
            if engine:
                return engine.call(method, *arguments, content=content)
        except EngineLost:
            pass
        self.renew(engine)
        raise engine_lost()

    def _watch(self, engine: Engine) -> None:
        """Have it replaced when it ends, and not when somebody calls next, who would have to wait."""
        engine.wait()
        self.renew(engine)


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
    """One such process. Each thread that calls it has a connection of its own. Raises OSError for no process."""

    def __init__(self, command: Sequence[str], nice: int) -> None:
        self._link = EngineEnd()
        self._of_thread = threading.local()
        self._connections: list[Connection] = []
        descriptor = self._link.descriptor
        try:
            self._process = subprocess.Popen(  # noqa: S603 - ourselves
                [*command, f"{ENGINE_FLAG}={descriptor}"], pass_fds=[descriptor], stdin=subprocess.DEVNULL
            )
        except OSError:
            self._link.close()
            raise
        finally:
            self._link.inherited()
        # It has one thread yet; those to come inherit from it. Where that is not allowed, it reads all the same.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, self._process.pid, nice)

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def exchange(self, threads: int, on_end: Callable[[], None]) -> Exchange:
        """A connection for the event loop that runs, answered by so many threads. Raises EngineLost."""
        try:
            return Exchange(self._link.connect(threads), on_end)
        except OSError:
            raise engine_lost() from None

    def call(self, method: str, *arguments: object, content: Payload | None = None) -> Any:  # noqa: ANN401 - what EngineHost returns
        """Call a method of its EngineHost. Blocks. Raises what that raises, and EngineLost when it has ended."""
        try:
            connection = self._connection()
            connection.send((0, method, arguments), content)
            (_, answer), _ = connection.receive()
        except (OSError, EOFError):
            raise engine_lost() from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def begin(self, number: int) -> None:
        """An image is about to be sent."""
        self._link.withdrawals.begin(number)

    def withdraw(self, number: int) -> None:
        """Nobody waits any more for an image that was sent."""
        self._link.withdrawals.add(number)

    def forget(self, number: int) -> None:
        """Nobody waits any more for the lines of a page. Never blocks."""
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
            mine = self._of_thread.connection = Connection(self._link.connect())
            self._connections.append(mine)
        return mine


def content(image: bytes | RawImage) -> Payload:
    """Of an image, for EngineHost."""
    return image.pixels if isinstance(image, RawImage) else image


def described(image: bytes | RawImage, options: RecognizeOptions) -> tuple[RawImage | None, bytes]:
    """All but the content of an image, for EngineHost, and how it is read."""
    return replace(image, pixels=b"") if isinstance(image, RawImage) else None, _pickled(options)


def engine_lost() -> EngineLost:
    """What those are told whose image was being read."""
    return EngineLost("the process that was reading has ended")


@lru_cache(maxsize=256)
def _pickled(options: RecognizeOptions) -> bytes:
    return pickle.dumps(options, pickle.HIGHEST_PROTOCOL)
