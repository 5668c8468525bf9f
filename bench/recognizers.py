"""How well recognisers read labelled lines, and how long they take with all that reading does: ours, and others.

Ours in both precisions; the others' bundles as `make training` makes them of wheels, in the same pipeline; Tesseract
with Debian's tesseract-ocr-chi-sim and tesserocr of 'glyphwire-server[serving-peers]'. One thread. Accuracy is of whole
folders with labels.tsv and is kept in --scores, from where a second run goes on. Time is of --lines of each folder,
read in turns: once to get used to them, then --rounds times, of which the quickest counts.

Run: python -m bench.recognizers DIRECTORY [--scores FILE] [--limit-s S] [--lines N] [--apart SET ...]
"""

from __future__ import annotations

import io
import json
import os
import random
import time
from argparse import ArgumentParser, Namespace, RawTextHelpFormatter
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, replace
from importlib import import_module
from math import inf
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import cv2
from PIL import Image

from bench.tables import markdown
from ocr_core.engine import Precision
from ocr_core.evaluation import LineScore, Recognizer, find_sets, read_labels, read_lines
from ocr_core.pipeline import Pipeline
from ocr_core.pipeline_config import PipelineConfig
from ocr_core.types import Line, Mode, Polygon, Recognition, RecognizeOptions, Timings
from server.settings import add_flags, load_settings

_TESSERACT = "tesseract"
_TESSDATA = "/usr/share/tesseract-ocr/5/tessdata"
_OTHERS = (
    "ppocrv2-zh-en",
    "ppocrv3",
    "ppocrv4-mobile",
    "ppocrv5-mobile",
    "ppocrv6-tiny",
    "ppocrv6-small",
    _TESSERACT,
)

Readers = Mapping[str, tuple[Recognizer, RecognizeOptions]]
"""By name: who reads, and what is to be asked of it."""


def main() -> None:
    """Read, time and print tables, of what there is so far where there was no time for more."""
    flags = _flags()
    cv2.setNumThreads(1)
    with ExitStack() as stack:
        readers = _readers(flags, stack)
        if flags.scores:
            _print_accuracy(_scores(readers, flags), flags.apart)
        if flags.lines:
            _print_times(_times(readers, flags))


def _scores(readers: Readers, flags: Namespace) -> list[tuple[str, LineScore]]:
    """Readers with their scores of whole sets: those that the file has, and those that there is time for."""
    ends = time.monotonic() + flags.limit_s
    rows = flags.scores.read_text(encoding="utf-8").splitlines() if flags.scores.exists() else []
    scores = [(row.pop("reader"), LineScore(**row)) for row in map(json.loads, rows)]
    known = {(reader, score.name) for reader, score in scores}
    with flags.scores.open("a", encoding="utf-8") as file:
        for folder in find_sets(flags.directory):
            for name, (reader, options) in readers.items():
                if (name, folder.name) not in known and time.monotonic() < ends:
                    score = read_lines(reader, folder, options).score
                    scores.append((name, score))
                    file.write(json.dumps({"reader": name, **asdict(score)}) + "\n")
                    file.flush()
    return scores


def _print_accuracy(scores: Sequence[tuple[str, LineScore]], apart: Sequence[str]) -> None:
    """Exact match and CER, a row for each set and one for the mean of those that are not apart."""
    by_place = {(reader, score.name): score for reader, score in scores}
    names = sorted({name for _, name in by_place}, key=lambda name: (name in apart, name))
    core = [name for name in names if name not in apart]
    readers = list(dict.fromkeys(reader for reader, _ in scores))
    for title, figure in (("exact", "exact_norm"), ("CER", "cer_norm")):
        values = {place: getattr(score, figure) for place, score in by_place.items()}
        rows = [(name, *(_share(values.get((reader, name))) for reader in readers)) for name in names]
        means = [_mean([values.get((reader, name)) for name in core]) for reader in readers]
        rows.insert(len(core), (f"mean of these {len(core)}", *map(_share, means)))
        print(markdown((title, *readers), rows), end="\n\n")


def _mean(values: Sequence[float | None]) -> float | None:
    """None where something is not known yet."""
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _print_times(times: Mapping[str, Sequence[Sequence[float]]]) -> None:
    first = _set_mean(next(iter(times.values())))
    rows = [
        (reader, f"{_set_mean(sets):.2f}", f"{fmean(map(median, sets)):.2f}", f"{first / _set_mean(sets):.2f}")
        for reader, sets in times.items()
    ]
    print(markdown(("recogniser", "ms a line, mean of sets", "mean of their medians", "the first's, of this"), rows))


