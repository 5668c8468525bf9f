"""Does a server stay well under mixed load with callers that change their minds?

Starts a server of its own, and for --minutes sends calls, batches, pages and streams, of which every eighth is given up
at a random moment. Growth is that of the mean of resident memory in the last fifth over that in the fifth after the
warm-up (5 minutes, or a sixth of a shorter run). Nothing else may run: a server that reads fewer pages has less of them
in memory.

Run: python -m bench.serving_soak [--minutes 30] [--images DIR] [--json]
Exit status 1: a failure that no caller had caused, growth of 3 % or more, or a server that did not end well.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import glyphwire

from bench.serving_children import LINE_MODE, PAGE, Child, add_images, glyphwire_child, line_crops
from bench.tables import markdown

_CANCELLED = 1 / 8
_CALLERS = {"unary": 3, "batch": 1, "page": 1, "stream": 2}
_BATCH = 8
_FRAMES = 20
_TIMEOUT_S = 60.0
_SAMPLE_S = 0.7
"""Out of step with the server, which gives back what pages have taken, 18 MiB, every five seconds: read every five
seconds as well, they are always there, or never."""
_WARM_S = 300.0
_MOST_GROWTH = 0.03


@dataclass(slots=True)
class Soak:
    """What came of it. Counts are of requests; failures: by what was sent, status and reason. rss: time and bytes."""

    answered: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    rss: list[tuple[float, int]] = field(default_factory=list)

    def growth(self) -> tuple[float, float, float]:
        """Resident MiB after the warm-up and at the end, and the growth as a share."""
        seconds = self.rss[-1][0]
        warm_s = min(_WARM_S, seconds / 6)
        part_s = (seconds - warm_s) / 5
        first = fmean(size for when, size in self.rss if warm_s <= when <= warm_s + part_s)
        last = fmean(size for when, size in self.rss if when >= seconds - part_s)
        return first / 2**20, last / 2**20, last / first - 1


class Callers:
    """Clients of one server until the time is over."""

    def __init__(self, client: glyphwire.AsyncOcrClient, lines: Sequence[bytes], until: float, seed: int) -> None:
        self._client = client
        self._lines = itertools.cycle(lines)
        self._page = PAGE.read_bytes()
        self._until = until
        self._random = random.Random(seed)
        self.soak = Soak()

    async def run(self) -> None:
        """All of them."""
        send: dict[str, Callable[[], Awaitable[None]]] = {
            "unary": self._unary,
            "batch": self._batch,
            "page": self._read_page,
            "stream": self._stream,
        }
        async with asyncio.TaskGroup() as group:
            for kind, count in _CALLERS.items():
                for _ in range(count):
                    group.create_task(self._keep(kind, send[kind]))

    async def _keep(self, kind: str, send: Callable[[], Awaitable[None]]) -> None:
        usual_s = 0.1
        while time.monotonic() < self._until:
            limit_s = self._random.uniform(0, 2 * usual_s) if self._random.random() < _CANCELLED else None
            started = time.monotonic()
            try:
                async with asyncio.timeout(limit_s):
                    await send()
            except TimeoutError:
                self.soak.cancelled[kind] += 1
            except glyphwire.OcrError as error:
                self._note(kind, error)
            else:
                self.soak.answered[kind] += 1
                usual_s += (time.monotonic() - started - usual_s) / 8

    async def _unary(self) -> None:
        await self._client.recognize(next(self._lines), LINE_MODE, timeout_s=_TIMEOUT_S)

    async def _read_page(self) -> None:
        await self._client.recognize(self._page, timeout_s=_TIMEOUT_S)

    async def _batch(self) -> None:
        images = list(itertools.islice(self._lines, _BATCH))
        for outcome in await self._client.recognize_batch(images, LINE_MODE, timeout_s=_TIMEOUT_S):
            if isinstance(outcome, glyphwire.OcrError):
                self._note("batch", outcome)

    async def _stream(self) -> None:
        frames = itertools.islice(self._lines, _FRAMES)
        async for result in self._results(frames):
            if isinstance(result.outcome, glyphwire.OcrError):
                self._note("stream", result.outcome)

    def _results(self, frames: Iterator[bytes]) -> AsyncIterator[glyphwire.FrameResult]:
        return self._client.stream(frames, LINE_MODE, timeout_s=_TIMEOUT_S)

    def _note(self, kind: str, error: glyphwire.OcrError) -> None:
        self.soak.failures[f"{kind}: {error.code.name} {error.reason.name}"] += 1


def main() -> int:
    """Returns 1 when a limit is exceeded."""
    flags = _flags()
    with glyphwire_child() as child:
        soak = asyncio.run(_soak(child, line_crops(flags), 60 * flags.minutes, flags.seed))
    warm_mib, end_mib, growth = soak.growth()
    if flags.json:
        figures = {"warm_mib": warm_mib, "end_mib": end_mib, "growth": growth, "status": child.status}
        print(
            json.dumps({**figures, "answered": soak.answered, "cancelled": soak.cancelled, "failures": soak.failures})
        )
    else:
        print(_table(soak))
        print(f"\nResident memory {warm_mib:.0f} MiB after the warm-up, {end_mib:.0f} at the end: {growth:+.1%}.")
        print("\n".join(f"{count} failed, {what}" for what, count in soak.failures.items()) or "Nothing failed.")
    return int(bool(soak.failures) or growth >= _MOST_GROWTH or child.status != 0)


async def _soak(child: Child, lines: Sequence[bytes], seconds: float, seed: int) -> Soak:
    started = time.monotonic()
    async with glyphwire.AsyncOcrClient(child.target, max_attempts=1) as client:
        callers = Callers(client, lines, started + seconds, seed)
        running = asyncio.create_task(callers.run())
        while not running.done():
            callers.soak.rss.append((time.monotonic() - started, child.usage().rss_bytes))
            await asyncio.wait([running], timeout=_SAMPLE_S)
        await running
    return callers.soak


def _table(soak: Soak) -> str:
    rows = [(kind, callers, soak.answered[kind], soak.cancelled[kind]) for kind, callers in _CALLERS.items()]
    return markdown(("sent", "callers", "answered", "cancelled"), rows)


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.serving_soak", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30.0, metavar="M", help="at least 1 [30]")
    parser.add_argument("--seed", type=int, default=1, help="[1]")
    parser.add_argument("--json", action="store_true")
    add_images(parser)
    flags = parser.parse_args()
    if flags.minutes < 1:
        parser.error("at least 1 minute")
    return flags


if __name__ == "__main__":
    sys.exit(main())
