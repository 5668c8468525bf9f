"""What callers get when a server has more to do than it can: goodput, refusals, and what is left to the well-behaved.

Starts a server of its own on this machine. Each round finds the rate that it sustains, by a closed loop on line images.
Then open loops at multiples of that rate, every call with a deadline of four times the median latency at half the rate:
goodput is what is answered in time. Then a stream of a fifth of the rate, alone, and while another client floods the
server with line images, or with pages. Medians of the rounds: goodput as a share of the rate that was sustained in the
round, latency of a stream as times that of it alone. A round takes a minute. The senders run on the same cores: in Go,
where there is one, else in Python. Beside them stands what a line took of the processors, by process, and for how long
these had nothing to do: when a machine changes its speed, or something else runs on it, it shows there.

Run: python -m bench.serving_overload [--rounds 5] [--sender go] [--json]
Exit status 1: work was begun after its deadline.
"""

from __future__ import annotations

import asyncio
import json
import math
import socket
import sys
import urllib.request
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import glyphwire

from bench.senders import Sender, go_program, has_go, python_program
from bench.serving_children import LINE_MODE, Run, run_load
from bench.tables import markdown
from server.commands_demo import ServerProcess
from server.load import Kind, Plan
from server.load_report import LoadReport
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
_LINE, _PAGE = ((_DATA / name).read_bytes() for name in ("line_amount.png", "page_small.jpg"))
_PAGE_MODE = glyphwire.RecognizeOptions(mode=glyphwire.Mode.PAGE)

_CALIBRATION_S = 3.0
_OVERLOAD_S = 3.0
_STREAM_S = 7.0
_WARMUP_S = 1.0
_AHEAD_S = 2.0
"""A flood begins so long before the stream beside it is measured."""

_MULTIPLES = (0.8, 1.0, 1.5, 2.0, 3.0)
_DEADLINE_MEDIANS = 4
_STREAM_SHARE = 0.2
_FLOOD_MULTIPLE = 3
_FLOOD_PAGES = 16


@dataclass(frozen=True, slots=True)
class Overload:
    """One open loop. Rates are per second.

    of_rate: its goodput, of the rate that was sustained in the round. refused, late: shares of the calls;
    refusal_p99_ms: how soon they were told. front_ms, engine_ms: processor time for each line that was read, of the
    process that answers, refusals included, and of the one that reads; idle: share of the cores.
    """

    multiple: float
    rate: float
    goodput: float
    of_rate: float
    refused: float
    late: float
    p50_ms: float
    p99_ms: float
    refusal_p99_ms: float
    front_ms: float
    engine_ms: float
    idle: float


@dataclass(frozen=True, slots=True)
class Fairness:
    """Latency of the frames of a well-behaved stream.

    beside: what another client did meanwhile. of_alone: its p99, of that alone in the round.
    """

    beside: str
    p50_ms: float
    p99_ms: float
    of_alone: float
    flood_per_s: float


@dataclass(frozen=True, slots=True)
class Round:
    """rate: lines a second that were sustained."""

    rate: float
    deadline_s: float
    overloads: Sequence[Overload]
    fairness: Sequence[Fairness]


def main() -> int:
    """Returns 1 when work was begun after its deadline."""
    flags = _flags()
    with _server(flags) as (server, metrics):
        rounds = asyncio.run(_measure(server, flags))
        late_starts = _metric(metrics, "glyphwire_late_starts_total")
    if flags.json:
        print(json.dumps({"sender": flags.sender, "late_starts": late_starts, "rounds": [*map(asdict, rounds)]}))
    else:
        rates, deadlines = ([getattr(each, name) for each in rounds] for name in ("rate", "deadline_s"))
        print(
            f"Sender in {flags.sender.title()}, {len(rounds)} rounds. Sustained: {median(rates):.0f} lines a second; "
            f"deadline {1e3 * median(deadlines):.0f} ms; late starts: {late_starts:.0f}."
        )
        print(_overload_table([each.overloads for each in rounds]))
        print(_fairness_table([each.fairness for each in rounds]))
    return int(late_starts > 0)


async def _measure(server: ServerProcess, flags: Namespace) -> list[Round]:
    sender = go_program(server.target) if flags.sender == "go" else python_program(server.target)
    return [await _round(server, sender) for _ in range(flags.rounds)]


async def _round(server: ServerProcess, sender: Sender) -> Round:
    calibration = await sender.send(_lines("unary", _CALIBRATION_S, concurrency=16))
    rate = calibration.images_per_s
    half = await sender.send(_lines("unary", _CALIBRATION_S, rate=rate / 2))
    deadline_s = _DEADLINE_MEDIANS * _latency_ms(half, "p50") / 1e3
    runs = [
        await run_load(server, sender, _lines("unary", _OVERLOAD_S, rate=multiple * rate, deadline_s=deadline_s))
        for multiple in _MULTIPLES
    ]
    overloads = [_overload(*run, rate) for run in zip(_MULTIPLES, runs, strict=True)]
    return Round(rate, deadline_s, overloads, await _fairness(sender, rate))


