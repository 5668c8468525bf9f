"""What serving costs a line: the server's processor time and a lone caller's wait, over the pipeline in process.

Starts a server of its own. The pipeline in this process, calls and a stream read the same lines in turns, round after
round. Processor time: 16 at once, so that all workers are busy. Latency: one caller, seven lines a turn; the difference
to the pipeline is taken crop by crop, of medians and, as other programs lengthen those, of the least. Takes 45 seconds.

Run: python -m bench.serving_cost [--images DIR] [--rounds 5] [--json]
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from statistics import median

import glyphwire

from bench.senders import PythonSender
from bench.serving_children import LINE_MODE, Child, add_images, glyphwire_child, line_crops, line_plan, run_load
from bench.tables import markdown
from ocr_core.pipeline import Pipeline
from ocr_core.types import Mode, RecognizeOptions
from server.app import build_pipeline
from server.settings import load_settings

_OPTIONS = RecognizeOptions(mode=Mode.LINE)
_CONCURRENCY = 16
_BUSY_S = 1.0
_LONE_S = 20.0
_LONE_CROPS = 7
_KINDS = ("unary", "stream")
_MOST_CPU = {"unary": 1.20, "stream": 1.10}
_MOST_MS = {"unary": 0.6, "stream": 0.4}


@dataclass(slots=True)
class Samples:
    """Of one way to read. cpu_ms: processor time per line, each round; lone_ms: latencies of each crop."""

    cpu_ms: list[float] = field(default_factory=list)
    lone_ms: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one line. *_over: against the pipeline in process, a ratio and a difference."""

    way: str
    cpu_ms: float
    lone_ms: float
    cpu_over: float
    lone_over_ms: float
    least_over_ms: float


def main() -> int:
    """Returns 0: what the figures are worth depends on what else the machine does."""
    flags = _flags()
    settings = load_settings(Namespace())
    images = line_crops(flags)
    pipeline = build_pipeline(settings)
    pipeline.start()
    with glyphwire_child() as child:
        samples = asyncio.run(_measure_cpu(child, pipeline, settings.workers, images, flags.rounds))
        _measure_lone(child, pipeline, images[:_LONE_CROPS], samples)
    pipeline.close()
    costs = [_cost(way, samples) for way in samples]
    if flags.json:
        print(json.dumps([{name: getattr(cost, name) for name in Cost.__slots__} for cost in costs]))
    else:
        size = sum(map(len, images)) / len(images) / 1e3
        print(f"{len(images)} line crops of {size:.0f} KB.\n\n{_table(costs)}")
    return 0


async def _measure_cpu(
    child: Child, pipeline: Pipeline, workers: int, images: Sequence[bytes], rounds: int
) -> Mapping[str, Samples]:
    samples = {way: Samples() for way in ("in process", *_KINDS)}
    async with glyphwire.AsyncOcrClient(child.target, max_attempts=1) as client:
        sender = PythonSender(client)
        for kind in _KINDS:
            await run_load(child, sender, line_plan(kind, images, _BUSY_S, _CONCURRENCY))
        for _ in range(rounds):
            # Nothing else runs in the loop meanwhile.
            samples["in process"].cpu_ms.append(_busy_ms(pipeline, workers, images))
            for kind in _KINDS:
                run = await run_load(child, sender, line_plan(kind, images, _BUSY_S, _CONCURRENCY))
                assert not run.report.images_failed, run.report.failures
                samples[kind].cpu_ms.append(run.cpu_ms)
    return samples


def _busy_ms(pipeline: Pipeline, workers: int, images: Sequence[bytes]) -> float:
    """Processor time per line in milliseconds, as many lines at once as there are workers."""
    until = time.perf_counter() + _BUSY_S

    def read(first: int) -> int:
        number = first
        while time.perf_counter() < until:
            pipeline.recognize(images[number % len(images)], _OPTIONS)
            number += workers
        return (number - first) // workers

    started = time.process_time()
    with ThreadPoolExecutor(workers) as pool:
        lines = sum(pool.map(read, range(workers)))
    return 1e3 * (time.process_time() - started) / lines


def _measure_lone(child: Child, pipeline: Pipeline, images: Sequence[bytes], samples: Mapping[str, Samples]) -> None:
    """The ways take turns; each turn reads all images, one at a time."""
    frames: SimpleQueue[bytes | None] = SimpleQueue()
    with glyphwire.OcrClient(child.target, max_attempts=1) as client:
        results = client.stream(iter(frames.get, None), LINE_MODE)

        def stream(image: bytes) -> None:
            frames.put(image)
            next(results)

        ways: dict[str, Callable[[bytes], object]] = {
            "in process": lambda image: pipeline.recognize(image, _OPTIONS),
            "unary": lambda image: client.recognize(image, LINE_MODE),
            "stream": stream,
        }
        until = time.perf_counter() + _LONE_S
        while time.perf_counter() < until:
            for way, read in ways.items():
                for crop, image in enumerate(images):
                    started = time.perf_counter()
                    read(image)
                    samples[way].lone_ms[crop].append(1e3 * (time.perf_counter() - started))
        frames.put(None)


def _cost(way: str, samples: Mapping[str, Samples]) -> Cost:
    own, base = samples[way], samples["in process"]
    crops = own.lone_ms.keys() & base.lone_ms.keys()
    return Cost(
        way,
        cpu_ms=median(own.cpu_ms),
        lone_ms=median(median(own.lone_ms[crop]) for crop in crops),
        cpu_over=median(mine / theirs for mine, theirs in zip(own.cpu_ms, base.cpu_ms, strict=True)),
        lone_over_ms=median(median(own.lone_ms[crop]) - median(base.lone_ms[crop]) for crop in crops),
        least_over_ms=median(min(own.lone_ms[crop]) - min(base.lone_ms[crop]) for crop in crops),
    )


def _table(costs: Sequence[Cost]) -> str:
    header = (
        "way",
        "CPU, ms per line",
        "over in process",
        "target",
        "lone caller, ms",
        "more, ms",
        "of the least",
        "target",
    )
    rows = [
        (
            cost.way,
            f"{cost.cpu_ms:.2f}",
            f"{cost.cpu_over:.2f} x",
            f"{_MOST_CPU[cost.way]:.2f} x" if cost.way in _MOST_CPU else "-",
            f"{cost.lone_ms:.2f}",
            f"{cost.lone_over_ms:.2f}",
            f"{cost.least_over_ms:.2f}",
            f"{_MOST_MS[cost.way]:.1f}" if cost.way in _MOST_MS else "-",
        )
        for cost in costs
    ]
    return markdown(header, rows)


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.serving_cost", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="[5]")
    parser.add_argument("--json", action="store_true")
    add_images(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
