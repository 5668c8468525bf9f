"""Is a call lost when a process of the server is killed, or replaced, or the server is stopped?

Starts a server of two processes on this machine. Four clients that try again read the test lines over ever new
connections, a fifth reads a stream that it resumes. Meanwhile one process is killed (kill -9), then the other, then all
are replaced (SIGHUP), then the server is stopped (SIGTERM). Until then no call may fail, no text may change, and each
frame must have one result, in order. What runs at the stop signal must be answered, or refused as UNAVAILABLE, and the
server must end with status 0. Takes half a minute, 60 s at most. Needs Linux's /proc.

Run: python -m bench.restarts [--json]
Exit status 1: a lost call, a changed text, a frame without its result, or another status.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import glyphwire
import grpc

from bench.tables import markdown
from server.commands_demo import ServerProcess
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_LINES = sorted((Path(__file__).resolve().parent.parent / "tests" / "data").glob("line_*"))
_LINE = glyphwire.RecognizeOptions(mode=glyphwire.Mode.LINE)
_CLIENTS = 4
_PROCESSES = 2
_CALLS_PER_CONNECTION = 10
_TIMEOUT_S = 15.0
_BETWEEN_S = 2.0
_POLL_S = 0.05
_LIMIT_S = 60
_LISTEN_STATE = "0A"

Texts = Mapping[Path, str]
"""What each line image says."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call or frame: when it began and ended, and what was wrong with it, if anything was."""

    began: float
    ended: float
    problem: str = ""
    was_refused: bool = False


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, how long it took until all processes served again, and what callers saw of it meanwhile."""

    name: str
    seconds: float
    calls: int
    frames: int
    lost: int
    longest_ms: float


class Reader(threading.Thread):
    """Reads lines until it is told to stop."""

    def __init__(self, address: str, texts: Texts) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._texts = texts
        self._is_stopped = threading.Event()
        self.calls: list[Call] = []

    def stop(self) -> None:
        """After what it does now."""
        self._is_stopped.set()

    def _note(self, path: Path, began: float, outcome: glyphwire.Recognition | glyphwire.OcrError) -> None:
        ended = time.monotonic()
        if isinstance(outcome, glyphwire.OcrError):
            refused = outcome.code is grpc.StatusCode.UNAVAILABLE
            self.calls.append(Call(began, ended, f"{path.name}: {outcome}", refused))
        elif outcome.text != self._texts[path]:
            self.calls.append(Call(began, ended, f"{path.name}: {outcome.text!r}, was {self._texts[path]!r}"))
        else:
            self.calls.append(Call(began, ended))


class Caller(Reader):
    """Makes unary calls, some over each connection."""

    def run(self) -> None:
        """Runs in the thread."""
        paths = itertools.cycle(_LINES)
        while not self._is_stopped.is_set():
            with glyphwire.OcrClient(self._address, timeout_s=_TIMEOUT_S, max_attempts=5) as client:
                for path in itertools.islice(paths, _CALLS_PER_CONNECTION):
                    self._read(client, path)

    def _read(self, client: glyphwire.OcrClient, path: Path) -> None:
        if self._is_stopped.is_set():
            return
        began = time.monotonic()
        try:
            self._note(path, began, client.recognize(path, _LINE))
        except glyphwire.OcrError as error:
            self._note(path, began, error)


class Streamer(Reader):
    """Reads one stream, and resumes it."""

    def run(self) -> None:
        """Runs in the thread."""
        began = time.monotonic()
        with glyphwire.OcrClient(self._address) as client:
            for number, result in enumerate(client.stream(self._frames(), _LINE, resume=True)):
                path = _LINES[number % len(_LINES)]
                assert not isinstance(result.outcome, glyphwire.FrameDropped)
                self._note(path, began, result.outcome)
                if result.frame_id != number:
                    self.calls.append(Call(began, time.monotonic(), f"frame {result.frame_id} instead of {number}"))
                began = time.monotonic()

    def _frames(self) -> Iterator[Path]:
        for path in itertools.cycle(_LINES):
            if self._is_stopped.is_set():
                return
            yield path


def main() -> int:
    """Returns 1 when a call is lost or the server does not end well."""
    flags = _flags()
    signal.signal(signal.SIGALRM, _stop_late)
    signal.alarm(_LIMIT_S)
    with ServerProcess(load_settings(flags), _PROCESSES) as server:
        with glyphwire.OcrClient(server.target, timeout_s=_TIMEOUT_S) as client:
            server.wait_ready(client)
            texts = {path: client.recognize(path, _LINE).text for path in _LINES}
        _wait_serving(server, set())
        callers = [Caller(server.target, texts) for _ in range(_CLIENTS)]
        streamer = Streamer(server.target, texts)
        for reader in (*callers, streamer):
            reader.start()
        time.sleep(_BETWEEN_S)
        events = [_watched(name, kill, server, callers, streamer) for name, kill in _EVENTS]
        streamer.stop()
        streamer.join()
        before, frames = [call for caller in callers for call in caller.calls], streamer.calls
        stopped_at = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        for caller in callers:
            caller.stop()
        for caller in callers:
            caller.join()
    signal.alarm(0)
    problems = [call.problem for call in (*before, *frames) if call.problem]
    last = [call for caller in callers for call in caller.calls if call.ended > stopped_at]
    problems += [call.problem for call in last if call.problem and not call.was_refused]
    refused = sum(call.was_refused for call in last)
    if flags.json:
        stop = {"answered": len(last) - refused, "refused": refused, "status": server.status}
        print(json.dumps({"events": [asdict(event) for event in events], "stop": stop, "problems": problems}))
    else:
        print(_report(events, problems))
        print(f"\nAt SIGTERM {len(last)} calls ran: {len(last) - refused} answered, {refused} refused as UNAVAILABLE.")
        print(f"The server ended with status {server.status}.")
    return int(bool(problems) or server.status != 0)


def _kill_oldest(server: ServerProcess) -> set[int]:
    """Returns the processes that have to go."""
    victim = min(_processes(server))
    os.kill(victim, signal.SIGKILL)
    return {victim}


def _replace_all(server: ServerProcess) -> set[int]:
    old = _processes(server)
    os.kill(server.pid, signal.SIGHUP)
    return old


_EVENTS = (
    ("kill -9 of a process", _kill_oldest),
    ("kill -9 of the other", _kill_oldest),
    ("SIGHUP, all replaced", _replace_all),
)


def _watched(name: str, act: object, server: ServerProcess, callers: Sequence[Caller], streamer: Streamer) -> Event:
    assert callable(act)
    began = time.monotonic()
    _wait_serving(server, act(server))
    seconds = time.monotonic() - began
    time.sleep(_BETWEEN_S)
    calls = [call for caller in callers for call in caller.calls if call.ended > began]
    frames = [call for call in streamer.calls if call.ended > began]
    longest_s = max(call.ended - call.began for call in (*calls, *frames))
    lost = sum(bool(call.problem) for call in (*calls, *frames))
    return Event(name, seconds, len(calls), len(frames), lost, 1e3 * longest_s)


def _wait_serving(server: ServerProcess, old: set[int]) -> None:
    """Until none of the old processes is left, and as many listen as there should be."""
    port = int(server.target.rpartition(":")[2])
    while _processes(server) & old or _listeners(port) != _PROCESSES:
        time.sleep(_POLL_S)


def _processes(server: ServerProcess) -> set[int]:
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text(encoding="ascii")
    return set(map(int, children.split()))


def _listeners(port: int) -> int:
    """Sockets that listen at a port of this machine."""
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path("/proc/net", name).read_text("ascii").splitlines()]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == _LISTEN_STATE for row in rows)


def _report(events: Sequence[Event], problems: Sequence[str]) -> str:
    header = ("event", "all serve again after, s", "calls", "frames", "lost", "longest call, ms")
    rows = [
        (event.name, f"{event.seconds:.1f}", event.calls, event.frames, event.lost, f"{event.longest_ms:.0f}")
        for event in events
    ]
    return "\n".join([markdown(header, rows), *problems[:5]])


def _stop_late(*_: object) -> None:
    raise TimeoutError(f"not done after {_LIMIT_S} s")


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.restarts", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    add_flags(parser, LOCAL_SETTINGS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