def _set_mean(sets: Sequence[Sequence[float]]) -> float:
    return fmean(map(fmean, sets))


def _times(readers: Readers, flags: Namespace) -> dict[str, list[list[float]]]:
    """Of each reader, for each set that is not apart, milliseconds of its lines."""
    times: dict[str, list[list[float]]] = defaultdict(list)
    for folder in find_sets(flags.directory):
        if folder.name not in flags.apart:
            for name in readers:
                times[name].append([])
            for line in _sample(folder, flags.lines):
                for name, ms in _line_times(readers, line, flags.rounds).items():
                    times[name][-1].append(ms)
    return times


def _line_times(readers: Readers, line: bytes, rounds: int) -> dict[str, float]:
    """Milliseconds of a line by each reader, the least of several rounds behind one that does not count."""
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(1 + rounds):
        for name, (reader, options) in readers.items():
            started = time.perf_counter()
            reader.recognize(line, options)
            taken[name].append(1e3 * (time.perf_counter() - started))
    return {name: min(ms[1:]) for name, ms in taken.items()}


def _sample(folder: Path, count: int) -> Iterator[bytes]:
    names = [name for name, _ in read_labels(folder)]
    for name in random.Random(1).sample(names, min(count, len(names))):
        yield (folder / name).read_bytes()


def _readers(flags: Namespace, stack: ExitStack) -> Readers:
    """Ours in both precisions, and the others, in float32 where they do not say otherwise."""
    settings = load_settings(flags)
    ours = settings.default_model
    bundles = [name for name in flags.names if name != _TESSERACT]
    auto = _pipeline(settings.models_dir, ours, flags.others, bundles, "auto", stack)
    single = _pipeline(settings.models_dir, ours, flags.others, (), "f32", stack)
    options = RecognizeOptions(mode=Mode.LINE)
    readers: dict[str, tuple[Recognizer, RecognizeOptions]] = {ours: (auto, options), f"{ours}, f32": (single, options)}
    readers |= {name: (auto, replace(options, model=name)) for name in bundles}
    if _TESSERACT in flags.names:
        readers[_TESSERACT] = (_Tesseract(), options)
    return readers


def _pipeline(
    models_dir: Path, ours: str, others_dir: Path, others: Sequence[str], precision: Precision, stack: ExitStack
) -> Pipeline:
    """A pipeline with one thread that has our models and those of another folder."""
    folder = Path(stack.enter_context(TemporaryDirectory()))
    for path in (*models_dir.iterdir(), *(others_dir / name for name in others)):
        (folder / path.name).symlink_to(path.resolve())
    config = PipelineConfig(models_dir=folder, default_model=ours, precision=precision)
    pipeline = stack.enter_context(closing(Pipeline(config)))
    pipeline.start()
    return pipeline


class _Tesseract:
    """Tesseract, told that an image is one line."""

    def __init__(self) -> None:
        # Read when the library is loaded.
        os.environ["OMP_THREAD_LIMIT"] = "1"
        tesserocr = import_module("tesserocr")
        self._api: Any = tesserocr.PyTessBaseAPI(path=_TESSDATA, lang="chi_sim+eng", psm=tesserocr.PSM.SINGLE_LINE)

    def recognize(self, image: bytes, options: RecognizeOptions) -> Recognition:
        """Its text alone."""
        del options
        with Image.open(io.BytesIO(image)) as opened:
            pixels = opened.convert("RGB")
        self._api.SetImage(pixels)
        line = Line(str(self._api.GetUTF8Text()).strip(), 0.0, Polygon(()))
        return Recognition((line,), pixels.width, pixels.height, _TESSERACT, "", Timings())


def _flags() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--scores", type=Path, metavar="FILE", help="measure accuracy too, and keep it here")
    parser.add_argument("--limit-s", type=float, default=inf, metavar="S", help="begin no further set then [never]")
    parser.add_argument("--lines", type=int, default=30, metavar="N", help="of each set to time, 0 for none [30]")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="of timing each line [2]")
    parser.add_argument("--apart", nargs="*", default=[], metavar="SET", help="not in means, nor timed")
    parser.add_argument("--others", type=Path, default=Path("build/training/teachers"), metavar="PATH")
    parser.add_argument("--names", nargs="*", default=_OTHERS, metavar="NAME", help=f"of others [{' '.join(_OTHERS)}]")
    add_flags(parser, ("models_dir", "default_model"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
