"""Does a change make the server faster? This checkout and others of this repository, in turns.

Each serves from its own folder with its own environment (`make` there first), all are up at the same time, and the
callers are the same: calls and frames of a stream, one at a time and 16, in Go where there is one. Machines change
their speed within seconds, so versions are compared round by round; a factor is the median of those of the rounds, with
its quartiles. A round takes 20 seconds for two versions.

Run: python -m bench.serving_versions ../other-checkout [DIR ...] [--rounds 8] [--images DIR] [--json]
"""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import cast

import glyphwire

from bench.rounds import ratios
from bench.senders import PythonSender, Sender, go_program, has_go
from bench.serving_children import ROOT, Child, Run, add_images, glyphwire_child, line_crops, line_plan, run_load
from bench.tables import markdown
from server.load import Kind

_RUN_S = 2.0
_WAYS: Sequence[tuple[Kind, int]] = (("unary", 1), ("stream", 1), ("unary", 16), ("stream", 16))


@dataclass(slots=True)
class Samples:
    """Of one version, called in one way: one of each for every round. ms: processor time a line, by process."""

    lines_per_s: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    process_ms: list[Sequence[float]] = field(default_factory=list)

    def add(self, run: Run) -> None:
        """One more round."""
        latency_ms = run.report.latency_ms
        assert latency_ms
        assert not run.report.images_failed, run.report.failures
        self.lines_per_s.append(run.report.images_per_s)
        self.p50_ms.append(latency_ms["p50"])
        self.p99_ms.append(latency_ms["p99"])
        self.process_ms.append(run.process_ms)


_Found = Mapping[tuple[Kind, int], Mapping[Path, Samples]]


def main() -> int:
    """Returns 0: what a change is worth is for people to judge."""
    flags = _flags()
    versions = [ROOT, *(folder.resolve() for folder in flags.others)]
    with ExitStack() as stack:
        children = {root: stack.enter_context(glyphwire_child(root=root)) for root in versions}
        found = asyncio.run(_measure(flags, children))
    if flags.json:
        rows = [
            {"kind": kind, "concurrency": at_once, "version": str(root), **_fields(samples)}
            for (kind, at_once), by_version in found.items()
            for root, samples in by_version.items()
        ]
        print(json.dumps(rows))
    else:
        print(_table(found))
    return 0


async def _measure(flags: Namespace, children: Mapping[Path, Child]) -> _Found:
    images = line_crops(flags)
    found: dict[tuple[Kind, int], dict[Path, Samples]] = {way: defaultdict(Samples) for way in _WAYS}
    async with AsyncExitStack() as stack:
        senders = {root: _sender(child) for root, child in children.items()}
        for sender in senders.values():
            stack.push_async_callback(sender.close)
        for _ in range(flags.rounds):
            for kind, at_once in _WAYS:
                plan = line_plan(kind, images, _RUN_S, at_once, warmup_s=0.4)
                for root, child in children.items():
                    found[kind, at_once][root].add(await run_load(child, senders[root], plan))
    return found


def _sender(child: Child) -> Sender:
    if has_go():
        return go_program(child.target)
    return PythonSender(glyphwire.AsyncOcrClient(child.target, max_attempts=1))


def _fields(samples: Samples) -> dict[str, object]:
    return {name: getattr(samples, name) for name in cast(Sequence[str], Samples.__slots__)}


def _table(found: _Found) -> str:
    header = ("requests", "at once", "version", "lines per second", "of this", "p50, ms", "p99, ms", "CPU, ms per line")
    rows = [
        (
            kind,
            at_once,
            root,
            f"{median(samples.lines_per_s):.0f}",
            f"{ratios(samples.lines_per_s, by_version[ROOT].lines_per_s):.2f}",
            *(f"{median(values):.1f}" for values in (samples.p50_ms, samples.p99_ms)),
            " + ".join(f"{median(values):.2f}" for values in zip(*samples.process_ms, strict=True)),
        )
        for (kind, at_once), by_version in found.items()
        for root, samples in by_version.items()
    ]
    return markdown(header, rows)


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.serving_versions", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("others", nargs="+", type=Path, metavar="DIR", help="another checkout, ready to serve")
    parser.add_argument("--rounds", type=int, default=8, metavar="N", help="[8]")
    parser.add_argument("--json", action="store_true")
    add_images(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
