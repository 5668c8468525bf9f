"""What callers get when a server has more to do than it can: goodput, refusals, and what is left to the well-behaved.

Starts a server of its own on this machine. First the rate that it sustains, by a closed loop on line images. Then open
loops at multiples of that rate, every call with a deadline of four times the median latency at half the rate: goodput
is what is answered in time. Then a stream of a fifth of the rate, alone, and while another client, a process of its
own, floods the server with line images, or with pages. Takes a minute; the senders run on the same cores.

Run: python -m bench.serving_overload [--json]
Exit status 1: work was begun after its deadline.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import subprocess
import sys
import time
import urllib.request
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import glyphwire

from bench.tables import markdown
from server.commands_demo import ServerProcess
from server.load import Kind, Load, Plan, Tally
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
_LINE, _PAGE = _DATA / "line_amount.png", _DATA / "page_small.jpg"
_OPTIONS = glyphwire.RecognizeOptions(mode=glyphwire.Mode.LINE)

_CALIBRATION_S = 4.0
_OVERLOAD_S = 5.0
_STREAM_S = 7.0
_MULTIPLES = (0.8, 1.0, 1.5, 2.0, 3.0)
_DEADLINE_MEDIANS = 4
_STREAM_SHARE = 0.2
_FLOODS = {
    "line images, three times the rate": [str(_LINE), "--mode=line", "--rate={three_rates}"],
    "pages, 16 unanswered": [str(_PAGE), "--mode=page", "--concurrency=16"],
}


@dataclass(frozen=True, slots=True)
class Overload:
    """One open loop. Rates are per second; refused: share of the calls; refusal_p99_ms: how soon they were told."""

    rate: float
    goodput: float
    refused: float
    late: float
    p50_ms: float
    p99_ms: float
    refusal_p99_ms: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """Latency of the frames of a well-behaved stream. beside: what another client did meanwhile."""

    beside: str
    p50_ms: float
    p99_ms: float
    flood_per_s: float


@dataclass(slots=True)
class _Watched:
    """A client whose refusals are timed."""

    client: glyphwire.AsyncOcrClient
    refusals: list[float] = field(default_factory=list)

    async def recognize(
        self, image: bytes, options: glyphwire.RecognizeOptions, *, timeout_s: float
    ) -> glyphwire.Recognition:
        """As AsyncOcrClient's."""
        started = time.perf_counter()
        try:
            return await self.client.recognize(image, options, timeout_s=timeout_s)
        except glyphwire.OcrError as error:
            if error.reason is glyphwire.ErrorReason.QUEUE_FULL:
                self.refusals.append(time.perf_counter() - started)
            raise


def main() -> int:
    """Returns 1 when work was begun after its deadline."""
    flags = _flags()
    with _server(flags) as (target, metrics):
        rate, deadline_s, overloads, fairness = asyncio.run(_measure(target))
        late_starts = _metric(metrics, "glyphwire_late_starts_total")
    if flags.json:
        found = {"rate": rate, "deadline_ms": 1e3 * deadline_s, "late_starts": late_starts}
        print(json.dumps(found | {"overload": [*map(asdict, overloads)], "fairness": [*map(asdict, fairness)]}))
    else:
        print(
            f"Sustained: {rate:.0f} lines a second; deadline {1e3 * deadline_s:.0f} ms; late starts: {late_starts:.0f}."
        )
        print(_overload_table(rate, overloads))
        print(_fairness_table(fairness))
    return int(late_starts > 0)


async def _measure(target: str) -> tuple[float, float, list[Overload], list[Fairness]]:
    async with glyphwire.AsyncOcrClient(target, max_attempts=1) as client:
        calibration = await _run(client, "unary", _CALIBRATION_S, concurrency=16)
        rate = calibration.read / (calibration.last - calibration.begin)
        half = await _run(client, "unary", _CALIBRATION_S, rate=rate / 2)
        deadline_s = _DEADLINE_MEDIANS * _quantile(half.latency, 0.5)
        overloads = [await _overload(client, multiple * rate, deadline_s) for multiple in _MULTIPLES]
        fairness = [await _fairness(client, target, rate, beside) for beside in ("", *_FLOODS)]
    return rate, deadline_s, overloads, fairness


