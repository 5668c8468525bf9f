"""What the process that reads does by itself, without the process."""

from __future__ import annotations

import pickle
import socket
import threading

import pytest

from ocr_core.types import RecognizeOptions
from server.engine_link import Connection, EngineEnd, ServerEnd
from server.engine_process import EngineHost, converse, told
from server.errors import EngineLost

OPTIONS = pickle.dumps(RecognizeOptions())


@pytest.fixture
def host(stages) -> EngineHost:
    """In front of the fake pipeline, started."""
    host = EngineHost(lambda _: stages)
    host.start("")
    return host


def test_a_lone_line_is_read_before_it_is_asked_for(host, stages):
    """And not once more when it is."""
    host.prepare(1, None, OPTIONS, b"line")
    with host.busy():
        host.read_ahead(1)
    assert stages.batches == [["line"]]
    read = host.read_lines([(1, 0)])
    assert [line.text for line in read[1].lines] == ["line"]
    assert stages.batches == [["line"]]


def test_nothing_is_read_ahead_while_there_is_other_work(host, stages):
    """Lines that wait elsewhere may come first. Nor are images of several lines, or those that are forgotten."""
    for number, image in enumerate((b"line", b"one\ntwo", b"gone")):
        host.prepare(number, None, OPTIONS, image)
    host.forget(2)
    with host.busy():
        with host.busy():
            host.read_ahead(0)
        host.read_ahead(1)
        host.read_ahead(2)
    assert stages.batches == []


def test_an_error_of_reading_ahead_is_told_to_who_asks(host):
    """It is read again then."""
    host.prepare(1, None, OPTIONS, b"poison")
    with host.busy():
        host.read_ahead(1)
    with pytest.raises(ZeroDivisionError):
        host.read_lines([(1, 0)])
    host.prepare(2, None, OPTIONS, b"shortfall")
    with pytest.raises(RuntimeError, match="0 came out"):
        host.read_lines([(2, 0)])


def test_what_is_read_or_forgotten_is_not_kept(host):
    """Its pixels would stay for ever."""
    host.prepare(1, None, OPTIONS, b"read")
    host.prepare(2, None, OPTIONS, b"forgotten")
    host.read_lines([(1, 0)])
    host.forget(2)
    host.forget(3)
    for number in (1, 2):
        with pytest.raises(EngineLost):
            host.read_lines([(number, 0)])


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
    connection = ours.connect()
    while not isinstance(note := next(notes), Connection):
        pass
    note.send("hello")
    assert connection.receive() == ("hello", None)
    ours.close()
    assert list(notes) == []
    connection.close()
    note.close()


def test_calls_are_answered_until_the_server_has_gone(stages):
    """The host in front of a connection: values, errors, unknown methods."""
    ours, theirs = (Connection(end) for end in socket.socketpair())
    answering = threading.Thread(target=converse, args=(EngineHost(lambda _: stages), theirs))
    answering.start()
    ours.send(("start", ("",)))
    assert [model.name for model in ours.receive()[0]] == ["fake", "other"]
    ours.send(("sketch", (None, OPTIONS)), b"row")
    assert ours.receive()[0].tobytes() == b"row"
    ours.send(("nothing", ()))
    assert isinstance(ours.receive()[0], AttributeError)
    ours.close()
    answering.join(30)
    assert not answering.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_an_answer_that_cannot_be_sent_keeps_nobody_waiting(host, stages, monkeypatch):
    """Whoever waits for it sees the end of the connection."""
    monkeypatch.setattr(stages, "sketch", lambda image, options: threading.Lock())
    ours, theirs = (Connection(end) for end in socket.socketpair())
    answering = threading.Thread(target=converse, args=(host, theirs), daemon=True)
    answering.start()
    ours.send(("sketch", (None, OPTIONS)), b"row")
    with pytest.raises(EOFError):
        ours.receive()
    answering.join(30)
    ours.close()
