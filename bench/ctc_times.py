"""How long our decoder takes: the sections of bench.ctc that time it alone, and how all its sections call it."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.bandwidth import register_loops, stream_reads
from bench.ctc_inputs import BLANK, InputLine, peaked
from bench.ctc_peers import Pruning, characters, our_pruning
from bench.rounds import in_pairs, interleaved, ratios, spread, taking_turns, timed
from ext import ctc
from ext.readings import Readings
from ocr_core.decode import Decoder
from ocr_core.scores import Batch
from ocr_core.types import Probs

WIDTHS = (5, 10, 25, 100)
SEED = 1

_LINES_AT_ONCE = 64
_CALLS_IN_A_ROW = 8
_APART_S = 2e-2
"""A call of a process takes about that long, so that nothing but decoding counts."""
_BYTES_READ = 240_000_000
"""By a call that shows bandwidth."""
_FASTEST = 3
"""Loops that best path is compared with."""
_CACHE_BYTES = 1_000_000
"""Of a core's own cache."""

Sets = Mapping[str, Sequence[InputLine]]
Table = Iterator[Sequence[object]]


@dataclass(frozen=True, slots=True)
class Context:
    """What every section may use. seconds: for each cell of a table."""

    sets: Sets
    seconds: float
    flags: Namespace


