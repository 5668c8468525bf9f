"""What the process that reads does by itself, without the process."""

from __future__ import annotations

import asyncio
import math
import os
import pickle
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ocr_core.errors import ImageEmpty, ImageTooSmall
from ocr_core.shared_pixels import SharedPixels
from ocr_core.types import PixelFormat, RawImage, Recognition, RecognizeOptions
from server import batch_reading
from server.engine_link import Connection, EngineEnd, ServerEnd
from server.engine_process import EngineHost, LineImagesRead, SentImage, converse, told
from server.errors import DeadlineExpired
from server.exchange import Exchange
from tests.server.messages import until

OPTIONS = pickle.dumps(RecognizeOptions())
NEVER = math.inf


@pytest.fixture
def host(stages) -> EngineHost:
    """In front of the fake pipeline, started."""
    host = EngineHost(lambda _: stages)
    host.start("")
    return host


def prepared(host: EngineHost, number: int, image: bytes, deadline: float = NEVER):
    """Of a file with a page."""
    return host.prepare(number, None, OPTIONS, deadline, image)


def texts(recognition: Recognition) -> list[str]:
    """Of its lines."""
    return [line.text for line in recognition.lines]


def test_an_image_is_complete_with_the_last_of_its_lines(host, stages):
    """Lines of several images share a batch; nothing is said of those that lack some."""
    assert prepared(host, 1, b"a\nb").sizes == (1, 1)
    assert len({*prepared(host, 2, b"c").keys, *prepared(host, 3, b"d").keys}) == 1
    assert {number: texts(read) for number, read in host.read_lines([(1, 1), (2, 0)]).images.items()} == {2: ["c"]}
    assert {number: texts(read) for number, read in host.read_lines([(1, 0)]).images.items()} == {1: ["a", "b"]}
    assert stages.batches == [["b", "c"], ["a"]]


def read(host: EngineHost, *images: bytes | RawImage, deadlines: Sequence[float] = ()) -> LineImagesRead:
    """Images of lines, numbered from 0."""
    sent, contents = [], []
    for number, image in enumerate(images):
        contents.append(image.pixels if isinstance(image, RawImage) else image)
        raw = replace(image, pixels=b"") if isinstance(image, RawImage) else None
        deadline = deadlines[number] if deadlines else NEVER
        sent.append(SentImage(number, raw, OPTIONS, deadline, len(contents[-1])))
    return host.read_images(sent, b"".join(contents))


def test_images_of_lines_are_prepared_and_read_in_one_go(host, stages):
    """Files and pixels, in a batch for each width; what is wrong with one of them is told to its owner alone."""
    long = b"long " * 100
    images = [b"a", long, b"poison", RawImage(b"raw", 3, 1, PixelFormat.GRAY8), b"!small", b"", b"\n"]
    answer = read(host, *images)
    a, wide, poison, raw, small, empty, nothing = answer.images.outcomes
    assert [texts(each) for each in (a, wide, raw, nothing)] == [["a"], [long.decode()], ["raw"], []]
    assert [type(each) for each in (poison, small, empty)] == [ZeroDivisionError, ImageTooSmall, ImageEmpty]
    assert stages.batches[0] == ["a", "poison", "raw"]
    assert list(answer.images.batches) == [3, 1]
    assert answer.seconds >= answer.images.read_s > 0


def test_large_images_are_prepared_one_after_the_other(host, stages, monkeypatch):
    """When the crops of those that are prepared take as much memory as they may, they are read first."""
    monkeypatch.setattr(batch_reading, "_PREPARED_BYTES", 5)
    answer = read(host, b"aaa", b"!small", b"bbb", b"ccc")
    assert [texts(each) for each in answer.images.outcomes if isinstance(each, Recognition)] == [
        ["aaa"],
        ["bbb"],
        ["ccc"],
    ]
    assert isinstance(answer.images.outcomes[1], ImageTooSmall)
    assert stages.batches == [["aaa", "bbb"], ["ccc"]]
    assert list(answer.images.batches) == [2, 1]


def test_what_is_withdrawn_is_not_begun(host, stages):
    """Nor what is late; a page is not prepared either."""
    ours = EngineEnd()
    theirs = ServerEnd(socket.dup(ours.descriptor))
    host.follow(theirs.withdrawals)
    ours.withdrawals.add(1)
    outcomes = read(host, b"wanted", b"withdrawn", b"late", deadlines=[NEVER, NEVER, time.monotonic()]).images.outcomes
    assert texts(outcomes[0]) == ["wanted"]
    assert [type(outcome) for outcome in outcomes[1:]] == [DeadlineExpired, DeadlineExpired]
    with pytest.raises(DeadlineExpired):
        prepared(host, 1, b"page")
    assert stages.prepared == [b"wanted"]
    ours.withdrawals.begin(1)
    prepared(host, 1, b"page")
    assert stages.prepared == [b"wanted", b"page"]
    ours.inherited()
    ours.close()
    assert list(theirs.notes()) == []


