"""Does bad input get the documented answer, and does nobody else notice?

Starts a server of its own on this machine. While four clients read the test lines, every kind of bad input is sent,
round after round. Each must get the status and reason that ocr.proto documents; no call of the four may fail, and
every text must stay what it was before the first bad input. Takes ten seconds or so, 25 at most.

Run: python -m bench.faults [--seconds 5] [--json]
Exit status 1: a wrong answer, a failed call or a changed text.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

import glyphwire
import grpc
from glyphwire.v1 import ocr_pb2, ocr_pb2_grpc
from google.rpc import error_details_pb2  # type: ignore[import-untyped]  # ships no marker of its types
from grpc_status import rpc_status  # type: ignore[import-untyped]  # has no stubs

from bench.bad_inputs import Answer, BadInput, bad_inputs
from bench.tables import markdown
from server.commands_demo import ServerProcess
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_LINES = sorted((Path(__file__).resolve().parent.parent / "tests" / "data").glob("line_*"))
_LINE = glyphwire.RecognizeOptions(mode=glyphwire.Mode.LINE)
_CLIENTS = 4
_TIMEOUT_S = 5.0
_LIMIT_S = 25

Texts = Mapping[Path, str]
"""What each line image says."""


@dataclass(slots=True)
class Outcome:
    """Of one kind of bad input. answers: every different one that came."""

    name: str
    expected: Answer
    sent: int = 0
    answers: list[Answer] = field(default_factory=list)

    @property
    def is_right(self) -> bool:
        """Whether nothing but the documented answer came."""
        return self.answers == [self.expected]


@dataclass(slots=True)
class Service:
    """What the well-behaved clients got. failures, changed: a sentence for each."""

    calls: int = 0
    failures: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


class WellBehaved(threading.Thread):
    """A client that reads the lines in turn until `stop` is set."""

    def __init__(self, address: str, texts: Texts, stop: threading.Event) -> None:
        super().__init__()
        self._address = address
        self._texts = texts
        self._stop_asked = stop
        self.service = Service()

    def run(self) -> None:
        """Runs in the thread."""
        # One attempt: another would hide a failure.
        with glyphwire.OcrClient(self._address, timeout_s=_TIMEOUT_S, max_attempts=1) as client:
            while not self._stop_asked.is_set():
                self._read(client, _LINES[self.service.calls % len(_LINES)])

    def _read(self, client: glyphwire.OcrClient, path: Path) -> None:
        self.service.calls += 1
        try:
            text = client.recognize(path, _LINE).text
        except glyphwire.OcrError as error:
            self.service.failures.append(f"{path.name}: {error}")
            return
        if text != self._texts[path]:
            self.service.changed.append(f"{path.name}: {text!r}, was {self._texts[path]!r}")


def main() -> int:
    """Returns 1 when an answer is wrong, a well-behaved call fails or a text changes."""
    flags = _flags()
    signal.signal(signal.SIGALRM, _stop_late)
    signal.alarm(_LIMIT_S)
    with ServerProcess(load_settings(flags)) as server:
        with glyphwire.OcrClient(server.target, timeout_s=_TIMEOUT_S, max_attempts=1) as client:
            server.wait_ready(client)
            texts = {path: client.recognize(path, _LINE).text for path in _LINES}
        outcomes, service = send_all(server.target, texts, flags.seconds)
    signal.alarm(0)
    if flags.json:
        inputs = [asdict(outcome) for outcome in outcomes]
        print(json.dumps({"inputs": inputs, "service": asdict(service), "server_status": server.status}))
    else:
        print(_report(outcomes, service))
    well = all(outcome.is_right for outcome in outcomes) and not service.failures and not service.changed
    return int(not well or server.status != 0)


def send_all(address: str, texts: Texts, seconds: float) -> tuple[list[Outcome], Service]:
    """Send every bad input in turn, for some seconds and at least once, while well-behaved clients are at work."""
    inputs = bad_inputs(_LINES[0].read_bytes(), texts[_LINES[0]])
    outcomes = [Outcome(bad.name, bad.expected) for bad in inputs]
    stop = threading.Event()
    clients = [WellBehaved(address, texts, stop) for _ in range(_CLIENTS)]
    with ExitStack() as stack:
        stub = ocr_pb2_grpc.OcrServiceStub(stack.enter_context(grpc.insecure_channel(address)))
        for client in clients:
            client.start()
            stack.callback(client.join)
        stack.callback(stop.set)
        deadline = time.monotonic() + seconds
        while not outcomes[0].sent or time.monotonic() < deadline:
            for bad, outcome in zip(inputs, outcomes, strict=True):
                _note(outcome, _send(stub, bad))
    return outcomes, _together([client.service for client in clients])


def _send(stub: ocr_pb2_grpc.OcrServiceStub, bad: BadInput) -> Answer:
    try:
        if isinstance(bad.request, ocr_pb2.BatchRecognizeRequest):
            response = stub.BatchRecognize(bad.request, timeout=_TIMEOUT_S)
            return Answer("OK", "; ".join(map(_item, response.results)))
        stub.Recognize(bad.request, timeout=_TIMEOUT_S)
    except grpc.RpcError as error:
        return Answer(error.code().name, _reason(error))
    return Answer("OK")


def _item(result: ocr_pb2.BatchRecognizeResult) -> str:
    if result.WhichOneof("result") == "error":
        return ocr_pb2.ErrorReason.Name(result.error.reason).removeprefix("ERROR_REASON_")
    return "".join(line.text for line in result.recognition.lines)


def _reason(error: grpc.RpcError) -> str:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    found = status is not None and any(detail.Unpack(info) for detail in status.details)
    return info.reason.removeprefix("ERROR_REASON_") if found else ""


def _note(outcome: Outcome, answer: Answer) -> None:
    outcome.sent += 1
    if answer not in outcome.answers:
        outcome.answers.append(answer)


def _together(services: Sequence[Service]) -> Service:
    calls = sum(service.calls for service in services)
    failures = [text for service in services for text in service.failures]
    return Service(calls, failures, [text for service in services for text in service.changed])


def _report(outcomes: Sequence[Outcome], service: Service) -> str:
    rows = [
        (outcome.name, outcome.sent, answer.status, answer.reason, "yes" if answer == outcome.expected else "NO")
        for outcome in outcomes
        for answer in outcome.answers
    ]
    table = markdown(("input", "sent", "status", "reason", "as documented"), rows)
    faults = f"{len(service.failures)} failed, {len(service.changed)} texts changed"
    meanwhile = f"Meanwhile {service.calls} calls by {_CLIENTS} clients: {faults}."
    return "\n".join([table, "", meanwhile, *service.failures[:5], *service.changed[:5]])


def _stop_late(*_: object) -> None:
    raise TimeoutError(f"not done after {_LIMIT_S} s")


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.faults", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long bad input is sent [5]")
    parser.add_argument("--json", action="store_true")
    add_flags(parser, LOCAL_SETTINGS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
