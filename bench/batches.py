"""What batches gain: milliseconds per line of the recogniser alone, by width and batch size.

    python -m bench.batches

Two requests of one thread each run side by side; medians over rounds in which the batch sizes take turns.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np

from bench.tables import markdown
from ocr_core.bundle import Kind, Registry
from ocr_core.engine import Engine
from server.settings import add_flags, load_settings

WIDTHS = (256, 640)
BATCH_SIZES = (1, 2, 4, 8)
STREAMS = 2
LINES_PER_STREAM = 48


def main() -> None:
    """Measure and print a table."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    add_flags(parser, ("models_dir", "default_model", "precision"))
    flags = parser.parse_args()
    settings = load_settings(flags)
    registry = Registry(settings.models_dir)
    bundle = registry.find(settings.default_model, Kind.RECOGNIZER)
    engine = Engine(bundle, registry.folder(bundle), streams=STREAMS, threads=STREAMS, precision=settings.precision)
    engine.load()
    rows = [[str(width), *map("{:.2f}".format, _ms_per_line(engine, width, flags.rounds))] for width in WIDTHS]
    print(markdown(["width", *(f"batch {size}, ms per line" for size in BATCH_SIZES)], rows))


def _ms_per_line(engine: Engine, width: int, rounds: int) -> list[float]:
    taken: dict[int, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for size in BATCH_SIZES:
            taken[size].append(_run(engine, size, width))
    return [median(taken[size]) for size in BATCH_SIZES]


def _run(engine: Engine, size: int, width: int) -> float:
    batch = np.zeros((size, engine.bundle.input.height, width, 3), np.uint8)
    calls = LINES_PER_STREAM // size

    def repeat(_: int) -> None:
        for _call in range(calls):
            with engine.infer(batch):
                pass

    started = time.perf_counter()
    with ThreadPoolExecutor(STREAMS) as pool:
        list(pool.map(repeat, range(STREAMS)))
    return 1e3 * (time.perf_counter() - started) / (STREAMS * calls * size)


if __name__ == "__main__":
    main()
