"""Calls that are timed in turns, so that what else the machine does hits all of them alike.

Machines change their speed within seconds, by a factor of up to two where neighbours share them: only what was measured
within a moment is comparable. So all that is compared has a turn in every round, and comparisons are made round by
round: their median counts.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple, TypeVar

import numpy as np

Key = TypeVar("Key")
Call = Callable[[], object]

_SAMPLE_S = 1e-3
"""Short calls are repeated until a sample takes about this long."""

_LONG_S = 2e-2
"""A call that takes longer brings what it reads near by itself."""

_LEAST_ROUNDS = 3

Clock = Callable[[], float]
"""time.process_time does not count when other programs run, time.perf_counter does."""


class Spread(NamedTuple):
    """Median and quartiles. A format is that of each of the three."""

    middle: float
    low: float
    high: float

    def __format__(self, spec: str) -> str:
        return f"{self.middle:{spec}} ({self.low:{spec}} to {self.high:{spec}})"


def spread(samples: Iterable[float]) -> Spread:
    """Of at least one sample."""
    return Spread(*np.percentile(list(samples), (50, 25, 75)).tolist())


def ratios(samples: Sequence[float], base: Sequence[float]) -> Spread:
    """Of samples to those of the same rounds."""
    return spread(sample / other for sample, other in zip(samples, base, strict=True))


def taking_turns(calls: Mapping[Key, Call], seconds: float, clock: Clock = time.process_time) -> dict[Key, list[float]]:
    """Seconds of each call in each round; they go on until each has had `seconds` on average, and a few times."""
    repeats = {key: _repeats(timed(call, 1, clock)) for key, call in calls.items()}
    samples: dict[Key, list[float]] = {key: [] for key in calls}
    spent, rounds = 0.0, 0
    while spent < seconds * len(calls) or rounds < _LEAST_ROUNDS:
        for key, call in calls.items():
            samples[key].append(timed(call, repeats[key], clock))
            spent += samples[key][-1] * repeats[key]
        rounds += 1
    return samples


def interleaved(calls: Mapping[Key, Call], seconds: float, clock: Clock = time.process_time) -> dict[Key, float]:
    """Median seconds of each call, see taking_turns."""
    return {key: median(samples) for key, samples in taking_turns(calls, seconds, clock).items()}


def in_pairs(pairs: Sequence[tuple[Call, Call]], seconds: float) -> tuple[list[float], list[float]]:
    """Seconds of the first calls of all pairs, and of the second ones, in each round.

    Each second call is timed between two samples of the first one, the mean of which counts. Rounds go on for so many
    seconds, and a few times. Calls of different pairs should take about as long.

    Before a sample a call is made once without being timed, unless it is long: so what it reads is near, as it is when
    a network has just written it. Else neighbours in the same cache would decide how far away it is.
    """
    clock = time.process_time
    once = [timed(call, 1, clock) for call in pairs[0]]
    repeats, other_repeats = map(_repeats, once)
    is_long = once[1] >= _LONG_S
    ours: list[float] = []
    theirs: list[float] = []
    started = clock()
    while len(ours) < _LEAST_ROUNDS or clock() - started < seconds:
        ours.append(0.0)
        theirs.append(0.0)
        for first, second in pairs:
            first()
            before = timed(first, repeats, clock)
            if not is_long:
                second()
            theirs[-1] += timed(second, other_repeats, clock)
            first()
            ours[-1] += (before + timed(first, repeats, clock)) / 2
    return ours, theirs


def timed(call: Call, repeats: int = 1, clock: Clock = time.process_time) -> float:
    """Mean seconds of a call."""
    started = clock()
    for _ in range(repeats):
        call()
    return (clock() - started) / repeats


def _repeats(once: float) -> int:
    return max(1, int(_SAMPLE_S / max(once, 1e-9)))


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