def bandwidth(context: Context) -> Table:
    """A call reads one matrix many times, so it stays in the cache that it fits into and Python hardly counts.

    Of the loops that were fastest in turns, best path is compared with each in pairs; the one that it comes off worst
    beside counts.
    """
    yield "C", "T", "MB", "best path, GB/s", "stream read, GB/s", "fastest loop", "best path, % of stream read"
    for classes, times in ((6625, 24), (6625, 80), (6625, 160), (18385, 8), (18385, 30), (18385, 58)):
        probs = peaked(times, classes, SEED)
        repeats = max(1, _BYTES_READ // probs.nbytes)
        reads = {name: partial(read, probs, repeats) for name, read in stream_reads().items()}
        taken = interleaved(reads, context.seconds / 4)
        best_path = partial(ctc.best_path, np.broadcast_to(probs, (repeats, *probs.shape)), BLANK)
        measured = {
            name: in_pairs([(best_path, reads[name])], 2 * context.seconds)
            for name in sorted(taken, key=lambda name: taken[name])[:_FASTEST]
        }
        fastest = min(measured, key=lambda name: ratios(*reversed(measured[name])))
        ours, theirs = measured[fastest]
        speeds = (f"{probs.nbytes * repeats / median(each) / 1e9:.1f}" for each in (ours, theirs))
        yield classes, times, f"{probs.nbytes / 1e6:.2f}", *speeds, fastest, f"{ratios(theirs, ours):.0%}"


def lines(context: Context) -> Table:
    """Kernel times, and their ratios to best path's. In turn, lines of many classes are farther away than near ones."""
    yield (
        *("C", "T", "lines", "decoder", "kernel, us", "without extras", "equal pruning", "call, us"),
        *("beam / best path", "equal pruning / best path"),
    )
    for name in (f"{kind}{times}" for kind in ("al", "en", "zh") for times in (40, 80, 160)):
        batch = [line.probs for line in context.sets[name]]
        times, classes = batch[0].shape
        in_turn = [batch * (_LINES_AT_ONCE // len(batch))]
        near = _near_groups(batch, _are_near_together(batch))
        for where, groups in {"in turn": in_turn, "near": near}.items():
            for width in (0, *WIDTHS) if where == "in turn" or len(groups) > 1 else ():
                yield classes, times, where, decoder_name(width), *_line_cells(groups, width, context.seconds / 2)


def _line_cells(groups: Sequence[Batch], width: int, seconds: float) -> list[str]:
    decoder = partial(decode, width=width)
    ways: tuple[Callable[[Batch], object], ...] = (
        decoder,
        partial(decoder, extras=False),
        partial(decoder, pruning="equal"),
        partial(_each, decoder),
    )
    measured = [beside(partial(decode, width=0), way, groups, groups, seconds) for way in ways]
    times = [microseconds(taken, sum(map(len, groups))) for _, taken in measured]
    return times + [f"{ratios(measured[way][1], measured[way][0]):.2f}" if width else "" for way in (0, 2)]


def _are_near_together(batch: Sequence[Probs]) -> bool:
    """Whether the lines fit into a core's cache together."""
    return sum(probs.nbytes for probs in batch) < _CACHE_BYTES


def _near_groups(batch: Sequence[Probs], together: bool) -> list[list[Probs]]:
    """Calls of lines that are near: of all in turn if they are so together, else of one repeatedly.

    So many that what else a call costs does not count.
    """
    if together:
        return [[*batch] * (_LINES_AT_ONCE // len(batch))]
    return [[probs] * (_LINES_AT_ONCE // 4) for probs in batch]


def beside(
    ours: Callable[[Any], object],
    theirs: Callable[[Any], object],
    our_items: Iterable[object],
    their_items: Iterable[object],
    seconds: float,
) -> tuple[list[float], list[float]]:
    """See in_pairs: two functions, each of items of its own."""
    items = zip(our_items, their_items, strict=True)
    return in_pairs([(partial(ours, own), partial(theirs, its)) for own, its in items], seconds)


def kinds(context: Context) -> Table:
    """Kernel times, and their ratios to those of float32 probabilities."""
    yield "C", "T", "values", *(f"{decoder_name(width)}, {unit}" for width in (0, 10) for unit in ("us", "ratio"))
    for name in ("en80", "zh80"):
        probs = [line.probs for line in context.sets[name]]
        log_probs = [np.log(np.maximum(matrix, 1e-30)) for matrix in probs]
        values: dict[str, list[Probs]] = {
            "probs": probs,
            "log_probs": log_probs,
            "logits": [matrix + np.float32(3) for matrix in log_probs],
        }
        times, classes = probs[0].shape
        together = _are_near_together(probs)  # decided once: what is compared must be as near
        plain = _near_groups(probs, together)
        for kind, dtype in product(values, ("float32", "float16")):
            groups = _near_groups([matrix.astype(dtype, copy=False) for matrix in values[kind]], together)
            cells: list[str] = []
            for width in (0, 10):
                decoder = partial(decode, width=width)
                own, its = beside(decoder, partial(decoder, kind=kind), plain, groups, context.seconds)
                cells += [microseconds(its, sum(map(len, groups))), f"{ratios(its, own):.2f}"]
            yield classes, times, f"{kind} {dtype}", *cells


def threads(context: Context) -> Table:
    """Through Decoder and in the kernel alone. To gain: what two processes gain against one, that share no work.

    Some calls follow upon one another, as under load. Processors may share a core with one another or with a neighbour
    of this machine, so what the kernel does with two threads is also compared with those two, which decode the
    same lines on one thread each. And with what two threads gain that use nothing but registers, see register_loops.
    """
    yield (
        *("C", "T", "lines", "decoder", "one thread, lines/s", "two, lines/s"),
        *("gain", "kernel's gain", "to gain", "kernel, % of two processes", "registers, waiting", "registers, busy"),
    )
    for name, repeats in product(("en80", "zh80"), (8, 32)):
        batch = [line.probs for line in context.sets[name]] * repeats
        times, classes = batch[0].shape
        in_a_row = [batch] * _CALLS_IN_A_ROW
        line_count = len(batch) * len(in_a_row)
        decoder = Decoder(characters(classes)[1:], BLANK)
        with _two_processes(batch[: len(context.sets[name])]) as decode_apart:
            for width in (0, 10):
                method = partial(decoder.beam, width=width) if width else decoder.best_path
                apart_count = len(batch) * max(1, round(_APART_S / timed(partial(decode, batch, width))))
                calls: dict[tuple[str, int], Callable[[], object]] = {}
                for count in (1, 2):
                    calls["call", count] = partial(_each, partial(method, threads=count), in_a_row)
                    calls["kernel", count] = partial(_each, partial(decode, width=width, threads=count), in_a_row)
                    calls["apart", count] = partial(decode_apart, width, apart_count, count)
                    calls.update({(name, count): partial(loop, count) for name, loop in register_loops().items()})
                taken = taking_turns(calls, 2 * context.seconds, time.perf_counter)
                speeds = (f"{line_count / median(taken['call', count]):.0f}" for count in (1, 2))
                gain = {what: f"{ratios(taken[what, 1], taken[what, 2]):.2f}" for what, count in taken if count == 1}
                apart = [each * line_count / (2 * apart_count) for each in taken["apart", 2]]
                share = f"{ratios(apart, taken['kernel', 2]):.0%}"
                gains = (gain["call"], gain["kernel"], gain["apart"], share, gain["waiting"], gain["busy"])
                yield classes, times, len(batch), decoder_name(width), *speeds, *gains


@contextmanager
def _two_processes(lines: Sequence[Probs]) -> Iterator[Callable[[int, int, int], None]]:
    """A function: decodes twice so many lines with a beam of some width, in one process or shared by two.

    Both have the same memory of lines, so that caches hold these once, as they do for threads.
    """
    with TemporaryDirectory(prefix="glyphwire-") as folder, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        path = Path(folder, "lines.npy")
        np.save(path, np.stack(lines))

        def decode_apart(width: int, line_count: int, process_count: int) -> None:
            list(pool.map(partial(_decode_stored, path, width, line_count), [2 // process_count] * process_count))

        decode_apart(0, len(lines), 2)  # starts them
        yield decode_apart


def _decode_stored(path: Path, width: int, line_count: int, call_count: int) -> None:
    lines = _stored(path)
    for _ in range(call_count):
        decode(lines * (line_count // len(lines)), width)


@cache
def _stored(path: Path) -> list[Probs]:
    return [*np.load(path, mmap_mode="r").view(np.ndarray)]


def decode(
    x: Batch, width: int, *, extras: bool = True, kind: str = "probs", pruning: Pruning = "default", threads: int = 1
) -> Readings:
    """width: of the beam, 0 for best path. extras: alignment and confidences."""
    if not width:
        return ctc.best_path(x, BLANK, kind=kind, confidences=extras, threads=threads)
    return ctc.prefix_beam_search(x, BLANK, width, *our_pruning(pruning), kind=kind, align=extras, threads=threads)


def _each(call: Callable[[Any], object], items: Iterable[Any]) -> None:
    for item in items:
        call(item)


def decoder_name(width: int) -> str:
    """width: as for decode."""
    return f"beam {width}" if width else "best path"


def microseconds(samples: Iterable[float], line_count: int) -> str:
    """Microseconds of a line: samples are seconds of so many."""
    return f"{spread(1e6 / line_count * sample for sample in samples):.1f}"
