"""Calls that are timed in turns, so that what else the machine does hits all of them alike."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np

Key = TypeVar("Key")

_SAMPLE_S = 1e-3
"""Short calls are repeated until a sample takes about this long."""

_LEAST_ROUNDS = 3

Clock = Callable[[], float]
"""time.process_time does not count when other programs run, time.perf_counter does."""


def interleaved(
    calls: Mapping[Key, Callable[[], object]], seconds: float, clock: Clock = time.process_time
) -> dict[Key, float]:
    """Median seconds of each call. They take turns until each has had `seconds`, the slow ones a few rounds."""
    repeats = {key: max(1, int(_SAMPLE_S / max(timed(call, 2, clock), 1e-9))) for key, call in calls.items()}
    samples: dict[Key, list[float]] = {key: [] for key in calls}
    while waiting := [key for key in calls if not _is_done(samples[key], repeats[key], seconds)]:
        for key in waiting:
            samples[key].append(timed(calls[key], repeats[key], clock))
    return {key: median(taken) for key, taken in samples.items()}


def timed(call: Callable[[], object], repeats: int = 1, clock: Clock = time.process_time) -> float:
    """Mean seconds of a call."""
    started = clock()
    for _ in range(repeats):
        call()
    return (clock() - started) / repeats


def _is_done(samples: Sequence[float], repeats: int, seconds: float) -> bool:
    return len(samples) >= _LEAST_ROUNDS and sum(samples) * repeats >= seconds


def machine() -> str:
    """What the figures were measured on."""
    models = [
        row for row in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if row.startswith("model name")
    ]
    caches = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*"))
    sizes = ", ".join(
        f"L{(cache / 'level').read_text().strip()} {(cache / 'size').read_text().strip()}" for cache in caches
    )
    return (
        f"{models[0].split(':')[1].strip() if models else platform.processor()}, {os.cpu_count()} cores; {sizes}; "
        f"load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}, NumPy {np.__version__}; "
        "one thread unless said otherwise"
    )