async def _overload(client: glyphwire.AsyncOcrClient, rate: float, deadline_s: float) -> Overload:
    watched = _Watched(client)
    tally = await _run(watched, "unary", _OVERLOAD_S, rate=rate, deadline_s=deadline_s)
    refused = sum(count for (_, reason), count in tally.failed.items() if reason == "QUEUE_FULL")
    return Overload(
        rate=rate,
        goodput=tally.in_time / _OVERLOAD_S,
        refused=refused / tally.sent,
        late=1 - (refused + tally.in_time) / tally.sent,
        p50_ms=1e3 * _quantile(tally.latency, 0.5),
        p99_ms=1e3 * _quantile(tally.latency, 0.99),
        refusal_p99_ms=1e3 * _quantile(watched.refusals, 0.99),
    )


async def _fairness(client: glyphwire.AsyncOcrClient, target: str, rate: float, beside: str) -> Fairness:
    flood = None
    if beside:
        arguments = [argument.format(three_rates=3 * rate) for argument in _FLOODS[beside]]
        command = [
            str(Path(sys.executable).with_name("glyphwire")),
            "bench",
            f"--server={target}",
            "--json",
            *arguments,
        ]
        times = ["--warmup=2", f"--duration={_STREAM_S}"]
        flood = await asyncio.create_subprocess_exec(*command, *times, stdout=subprocess.PIPE)
    tally = await _run(client, "stream", _STREAM_S, rate=_STREAM_SHARE * rate, warmup_s=3.0 if beside else 1.0)
    report = json.loads((await flood.communicate())[0]) if flood else {"images_per_s": 0.0}
    p50_ms, p99_ms = (1e3 * _quantile(tally.latency, share) for share in (0.5, 0.99))
    return Fairness(beside or "nothing", p50_ms, p99_ms, report["images_per_s"])


async def _run(client: glyphwire.AsyncOcrClient | _Watched, kind: Kind, seconds: float, **plan: Any) -> Tally:  # noqa: ANN401 - fields of Plan
    caller = cast(glyphwire.AsyncOcrClient, client)  # load of calls needs nothing but recognize()
    return await Load([caller], Plan(kind, [_LINE.read_bytes()], _OPTIONS, seconds, **{"warmup_s": 1.0, **plan})).run()


@contextmanager
def _server(flags: Namespace) -> Iterator[tuple[str, str]]:
    """Address of a server, and that of its metrics."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    with ServerProcess(load_settings(flags), flags=[f"--metrics-listen={metrics}"]) as server:
        with glyphwire.OcrClient(server.target) as client:
            server.wait_ready(client)
        yield server.target, f"http://{metrics}/metrics"


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(url) as response:  # noqa: S310 - ours
        rows = response.read().decode().splitlines()
    return next(float(row.split()[1]) for row in rows if row.startswith(f"{name} "))


def _quantile(seconds: Sequence[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.nan


def _overload_table(rate: float, overloads: Sequence[Overload]) -> str:
    header = ("offered", "per second", "goodput", "refused", "late", "p50, ms", "p99, ms", "refusal p99, ms")
    rows = [
        (
            f"{run.rate / rate:.1f}",
            *(f"{value:.0f}" for value in (run.rate, run.goodput)),
            *(f"{value:.1%}" for value in (run.refused, run.late)),
            *(f"{value:.1f}" for value in (run.p50_ms, run.p99_ms, run.refusal_p99_ms)),
        )
        for run in overloads
    ]
    return markdown(header, rows)


def _fairness_table(fairness: Sequence[Fairness]) -> str:
    header = ("beside the stream", "p50, ms", "p99, ms", "p99, times that alone", "read of the flood per second")
    alone = fairness[0].p99_ms
    rows = [
        (run.beside, *(f"{value:.1f}" for value in (run.p50_ms, run.p99_ms, run.p99_ms / alone, run.flood_per_s)))
        for run in fairness
    ]
    return markdown(header, rows)


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.serving_overload", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    add_flags(parser, LOCAL_SETTINGS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
