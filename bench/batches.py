"""What batches gain: milliseconds per line of the recogniser alone, by batch size, of one width or of several in turn.

    python -m bench.batches

Two requests of one thread each run side by side; medians over rounds in which the batch sizes take turns.
"""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import numpy as np

from bench.tables import markdown
from ocr_core.bundle import Kind, Registry
from ocr_core.engine import Engine
from server.settings import add_flags, load_settings

WIDTHS = ((320,), (640,), (320, 384, 448, 512, 640, 768))
BATCH_SIZES = (1, 2, 3, 4)
STREAMS = 2
LINES_PER_STREAM = 72


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
    rows = [
        [", ".join(map(str, widths)), *map("{:.2f}".format, _ms_per_line(engine, widths, flags.rounds))]
        for widths in WIDTHS
    ]
    print(markdown(["widths in turn", *(f"batch {size}, ms per line" for size in BATCH_SIZES)], rows))


def _ms_per_line(engine: Engine, widths: Sequence[int], rounds: int) -> list[float]:
    taken: dict[int, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for size in BATCH_SIZES:
            taken[size].append(_run(engine, size, widths))
    return [median(taken[size]) for size in BATCH_SIZES]


def _run(engine: Engine, size: int, widths: Sequence[int]) -> float:
    batches = [np.zeros((size, engine.bundle.input.height, width, 3), np.uint8) for width in widths]
    calls = LINES_PER_STREAM // size

    def repeat(_: int) -> None:
        for call in range(calls):
            with engine.infer(batches[call % len(batches)]):
                pass

    started = time.perf_counter()
    with ThreadPoolExecutor(STREAMS) as pool:
        list(pool.map(repeat, range(STREAMS)))
    return 1e3 * (time.perf_counter() - started) / (STREAMS * calls * size)


if __name__ == "__main__":
    main()