def test_what_is_withdrawn_meanwhile_is_not_read(host, stages, monkeypatch):
    """Between one step and the next."""
    gone = set()
    monkeypatch.setattr(host, "_is_over", lambda number, deadline: number in gone)
    prepare = stages.prepare

    def leave(image, options):
        gone.add(0)
        return prepare(image, options)

    monkeypatch.setattr(stages, "prepare", leave)
    answer = read(host, b"gone", b"stays")
    assert isinstance(answer.images.outcomes[0], DeadlineExpired)
    assert stages.batches == [["stays"]]
    assert list(answer.images.batches) == [1]


def test_an_image_without_lines_is_read(host):
    """It has nothing to wait for."""
    assert texts(prepared(host, 1, b"\n").recognition) == []


def test_a_bad_line_is_told_to_its_owner_alone(host):
    """Its image is over with it; the others of the batch are read."""
    for number, image in enumerate((b"fine", b"poison\nnever", b"shortfall")):
        prepared(host, number, image)
    images = host.read_lines([(0, 0), (1, 0), (2, 0)]).images
    assert texts(images[0]) == ["fine"]
    assert isinstance(images[1], ZeroDivisionError)
    assert "0 came out" in str(images[2])
    assert host.read_lines([(1, 1)]).images == {}


def test_what_is_late_is_not_read(host, stages):
    """Nobody waits for it, whatever else is in the batch."""
    with pytest.raises(DeadlineExpired):
        prepared(host, 1, b"late", time.monotonic())
    assert stages.prepared == []
    prepared(host, 1, b"late", time.monotonic() + 0.05)
    prepared(host, 2, b"in time")
    time.sleep(0.06)
    images = host.read_lines([(1, 0), (2, 0)]).images
    assert isinstance(images[1], DeadlineExpired)
    assert texts(images[2]) == ["in time"]
    assert stages.batches == [["in time"]]


def test_what_is_read_or_forgotten_is_not_kept(host):
    """Its pixels would stay for ever."""
    prepared(host, 1, b"read")
    prepared(host, 2, b"forgotten")
    host.read_lines([(1, 0)])
    host.forget(2)
    host.forget(3)
    answer = host.read_lines([(1, 0), (2, 0)])
    assert (answer.images, answer.left_out) == ({}, {1, 2})


def test_an_error_that_cannot_be_sent_becomes_one_that_can():
    """With all that is known of it."""

    class Local(Exception):
        pass

    try:
        raise Local("odd")
    except Local as error:
        sent = told(error)
    assert isinstance(sent, RuntimeError)
    assert "Local: odd" in str(sent)


@pytest.mark.parametrize("size", [None, 0, 1, 3_000_000])
def test_messages_come_as_they_were_sent(size):
    """With any payload, larger than what a socket holds as well; then the end of the stream."""
    ends = [Connection(end) for end in socket.socketpair()]
    payload = None if size is None else bytes(size)
    sending = threading.Thread(target=ends[0].send, args=({"text": "字" * 100_000}, payload))
    sending.start()
    assert ends[1].receive() == ({"text": "字" * 100_000}, payload)
    sending.join()
    ends[0].close()
    with pytest.raises(EOFError):
        ends[1].receive()
    ends[1].close()


def test_notes_come_in_order_and_never_hold_anybody_up():
    """Those that found no room go with the next one; the end of the server ends them."""
    ours = EngineEnd()
    theirs = ServerEnd(socket.dup(ours.descriptor))
    ours.inherited()
    for number in range(5000):
        ours.forget(number)
    notes = theirs.notes()
    seen = [next(notes)]
    while seen[-1] < 4999:
        ours.forget(5000 + seen[-1])
        seen.append(next(notes))
    assert seen == list(range(5000))
    connection = Connection(ours.connect(threads=3))
    while isinstance(note := next(notes), int):
        pass
    theirs_of_it, threads = note
    assert threads == 3
    theirs_of_it.send("hello")
    assert connection.receive() == ("hello", None)
    ours.close()
    assert list(notes) == []
    connection.close()
    theirs_of_it.close()


