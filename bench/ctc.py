"""The CTC decoder: speed, exactness and memory, beside the decoders that others use.

- bandwidth: best path over matrices in the processor's caches, against the fastest loop that only reads them;
- lines: time per line, in a call of many lines (kernel) and in a call of one from Python (call);
- kinds: the same for logits, log-probabilities and float16;
- exactness: nats of log-probability lost against the likeliest labelling known, by width and pruning;
- peers: other decoders on the same lines in the same run, times, nats lost, and timesteps;
- threads: calls of 64 and 256 lines on two threads against one, and what the machine has to gain;
- memory: greatest memory of one call by timesteps and width, and what 10,000 calls leave behind;
- pipeline: decoding's share of the time that reading a line takes.

C: classes, T: timesteps. All that is compared has a turn in every round. Times are medians over rounds, ratios medians
of the rounds' ratios, with quartiles in brackets: a machine changes its speed within seconds, so ratios tell more than
times. A peer has its turn between two of ours, line by line. Lines are near: read just before, as they are when a
network has just written them. Times are processor time, as long calls of a busy machine would wait for others more
often than short ones; threads and pipeline tell time by the wall.

Peers are those of the extra `peers`; pyctcdecode, which asks for an older NumPy but works with ours (pip install
--no-deps pyctcdecode==0.5.0); and torch, which is left to the reader for its size.

Run: python -m bench.ctc [--inputs FILE.npz] [--only SECTION ...] [--seconds 0.3]
"""

from __future__ import annotations

import ctypes
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median
from typing import Any

import numpy as np

from bench.bandwidth import stream_reads
from bench.ctc_inputs import (
    BLANK,
    InputLine,
    aligned_states,
    exact_log_prob,
    flat,
    flat_sets,
    load_sets,
    peaked,
    render_sets,
)
from bench.ctc_peers import (
    Peer,
    Pruning,
    Reading,
    beam_decoders,
    best_path_decoders,
    characters,
    first_of,
    missing,
    our_pruning,
)
from bench.rounds import in_pairs, interleaved, machine, ratios, spread, taking_turns, timed
from bench.tables import markdown
from ext import ctc
from ext.readings import Readings
from ocr_core.bundle import SECOND, Kind, Registry, read_second
from ocr_core.decode import Decoder
from ocr_core.engine import Engine
from ocr_core.scores import Batch
from ocr_core.types import DecodeMethod, DecodeOptions, Mode, Probs, RecognizeOptions
from server.app import build_pipeline
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_ROOT = Path(__file__).resolve().parent.parent
_SAMPLES = sorted((_ROOT / "tests" / "data").glob("line_*"))

_WIDTHS = (5, 10, 25, 100)
_SEED = 1
_SLOW_LINE_S = 0.5
_LINES_AT_ONCE = 64
_CALLS_IN_A_ROW = 8
_LINES_APART = 1024
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


def main() -> None:
    """Print one table per section."""
    flags = _flags()
    print(machine())
    context = Context(_sets(flags), flags.seconds, flags)
    for name in flags.only or _SECTIONS:
        print(f"\n## {name}\n", flush=True)
        header, *rows = _SECTIONS[name](context)
        print(markdown([str(cell) for cell in header], rows), flush=True)
    if absent := missing():
        print(f"\nNot installed: {', '.join(absent)}")


