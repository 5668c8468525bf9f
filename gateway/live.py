"""Live pictures over a WebSocket: frames in, stable text out, through a stream of the service.

The page sends one JSON text message (LiveConfig), then frames as binary messages (JPEG, PNG or WebP); it gets one JSON
text message (LiveAnswer, or a problem) per frame, in their order.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, suppress

import glyphwire
import pydantic
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ConfigDict, Field

from gateway.access import token_subprotocol
from gateway.answers import FieldAnswer, LineAnswer, field_answer, line_answer
from gateway.dependencies import gateway_of
from gateway.options import OcrOptions
from gateway.problems import Problem, ProblemError, answer, invalid, problem_of, refused
from gateway.structure_answers import Corners, corners

router = APIRouter()

_RATE_WINDOW_S = 3.0
_POLICY_VIOLATION = 1008


class LiveConfig(BaseModel):
    """The first message."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    options: OcrOptions = Field(default_factory=OcrOptions)
    stable_frames: int = Field(3, ge=1, le=100, description="frames in a row that make a text stable")


class StableAnswer(BaseModel):
    """A line followed over frames."""

    id: int
    text: str
    confidence: float
    polygon: Corners
    is_stable: bool
    is_seen: bool


class LiveAnswer(BaseModel):
    """What became of one frame. state: read, unchanged or dropped; rate: frames answered per second."""

    frame: int
    state: str
    stable: list[StableAnswer]
    lines: list[LineAnswer] = []
    fields: list[FieldAnswer] | None = None
    width: int = 0
    height: int = 0
    milliseconds: float = 0.0
    rate: float


class _Rate:
    """Frames per second over the last seconds."""

    def __init__(self) -> None:
        self._times: deque[float] = deque()

    def hit(self) -> float:
        now = time.monotonic()
        self._times.append(now)
        while now - self._times[0] > _RATE_WINDOW_S:
            self._times.popleft()
        spent = now - self._times[0]
        return round((len(self._times) - 1) / spent, 1) if spent else 0.0


@router.websocket("/api/live")
async def live(socket: WebSocket) -> None:
    """Accepts, or refuses with a problem before the handshake."""
    gateway = gateway_of(socket)
    async with AsyncExitStack() as stack:
        try:
            if not _is_welcome(socket, gateway.settings.http_cors_origins):
                raise refused(403, "CALL_FORBIDDEN", "the page comes from elsewhere")
            await stack.enter_async_context(gateway.access.call(socket))
        except ProblemError as error:
            await socket.send_denial_response(answer(error.problem))
            return
        await socket.accept(token_subprotocol(socket))
        with gateway.metrics.live.track_inprogress():
            await _serve(socket, gateway.client, gateway.settings.max_image_bytes)


def _is_welcome(socket: WebSocket, origins: tuple[str, ...]) -> bool:
    """Browsers let any page open a WebSocket; they say from where."""
    origin = socket.headers.get("origin")
    if origin is None or origin in origins or "*" in origins:
        return True
    return origin.partition("://")[2] == socket.headers.get("host")


async def _serve(socket: WebSocket, client: glyphwire.AsyncOcrClient, max_frame_bytes: int) -> None:
    """One accepted socket, until it closes. What is wrong with a frame is answered in its place."""
    try:
        config = await _config(socket)
        frames = _Frames(socket, max_frame_bytes)
        stream = client.stream(
            frames.images(),
            config.options.recognize_options(),
            stream_options=glyphwire.StreamOptions(
                frame_policy=glyphwire.FramePolicy.LATEST,
                unchanged=glyphwire.UnchangedOptions(),
                voting=glyphwire.VotingOptions(stable_frames=config.stable_frames),
            ),
        )
        rate = _Rate()
        async with aclosing(stream):
            async for result in stream:
                await socket.send_text(_answer(result, rate.hit()))
    except WebSocketDisconnect:
        return
    except ProblemError as error:
        await _refuse(socket, error.problem)
    except glyphwire.OcrError as error:
        await _refuse(socket, problem_of(error))


async def _config(socket: WebSocket) -> LiveConfig:
    try:
        return LiveConfig.model_validate_json(await socket.receive_text())
    except pydantic.ValidationError as error:
        raise invalid(error.errors()) from None
    except KeyError:
        raise refused(400, "REQUEST_INVALID", "the first message must be JSON") from None


class _Frames:
    """Frames of a socket. Its end is the end of the stream."""

    def __init__(self, socket: WebSocket, max_bytes: int) -> None:
        self._socket = socket
        self._max_bytes = max_bytes

    async def images(self) -> AsyncIterator[bytes]:
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            image = message.get("bytes")
            if image is None:
                raise refused(400, "REQUEST_INVALID", "frames must be binary messages")
            if len(image) > self._max_bytes:
                raise refused(413, "IMAGE_TOO_LARGE", f"a frame has more than {self._max_bytes} bytes")
            yield image


def _answer(result: glyphwire.FrameResult, rate: float) -> str:
    if isinstance(result.outcome, glyphwire.OcrError):
        return problem_of(result.outcome).model_dump_json(exclude_none=True)
    stable = [_stable(line) for line in result.stable_lines]
    if isinstance(result.outcome, glyphwire.FrameDropped):
        return LiveAnswer(frame=result.frame_id, state="dropped", stable=stable, rate=rate).model_dump_json()
    read = result.outcome
    return LiveAnswer.model_construct(
        frame=result.frame_id,
        state="read" if result.unchanged_from is None else "unchanged",
        stable=stable,
        lines=[line_answer(line) for line in read.lines],
        fields=[field_answer(field) for field in read.fields] or None,
        width=read.image_width,
        height=read.image_height,
        milliseconds=round(read.timings.total_ms, 1),
        rate=rate,
    ).model_dump_json(exclude_none=True)


def _stable(line: glyphwire.StableLine) -> StableAnswer:
    return StableAnswer.model_construct(
        id=line.track_id,
        text=line.text,
        confidence=round(line.confidence, 4),
        polygon=corners(line.polygon),
        is_stable=line.is_stable,
        is_seen=line.frames_missed == 0,
    )


async def _refuse(socket: WebSocket, problem: Problem) -> None:
    """Unless the caller has gone already."""
    with suppress(WebSocketDisconnect):
        await socket.send_text(problem.model_dump_json(exclude_none=True))
        await socket.close(_POLICY_VIOLATION, problem.reason)
