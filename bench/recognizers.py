"""How long recognisers take for a line with all that reading does: ours in both precisions, and others.

Folders with labels.tsv; the same lines of each, which the recognisers read in turns, each line twice, of which the
second counts. One thread. The others are bundles as `make training` makes them of wheels.

Run: python -m bench.recognizers DIRECTORY [--lines N] [--others PATH] [--names NAME ...]
"""

from __future__ import annotations

import random
import time
from argparse import ArgumentParser, Namespace, RawTextHelpFormatter
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import fmean

import cv2

from bench.tables import markdown
from ocr_core.bundle import Kind, Registry
from ocr_core.engine import Precision
from ocr_core.evaluation import find_sets, read_labels
from ocr_core.image import ImageLimits, load_image
from ocr_core.language_dir import LanguageDir
from ocr_core.preprocess import whole_image
from ocr_core.recognizer import Recognizer, load_recognizer
from ocr_core.types import LineCrop, Mode, RecognizeOptions
from server.settings import add_flags, load_settings

_OPTIONS = RecognizeOptions(mode=Mode.LINE)


def main() -> None:
    """Measure and print a table."""
    flags = _flags()
    cv2.setNumThreads(1)
    settings = load_settings(flags)
    ours = settings.default_model
    readers = {f"{ours}, {precision}": _load(settings.models_dir, ours, precision) for precision in ("auto", "f32")}
    readers |= {f"{name}, f32": _load(flags.others, name, "f32") for name in flags.names}
    times: dict[str, list[float]] = defaultdict(list)
    for folder in find_sets(flags.directory):
        for reader, ms in _times(readers, list(_lines(folder, flags.lines))).items():
            times[reader].append(ms)
    first = fmean(times[next(iter(readers))])
    rows = [(reader, f"{fmean(ms):.2f}", f"{first / fmean(ms):.2f}") for reader, ms in times.items()]
    print(markdown(("recogniser", "mean of the sets' means, ms a line", "the first's, of this"), rows))


def _times(readers: Mapping[str, Recognizer], lines: list[LineCrop]) -> dict[str, float]:
    """Milliseconds of a line by each reader."""
    taken: dict[str, list[float]] = defaultdict(list)
    for line in lines:
        for is_warm in (False, True):
            for name, reader in readers.items():
                started = time.perf_counter()
                reader.read([line], [_OPTIONS])
                if is_warm:
                    taken[name].append(1e3 * (time.perf_counter() - started))
    return {name: fmean(ms) for name, ms in taken.items()}


def _lines(folder: Path, count: int) -> Iterator[LineCrop]:
    names = [name for name, _ in read_labels(folder)]
    for name in random.Random(1).sample(names, min(count, len(names))):
        yield whole_image(load_image((folder / name).read_bytes(), ImageLimits()))


def _load(models_dir: Path, name: str, precision: Precision) -> Recognizer:
    registry = Registry(models_dir)
    bundle = registry.find(name, Kind.RECOGNIZER)
    folder = registry.folder(bundle)
    return load_recognizer(bundle, folder, LanguageDir(folder), workers=1, precision=precision, backend="compiled")


def _flags() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--lines", type=int, default=50, metavar="N", help="of each set [50]")
    parser.add_argument("--others", type=Path, default=Path("build/training/teachers"), metavar="PATH")
    parser.add_argument("--names", nargs="*", default=["ppocrv2-zh-en", "ppocrv6-tiny"], metavar="NAME")
    add_flags(parser, ("models_dir", "default_model"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