def bandwidth(context: Context) -> Table:
    """The matrix is the same in all calls of a row, so it stays in the cache that it fits into."""
    yield "C", "T", "MB", "best path, GB/s", "stream read, GB/s", "fastest loop", "best path, % of stream read"
    for classes, times in ((6625, 24), (6625, 80), (6625, 160), (18385, 8), (18385, 30), (18385, 58)):
        probs = peaked(times, classes, _SEED)
        repeats = max(1, 60_000_000 // probs.nbytes)
        reads = {name: partial(read, probs, repeats) for name, read in stream_reads().items()}
        taken = interleaved(reads, context.seconds / 2)
        fastest = min(taken, key=lambda name: taken[name])
        best_path = partial(ctc.best_path, [probs] * repeats, BLANK)
        ours, theirs = in_pairs([(best_path, reads[fastest])], 3 * context.seconds)
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
        for where, groups in {"in turn": in_turn, "near": _near_groups(batch)}.items():
            for width in (0, *_WIDTHS) if where == "in turn" or len(groups) > 1 else ():
                yield classes, times, where, _decoder_name(width), *_line_cells(groups, width, context.seconds / 2)


def _line_cells(groups: Sequence[Batch], width: int, seconds: float) -> list[str]:
    decode = partial(_decode, width=width)
    ways: tuple[Callable[[Batch], object], ...] = (
        decode,
        partial(decode, extras=False),
        partial(decode, pruning="equal"),
        partial(_each, decode),
    )
    measured = [_beside(partial(_decode, width=0), way, groups, groups, seconds) for way in ways]
    times = [_us(taken, sum(map(len, groups))) for _, taken in measured]
    return times + [f"{ratios(measured[way][1], measured[way][0]):.2f}" if width else "" for way in (0, 2)]


def _near_groups(batch: Sequence[Probs]) -> list[list[Probs]]:
    """Calls of lines that are near: of all in turn if they fit into a core's cache together, else of one repeatedly.

    So many that what else a call costs does not count.
    """
    if sum(probs.nbytes for probs in batch) < _CACHE_BYTES:
        return [[*batch] * (_LINES_AT_ONCE // len(batch))]
    return [[probs] * (_LINES_AT_ONCE // 4) for probs in batch]


def _beside(
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
    yield "C", "T", "values", *(f"{_decoder_name(width)}, {unit}" for width in (0, 10) for unit in ("us", "ratio"))
    for name in ("en80", "zh80"):
        probs = [line.probs for line in context.sets[name]]
        log_probs = [np.log(np.maximum(matrix, 1e-30)) for matrix in probs]
        values: dict[str, list[Probs]] = {
            "probs": probs,
            "log_probs": log_probs,
            "logits": [matrix + np.float32(3) for matrix in log_probs],
        }
        times, classes = probs[0].shape
        plain = _near_groups(probs)
        for kind, dtype in product(values, ("float32", "float16")):
            groups = _near_groups([matrix.astype(dtype, copy=False) for matrix in values[kind]])
            cells: list[str] = []
            for width in (0, 10):
                decode = partial(_decode, width=width)
                own, its = _beside(decode, partial(decode, kind=kind), plain, groups, context.seconds)
                cells += [_us(its, sum(map(len, groups))), f"{ratios(its, own):.2f}"]
            yield classes, times, f"{kind} {dtype}", *cells


def exactness(context: Context) -> Table:
    """Nats lost by the best hypothesis, mean and greatest over a set."""
    yield "set", "pruning", "best path", *(_decoder_name(width) for width in _WIDTHS)
    for name, batch in {**context.sets, **flat_sets(_SEED)}.items():
        for pruning in ("default", "equal"):
            losses = [
                [_loss(line, first_of(_decode(line.probs, width, pruning=pruning)).labels) for line in batch]
                for width in (0, *_WIDTHS)
            ]
            yield name, pruning, *map(_mean_and_greatest, losses)


def peers(context: Context) -> Table:
    """Of each line's characters: the share whose timestep is inside the character in the best alignment.

    Beams wider than the first at which a decoder is slow are left out.
    """
    yield (
        *("set", "C", "decoder", "pruning", "peer", "call, us", "ours beside it", "peer / ours"),
        *("nats lost", "timesteps inside", "rising"),
    )
    for name, batch in {"en80": context.sets["en80"], "zh80": context.sets["zh80"], **flat_sets(_SEED)}.items():
        classes = batch[0].probs.shape[1]
        what = (name, classes, "best path", "")
        yield from _peer_rows(what, best_path_decoders(classes), batch, context.seconds, set())
        for pruning in ("equal", "top40", "default"):
            slow: set[str] = set()
            for width in _WIDTHS:
                what = (name, classes, _decoder_name(width), pruning)
                decoders = [peer for peer in beam_decoders(classes, width, pruning) if peer.name not in slow]
                yield from _peer_rows(what, decoders, batch, context.seconds, slow)


def _peer_rows(
    what: Sequence[object], decoders: Sequence[Peer], batch: Sequence[InputLine], seconds: float, slow: set[str]
) -> Table:
    """One row per decoder. A slow one is timed on a single line, and its readings are not looked at.

    slow: gets the names of those.
    """
    ours, *others = decoders
    matrices = [line.probs for line in batch]
    yield *what, ours.name, "", "", "", *_quality(batch, [ours.read(ours.run(matrix)) for matrix in matrices])
    for peer in others:
        prepared = [peer.prepare(matrix) for matrix in matrices]
        if timed(partial(peer.run, prepared[0])) >= _SLOW_LINE_S:
            slow.add(peer.name)
            prepared = prepared[:1]
        readings = [] if peer.name in slow else [peer.read(peer.run(matrix)) for matrix in prepared]
        own, its = _beside(ours.run, peer.run, matrices[: len(prepared)], prepared, seconds)
        times = _us(its, len(prepared)), _us(own, len(prepared))
        yield *what, peer.name, *times, f"{ratios(its, own):.1f}", *_quality(batch, readings)


def _quality(batch: Sequence[InputLine], readings: Sequence[Reading]) -> tuple[str, str, str]:
    """Nats lost, share of timesteps that are inside, whether all are rising; empty what is not known."""
    pairs = list(zip(batch, readings, strict=False))
    lost = [_loss(line, reading.labels) for line, reading in pairs]
    inside = [
        aligned_states(line.probs, reading.labels)[reading.timesteps] == 2 * np.arange(len(reading.labels)) + 1
        for line, reading in pairs
        if reading.timesteps is not None
    ]
    rising = all(np.all(np.diff(reading.timesteps) > 0) for reading in readings if reading.timesteps is not None)
    timesteps = (f"{np.concatenate(inside).mean():.1%}", "yes" if rising else "no") if inside else ("", "")
    return _mean_and_greatest(lost) if lost else "", *timesteps


def threads(context: Context) -> Table:
    """Through Decoder and in the kernel alone. To gain: what two threads do that share no work, in long calls.

    Some calls follow upon one another, as under load. Processors may share a core with one another or with a neighbour
    of this machine, so what the kernel does with two threads is also compared with those two.
    """
    yield (
        *("C", "T", "lines", "decoder", "one thread, lines/s", "two, lines/s"),
        *("gain", "kernel's gain", "to gain", "kernel, % of two apart"),
    )
    for name, repeats in product(("en80", "zh80"), (8, 32)):
        batch = [line.probs for line in context.sets[name]] * repeats
        times, classes = batch[0].shape
        in_a_row = [batch] * _CALLS_IN_A_ROW
        line_count = len(batch) * len(in_a_row)
        decoder = Decoder(characters(classes)[1:], BLANK)
        for width in (0, 10):
            method = partial(decoder.beam, width=width) if width else decoder.best_path
            calls: dict[tuple[str, int], Callable[[], object]] = {}
            for count in (1, 2):
                calls["call", count] = partial(_each, partial(method, threads=count), in_a_row)
                calls["kernel", count] = partial(_each, partial(_decode, width=width, threads=count), in_a_row)
                calls["apart", count] = partial(_decode_apart, batch, width, count)
            taken = taking_turns(calls, 2 * context.seconds, time.perf_counter)
            speeds = (f"{line_count / median(taken['call', count]):.0f}" for count in (1, 2))
            gains = (f"{ratios(taken[what, 1], taken[what, 2]):.2f}" for what in ("call", "kernel", "apart"))
            apart = [each * line_count / (2 * _LINES_APART) for each in taken["apart", 2]]
            share = f"{ratios(apart, taken['kernel', 2]):.0%}"
            yield classes, times, len(batch), _decoder_name(width), *speeds, *gains, share


def _decode_apart(batch: Sequence[Probs], width: int, thread_count: int) -> None:
    """Two calls so long that nothing but decoding counts."""
    lines = [*batch] * (_LINES_APART // len(batch))
    with ThreadPoolExecutor(thread_count) as pool:
        list(pool.map(_decode, [lines] * 2, [width] * 2))


def memory(context: Context) -> Table:
    """Each peak is measured in a fresh process, for flat lines of 97 classes."""
    yield "T", "beam", "peak of a call, kB", "without alignment, kB", "bytes per timestep and prefix"
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as fresh:
        for times in (160, 640, 2560):
            for width in (10, 100, 250):
                peak, bare = (fresh.submit(_peak_bytes, times, width, align).result() for align in (True, False))
                yield times, width, f"{peak / 1e3:.0f}", f"{bare / 1e3:.0f}", f"{bare / (times * width):.0f}"
    before, after = _resident_around(10_000, [line.probs for line in context.sets["en80"]])
    yield "10,000 calls", 10, f"{(after - before) / 1e3:+.0f} left behind", "", ""


def _peak_bytes(times: int, width: int, align: bool) -> int:
    probs = flat(times, 97, _SEED)
    _decode(probs[:2], width)
    ctypes.CDLL(None).malloc_trim(0)  # else the call would first use up what imports have freed
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _status_bytes("VmRSS")
    _decode(probs, width, extras=align)
    return _status_bytes("VmHWM") - before


def _resident_around(calls: int, batch: Sequence[Probs]) -> tuple[int, int]:
    _repeat(calls // 10, batch)
    before = _status_bytes("VmRSS")
    _repeat(calls, batch)
    return before, _status_bytes("VmRSS")


def _repeat(calls: int, batch: Sequence[Probs]) -> None:
    for i in range(calls):
        _decode(batch[i % len(batch)], 10)


def _status_bytes(field: str) -> int:
    rows = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return 1024 * int(rows[field].removesuffix("kB"))


def pipeline(context: Context) -> Table:
    """Bundled sample lines, encoded images in, text out."""
    yield "decoder", "lines", "total, ms", "decode, us", "decode, % of total", "greatest share of a line"
    methods = {
        "best path": DecodeOptions(),
        _decoder_name(10): DecodeOptions(decoder=DecodeMethod.PREFIX_BEAM, beam_width=10),
    }
    reader = build_pipeline(load_settings(context.flags))
    reader.start()
    taken: dict[tuple[str, Path], list[tuple[float, float]]] = {
        (method, path): [] for path in _SAMPLES for method in methods
    }
    for _ in range(15):
        for (method, path), samples in taken.items():
            timings = reader.recognize(
                path.read_bytes(), RecognizeOptions(mode=Mode.LINE, decode=methods[method])
            ).timings
            samples.append((timings.decode_ms, timings.total_ms))
    reader.close()
    for method in methods:
        decode, total = (
            np.array([median(sample[i] for sample in taken[method, path]) for path in _SAMPLES]) for i in (0, 1)
        )
        shares = f"{np.median(decode / total):.2%}", f"{(decode / total).max():.2%}"
        yield method, len(_SAMPLES), f"{np.median(total):.1f}", f"{1e3 * np.median(decode):.0f}", *shares


_SECTIONS: dict[str, Callable[[Context], Table]] = {
    section.__name__: section for section in (bandwidth, lines, kinds, exactness, peers, threads, memory, pipeline)
}


def _decode(
    x: Batch, width: int, *, extras: bool = True, kind: str = "probs", pruning: Pruning = "default", threads: int = 1
) -> Readings:
    """width: of the beam, 0 for best path. extras: alignment and confidences."""
    if not width:
        return ctc.best_path(x, BLANK, kind=kind, confidences=extras, threads=threads)
    return ctc.prefix_beam_search(x, BLANK, width, *our_pruning(pruning), kind=kind, align=extras, threads=threads)


def _each(call: Callable[[Any], object], items: Iterable[Any]) -> None:
    for item in items:
        call(item)


def _loss(line: InputLine, labels: Sequence[int]) -> float:
    return exact_log_prob(line.probs, line.reference) - exact_log_prob(line.probs, labels)


def _mean_and_greatest(lost: Sequence[float]) -> str:
    return f"{fmean(lost):.4f} / {max(lost):.3f}"


def _decoder_name(width: int) -> str:
    return f"beam {width}" if width else "best path"


def _us(samples: Iterable[float], line_count: int) -> str:
    """Microseconds of a line: samples are seconds of so many."""
    return f"{spread(1e6 / line_count * sample for sample in samples):.1f}"


def _sets(flags: Namespace) -> Sets:
    if flags.inputs:
        return load_sets(flags.inputs)
    settings = load_settings(flags)
    registry = Registry(settings.models_dir)
    folder = registry.folder(registry.find(settings.default_model, Kind.RECOGNIZER)) / SECOND
    engine = Engine(read_second(folder.parent), folder, streams=1, threads=1)
    engine.load()
    return render_sets(engine, _SEED)


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.ctc", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=Path, metavar="FILE", help="matrices from a file, see bench.ctc_inputs")
    parser.add_argument("--only", nargs="+", choices=list(_SECTIONS), metavar="SECTION", help="[all]")
    parser.add_argument("--seconds", type=float, default=0.3, metavar="S", help="for each cell of a table [0.3]")
    add_flags(parser, LOCAL_SETTINGS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