async def test_an_exchange_is_answered_in_whatever_order():
    """Questions larger than a socket holds, answers that come in pieces and several at once; then the end."""
    ours, theirs = socket.socketpair()
    ended = asyncio.Event()
    answers: asyncio.Queue[object] = asyncio.Queue()
    exchange = Exchange(ours, ended.set)
    payloads = [bytes([number]) * size for number, size in enumerate((1, 3_000_000, 0, 20_000))]
    for payload in payloads:
        pieces = [payload[: len(payload) // 2], memoryview(payload)[len(payload) // 2 :]]
        exchange.ask("read", (len(payload),), pieces, answers.put_nowait)
    exchange.ask("nothing", (), None, answers.put_nowait)
    other = Connection(theirs)
    asked = [await asyncio.to_thread(other.receive) for _ in range(5)]
    assert [content for _, content in asked] == [*payloads, None]
    assert [message[1:] for message, _ in asked] == [*(("read", (len(p),)) for p in payloads), ("nothing", ())]
    answer = b"".join(bytes(_framed((message[0], len(content or b"")))) for message, content in reversed(asked))
    for at in range(0, len(answer), 7):
        theirs.send(answer[at : at + 7])
        await asyncio.sleep(0)
    assert [await answers.get() for _ in range(5)] == [0, 20_000, 0, 3_000_000, 1]
    assert not ended.is_set()
    exchange.ask("never", (), None, answers.put_nowait)
    other.close()
    await ended.wait()
    exchange.ask("late", (), None, answers.put_nowait)
    assert answers.empty()


async def test_shared_pixels_come_as_the_same_memory():
    """Between bytes that have to wait for room; they are let go of once they are sent."""
    ours, theirs = socket.socketpair()
    exchange, other = Exchange(ours, lambda: None), Connection(theirs)
    pixels = SharedPixels.allocated(100_000).start(50_000)
    sent = weakref.ref(pixels)
    same = os.dup(pixels.descriptor)
    for payload in ([bytes(1_000_000)], pixels, [b"after"], pixels, None):
        exchange.ask("read", (), payload, lambda answer: None)
    del pixels, payload
    received = [(await asyncio.to_thread(other.receive))[1] for _ in range(5)]
    assert (received[0], received[2], received[4]) == (bytes(1_000_000), b"after", None)
    for shared in (received[1], received[3]):
        assert len(shared) == 50_000
        assert os.fstat(shared.descriptor).st_ino == os.fstat(same).st_ino
    await until(lambda: sent() is None)
    os.close(same)
    exchange.close()
    other.close()


def test_pixels_are_let_go_of_once_they_are_seen(host, stages, monkeypatch):
    """They would stay in memory until the next call."""
    ours, theirs = (Connection(end) for end in socket.socketpair())
    answering = threading.Thread(target=converse, args=(host, theirs))
    answering.start()
    seen = []
    monkeypatch.setattr(stages, "sketch", lambda image, options: seen.append(weakref.ref(image.pixels)))
    ours.send((1, "sketch", (RawImage(b"", 1, 1, PixelFormat.GRAY8), OPTIONS)), SharedPixels.allocated(1))
    assert ours.receive()[0] == (1, None)
    assert seen[0]() is None
    ours.close()
    answering.join(30)


def test_calls_are_answered_until_the_server_has_gone(stages):
    """The host in front of a connection: values, errors, unknown methods."""
    ours, theirs = (Connection(end) for end in socket.socketpair())
    answering = threading.Thread(target=converse, args=(EngineHost(lambda _: stages), theirs))
    answering.start()
    ours.send((1, "start", ("",)))
    (number, models), _ = ours.receive()
    assert (number, [model.name for model in models]) == (1, ["fake", "other"])
    ours.send((2, "sketch", (None, OPTIONS)), b"row")
    (number, sketch), _ = ours.receive()
    assert (number, sketch.tobytes()) == (2, b"row")
    ours.send((3, "nothing", ()))
    assert isinstance(ours.receive()[0][1], AttributeError)
    ours.close()
    answering.join(30)
    assert not answering.is_alive()


def test_an_answer_that_cannot_be_sent_keeps_nobody_waiting(host, stages, monkeypatch):
    """Whoever waits for it is told, and the connection stays."""
    monkeypatch.setattr(stages, "sketch", lambda image, options: threading.Lock())
    ours, theirs = (Connection(end) for end in socket.socketpair())
    answering = threading.Thread(target=converse, args=(host, theirs))
    answering.start()
    ours.send((1, "sketch", (None, OPTIONS)), b"row")
    assert "what sketch returned cannot be sent" in str(ours.receive()[0][1])
    ours.send((2, "models", ()))
    assert len(ours.receive()[0][1]) == 2
    ours.close()
    answering.join(30)


def _framed(message: object) -> bytes:
    """As Connection sends it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Connection(ours).send(message)
        return theirs.recv(1 << 16)