def _overload(multiple: float, run: Run, rate: float) -> Overload:
    report = run.report
    *front_ms, engine_ms = run.process_ms
    goodput = report.goodput_per_s or 0.0
    refused = sum(failure.count for failure in report.failures if failure.reason == "QUEUE_FULL")
    return Overload(
        multiple=multiple,
        rate=multiple * rate,
        goodput=goodput,
        of_rate=goodput / rate,
        refused=refused / report.requests_sent,
        late=1 - (refused + goodput * report.seconds) / report.requests_sent,
        p50_ms=_latency_ms(report, "p50"),
        p99_ms=_latency_ms(report, "p99"),
        refusal_p99_ms=(report.refusal_ms or {}).get("p99", math.nan),
        front_ms=sum(front_ms),
        engine_ms=engine_ms,
        idle=run.idle,
    )


async def _fairness(sender: Sender, rate: float) -> list[Fairness]:
    """Of a stream, alone and beside what is sent over another connection."""
    seconds = _AHEAD_S + _WARMUP_S + _STREAM_S
    floods = {
        "nothing": None,
        "line images, three times the rate": _lines("unary", seconds, rate=_FLOOD_MULTIPLE * rate, warmup_s=0.0),
        "pages, 16 unanswered": Plan("unary", [_PAGE], _PAGE_MODE, seconds, concurrency=_FLOOD_PAGES),
    }
    found: list[Fairness] = []
    for beside, plan in floods.items():
        flood = asyncio.create_task(sender.send(plan)) if plan else None
        await asyncio.sleep(_AHEAD_S if plan else 0.0)
        report = await sender.send(_lines("stream", _STREAM_S, rate=_STREAM_SHARE * rate, concurrency=1))
        p50_ms, p99_ms = (_latency_ms(report, share) for share in ("p50", "p99"))
        alone_ms = found[0].p99_ms if found else p99_ms
        flood_per_s = (await flood).images_per_s if flood else 0.0
        found.append(Fairness(beside, p50_ms, p99_ms, p99_ms / alone_ms, flood_per_s))
    return found


def _lines(kind: Kind, seconds: float, **plan: Any) -> Plan:  # noqa: ANN401 - fields of Plan
    return Plan(kind, [_LINE], LINE_MODE, seconds, **{"warmup_s": _WARMUP_S, **plan})


def _latency_ms(report: LoadReport, share: str) -> float:
    return (report.latency_ms or {}).get(share, math.nan)


@contextmanager
def _server(flags: Namespace) -> Iterator[tuple[ServerProcess, str]]:
    """A server, and the address of its metrics."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        metrics = f"127.0.0.1:{free.getsockname()[1]}"
    with ServerProcess(load_settings(flags), flags=[f"--metrics-listen={metrics}"]) as server:
        with glyphwire.OcrClient(server.target) as client:
            server.wait_ready(client)
        yield server, f"http://{metrics}/metrics"


def _metric(url: str, name: str) -> float:
    with urllib.request.urlopen(url) as response:  # noqa: S310 - ours
        rows = response.read().decode().splitlines()
    return next(float(row.split()[1]) for row in rows if row.startswith(f"{name} "))


def _overload_table(rounds: Sequence[Sequence[Overload]]) -> str:
    shares = ("goodput per second", "of the sustained", "of the best", "refused", "late")
    taken = ("front + engine, CPU ms per line", "cores idle")
    header = ("offered", *shares, "p50, ms", "p99, ms", "refusal p99, ms", *taken)
    runs = [*zip(*rounds, strict=True)]
    middles = [{name: median(getattr(run, name) for run in each) for name in Overload.__slots__} for each in runs]
    best = max(middle["of_rate"] for middle in middles)
    rows = [
        (
            f"{middle['multiple']:.1f}",
            f"{middle['goodput']:.0f}",
            f"{middle['of_rate']:.0%} ({', '.join(f'{run.of_rate:.0%}' for run in each)})",
            f"{middle['of_rate'] / best:.0%}",
            *(f"{middle[name]:.1%}" for name in ("refused", "late")),
            *(f"{middle[name]:.1f}" for name in ("p50_ms", "p99_ms", "refusal_p99_ms")),
            f"{middle['front_ms']:.1f} + {middle['engine_ms']:.1f}",
            f"{middle['idle']:.0%}",
        )
        for middle, each in zip(middles, runs, strict=True)
    ]
    return markdown(header, rows)


def _fairness_table(rounds: Sequence[Sequence[Fairness]]) -> str:
    header = (
        "beside the stream",
        "p50, ms",
        "p99, ms",
        "p99, times that alone",
        "of each round",
        "read of the flood per second",
    )
    rows = []
    for runs in zip(*rounds, strict=True):
        p50_ms, p99_ms, of_alone, flood_per_s = (
            median(getattr(run, name) for run in runs) for name in ("p50_ms", "p99_ms", "of_alone", "flood_per_s")
        )
        times = ", ".join(f"{run.of_alone:.1f}" for run in runs)
        measured = (f"{p50_ms:.1f}", f"{p99_ms:.1f}", f"{of_alone:.1f}", times, f"{flood_per_s:.1f}")
        rows.append((runs[0].beside, *measured))
    return markdown(header, rows)


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.serving_overload", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="[5]")
    parser.add_argument("--sender", choices=("go", "python"), help="who sends [go where there is one]")
    parser.add_argument("--json", action="store_true")
    add_flags(parser, LOCAL_SETTINGS)
    flags = parser.parse_args()
    flags.sender = flags.sender or ("go" if has_go() else "python")
    return flags


if __name__ == "__main__":
    sys.exit(main())
