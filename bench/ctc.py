"""The CTC decoder: speed, exactness and memory, beside the decoders that others use.

- bandwidth: best path over matrices in the processor's caches, against the fastest loop that only reads them;
- lines: time per line, in a call of many lines (kernel) and in a call of one from Python (call);
- kinds: the same for logits, log-probabilities and float16;
- exactness: nats of log-probability lost against the likeliest labelling known, by width and pruning;
- peers: other decoders on the same lines in the same run, times, nats lost, and timesteps;
- threads: calls of 64 and 256 lines on two threads against one, and what two processes gain that share no work;
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
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean, median

import numpy as np

from bench.ctc_inputs import InputLine, aligned_states, exact_log_prob, flat, flat_sets, load_sets, render_sets
from bench.ctc_peers import Peer, Reading, beam_decoders, best_path_decoders, first_of, missing
from bench.ctc_times import (
    SEED,
    WIDTHS,
    Context,
    Sets,
    Table,
    bandwidth,
    beside,
    decode,
    decoder_name,
    kinds,
    lines,
    microseconds,
    threads,
)
from bench.rounds import machine, ratios, timed
from bench.tables import markdown
from ocr_core.bundle import SECOND, Kind, Registry, read_second
from ocr_core.engine import Engine
from ocr_core.types import DecodeMethod, DecodeOptions, Mode, Probs, RecognizeOptions
from server.app import build_pipeline
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_ROOT = Path(__file__).resolve().parent.parent
_SAMPLES = sorted((_ROOT / "tests" / "data").glob("line_*"))

_SLOW_LINE_S = 0.5


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


def exactness(context: Context) -> Table:
    """Nats lost by the best hypothesis, mean and greatest over a set."""
    yield "set", "pruning", "best path", *(decoder_name(width) for width in WIDTHS)
    for name, batch in {**context.sets, **flat_sets(SEED)}.items():
        for pruning in ("default", "equal"):
            losses = [
                [_loss(line, first_of(decode(line.probs, width, pruning=pruning)).labels) for line in batch]
                for width in (0, *WIDTHS)
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
    for name, batch in {"en80": context.sets["en80"], "zh80": context.sets["zh80"], **flat_sets(SEED)}.items():
        classes = batch[0].probs.shape[1]
        what = (name, classes, "best path", "")
        yield from _peer_rows(what, best_path_decoders(classes), batch, context.seconds, set())
        for pruning in ("equal", "top40", "default"):
            slow: set[str] = set()
            for width in WIDTHS:
                what = (name, classes, decoder_name(width), pruning)
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
        own, its = beside(ours.run, peer.run, matrices[: len(prepared)], prepared, seconds)
        times = microseconds(its, len(prepared)), microseconds(own, len(prepared))
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
    probs = flat(times, 97, SEED)
    decode(probs[:2], width)
    ctypes.CDLL(None).malloc_trim(0)  # else the call would first use up what imports have freed
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    before = _status_bytes("VmRSS")
    decode(probs, width, extras=align)
    return _status_bytes("VmHWM") - before


def _resident_around(calls: int, batch: Sequence[Probs]) -> tuple[int, int]:
    _repeat(calls // 10, batch)
    before = _status_bytes("VmRSS")
    _repeat(calls, batch)
    return before, _status_bytes("VmRSS")


def _repeat(calls: int, batch: Sequence[Probs]) -> None:
    for i in range(calls):
        decode(batch[i % len(batch)], 10)


def _status_bytes(field: str) -> int:
    rows = dict(row.split(":", 1) for row in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return 1024 * int(rows[field].removesuffix("kB"))


def pipeline(context: Context) -> Table:
    """Bundled sample lines, encoded images in, text out."""
    yield "decoder", "lines", "total, ms", "decode, us", "decode, % of total", "greatest share of a line"
    methods = {
        "best path": DecodeOptions(),
        decoder_name(10): DecodeOptions(decoder=DecodeMethod.PREFIX_BEAM, beam_width=10),
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
        decoding, total = (
            np.array([median(sample[i] for sample in taken[method, path]) for path in _SAMPLES]) for i in (0, 1)
        )
        shares = f"{np.median(decoding / total):.2%}", f"{(decoding / total).max():.2%}"
        yield method, len(_SAMPLES), f"{np.median(total):.1f}", f"{1e3 * np.median(decoding):.0f}", *shares


_SECTIONS: dict[str, Callable[[Context], Table]] = {
    section.__name__: section for section in (bandwidth, lines, kinds, exactness, peers, threads, memory, pipeline)
}


def _loss(line: InputLine, labels: Sequence[int]) -> float:
    return exact_log_prob(line.probs, line.reference) - exact_log_prob(line.probs, labels)


def _mean_and_greatest(lost: Sequence[float]) -> str:
    return f"{fmean(lost):.4f} / {max(lost):.3f}"


def _sets(flags: Namespace) -> Sets:
    if flags.inputs:
        return load_sets(flags.inputs)
    settings = load_settings(flags)
    registry = Registry(settings.models_dir)
    folder = registry.folder(registry.find(settings.default_model, Kind.RECOGNIZER)) / SECOND
    engine = Engine(read_second(folder.parent), folder, streams=1, threads=1)
    engine.load()
    return render_sets(engine, SEED)


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.ctc", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=Path, metavar="FILE", help="matrices from a file, see bench.ctc_inputs")
    parser.add_argument("--only", nargs="+", choices=list(_SECTIONS), metavar="SECTION", help="[all]")
    parser.add_argument("--seconds", type=float, default=0.3, metavar="S", help="for each cell of a table [0.3]")
    add_flags(parser, LOCAL_SETTINGS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
