"""Which steps of preparation pay: each one forced, and auto, against none, on clean sets and on damaged copies of them.

CER of lines: edit distances over label lengths, after NFKC, removal of white space and case folding; of pages: as
ocr_core.page_scores has it. Figures of several sets are means over the sets. The damaged copies are made by
bench.degrade_sets. Milliseconds are processor time on a page of 1024 x 768 and on a line of 823 x 52.

A grey level in the copy that a detector sees changes what is found, so single readings of pages owe a few characters in
a thousand to chance; with several --scales every page is read in as many sizes.

Run: python -m bench.preparation EVAL_DIR [--every N] [--damaged-every N] [--steps STEP,...] [--kinds KIND,...]
[--scales FACTOR,...]
"""

from __future__ import annotations

import json
import sys
import tempfile
from argparse import ArgumentParser, Namespace, RawTextHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean

import cv2
import numpy as np
from rapidfuzz.distance import Levenshtein

from bench.degrade_sets import DAMAGES, degrade, picked
from bench.rounds import interleaved, machine
from bench.tables import markdown
from ocr_core.evaluation import LABELS, find_sets, read_labels, read_pages
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.page_scores import PageCounts, PageLine, compare_page, normalise
from ocr_core.pipeline import Pipeline
from ocr_core.prepare.crops import cut_lines
from ocr_core.prepare.measures import Measures
from ocr_core.prepare.plan import prepare_line, prepare_page, view_of
from ocr_core.prepare.steps import Preparation, Step, Switch
from ocr_core.types import Mode, Point, Polygon, PreprocessOptions, RecognizeOptions
from server.app import build_pipeline
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

OFF = Preparation(other_steps=Switch.OFF)
AUTO = Preparation()
CLEAN = "clean"
_DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
_PAGE, _LINE = _DATA / "page_small.jpg", _DATA / "line_en.jpg"


@dataclass(frozen=True, slots=True)
class Labelled:
    """An image and its lines; the polygon of a line image does not count."""

    image_bytes: bytes
    mode: Mode
    lines: tuple[PageLine, ...]


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """name: of the set; kind: of the damage, or CLEAN; ignored: characters that do not count."""

    name: str
    kind: str
    images: tuple[Labelled, ...]
    ignored: str = ""


Rates = dict[tuple[str, str], float]
"""CER by kind and set."""


def load_set(folder: Path, kind: str, every: int, scales: Sequence[float] = (1.0,)) -> LabelledSet:
    """Every n-th image of a set; pages at each of the scales."""
    if (folder / LABELS).exists():
        images = [
            Labelled((folder / path).read_bytes(), Mode.LINE, (PageLine(text, Polygon(())),))
            for path, text in picked(read_labels(folder), every)
        ]
    else:
        images = [
            _scaled(Labelled((folder / path).read_bytes(), Mode.PAGE, tuple(lines)), scale)
            for path, lines in picked(read_pages(folder), every)
            for scale in scales
        ]
    ignored = folder / "ignore.txt"
    return LabelledSet(
        folder.name, kind, tuple(images), ignored.read_text(encoding="utf-8").strip() if ignored.exists() else ""
    )


def _scaled(page: Labelled, scale: float) -> Labelled:
    if scale == 1:
        return page
    image = load_image(page.image_bytes, ImageLimits())
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=way)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(resized, cv2.COLOR_RGB2BGR))
    return Labelled(encoded.tobytes(), page.mode, tuple(_moved(line, scale) for line in page.lines))


def _moved(line: PageLine, scale: float) -> PageLine:
    places = tuple(Point(scale * place.x, scale * place.y) for place in line.polygon.vertices)
    return replace(line, polygon=Polygon(places))


def error_rate(pipeline: Pipeline, images: LabelledSet, preparation: Preparation, pool: ThreadPoolExecutor) -> float:
    """CER of a set, read with this preparation."""
    options = RecognizeOptions(preprocess=PreprocessOptions(preparation=preparation))

    dropped = dict.fromkeys(map(ord, images.ignored))

    def counts(each: Labelled) -> PageCounts:
        read = pipeline.recognize(each.image_bytes, replace(options, mode=each.mode)).lines
        if each.mode is Mode.PAGE:
            return compare_page(each.lines, [PageLine(line.text, line.polygon) for line in read]).counts
        texts = each.lines[0].text, "".join(line.text for line in read)
        label, text = (normalise(text.translate(dropped)) for text in texts)
        return PageCounts(characters=len(label), edits=Levenshtein.distance(label, text))

    return sum(pool.map(counts, images.images), PageCounts()).cer


def step_times() -> dict[Step | None, tuple[float, float]]:
    """Milliseconds of each step when it is forced, on a page and on a line; None: of all in auto.

    Turning a page is left out: it takes the time of the classifier, and of looking for lines again.
    """
    page, line = (load_image(path.read_bytes(), ImageLimits()) for path in (_PAGE, _LINE))
    page = np.asarray(cv2.resize(page, (1024, 768), interpolation=cv2.INTER_AREA), np.uint8)
    box = Polygon((Point(100, 100), Point(420, 100), Point(420, 132), Point(100, 132)))

    def prepare(chosen: Preparation) -> None:
        placed = prepare_page(Measures(page), chosen)
        measures = Measures(placed.image)
        view_of(measures, chosen)
        cut_lines(placed, [box], measures, chosen)

    ways: dict[Step | None, Preparation] = {None: AUTO} | {step: forced(step) for step in Step}
    calls: dict[tuple[Step | None, bool], Callable[[], object]] = {}
    for step, chosen in ways.items():
        calls[step, True] = partial(prepare, chosen)
        calls[step, False] = partial(prepare_line, line, chosen)
    spent = interleaved(calls, 0.05)
    return {step: (1e3 * spent[step, True], 1e3 * spent[step, False]) for step in ways}


def forced(step: Step) -> Preparation:
    """One step on, all others off."""
    return replace(OFF, **{step.value: Switch.ON})


def main() -> int:
    """Returns 0: the figures are for people to judge."""
    flags = _flags()
    settings = load_settings(flags)
    pipeline = build_pipeline(settings)
    pipeline.start()
    with (
        tempfile.TemporaryDirectory(prefix="glyphwire-") as scratch,
        ThreadPoolExecutor(settings.workers, thread_name_prefix="images") as pool,
    ):
        degrade(flags.directory, Path(scratch), flags.kinds, flags.damaged_every)
        places = [(CLEAN, flags.directory, flags.every)] + [(kind, Path(scratch) / kind, 1) for kind in flags.kinds]
        sets = [
            load_set(folder, kind, every, flags.scales)
            for kind, root, every in places
            for folder in find_sets(root)
            if not flags.sets or folder.name in flags.sets
        ]
        ways = {"off": OFF, "auto": AUTO} | {step: forced(Step(step)) for step in flags.steps}
        rates = {name: _rates(pipeline, sets, way, pool, name) for name, way in ways.items()}
    pipeline.close()
    if flags.json:
        print(json.dumps({way: {"/".join(key): rate for key, rate in found.items()} for way, found in rates.items()}))
    else:
        _print_tables(rates, {each.name: each.images[0].mode for each in sets}, [CLEAN, *flags.kinds])
    return 0


def _rates(
    pipeline: Pipeline, sets: Sequence[LabelledSet], preparation: Preparation, pool: ThreadPoolExecutor, name: str
) -> Rates:
    found = {}
    for each in sets:
        print(f"{name}: {each.kind} {each.name}", file=sys.stderr)
        found[each.kind, each.name] = error_rate(pipeline, each, preparation, pool)
    return found


def _print_tables(rates: Mapping[str, Rates], modes: Mapping[str, Mode], kinds: Sequence[str]) -> None:
    print(f"{machine()}\n")
    times = step_times()
    for mode, index in ((Mode.LINE, 1), (Mode.PAGE, 0)):
        names = sorted(name for name, of in modes.items() if of is mode)
        if not names:
            continue
        print(f"CER of {mode.value}s without preparation, in per cent, and points by which each step changes it:\n")
        rows: list[list[object]] = [["off", *(f"{100 * _mean(rates['off'], kind, names):.1f}" for kind in kinds), ""]]
        for way in (way for way in rates if way != "off"):
            changes = [100 * (_mean(rates[way], kind, names) - _mean(rates["off"], kind, names)) for kind in kinds]
            spent = times[None if way == "auto" else Step(way)][index]
            rows.append([way, *(f"{change:+.2f}" for change in changes), f"{spent:.2f}"])
        print(markdown(["step", *kinds, "ms"], rows), end="\n\n")
        print("Points by which each step changes the CER of clean sets:\n")
        print(
            markdown(["set", "off", *(way for way in rates if way != "off")], _by_set(rates, CLEAN, names)), end="\n\n"
        )
        print("CER without preparation -> in auto, in per cent:\n")
        print(markdown(["set", *kinds], [_auto_row(rates, name, kinds) for name in names]), end="\n\n")


def _by_set(rates: Mapping[str, Rates], kind: str, names: Sequence[str]) -> list[list[object]]:
    off = rates["off"]
    return [
        [
            name,
            f"{100 * off[kind, name]:.2f}",
            *(f"{100 * (found[kind, name] - off[kind, name]):+.2f}" for way, found in rates.items() if way != "off"),
        ]
        for name in names
    ]


def _auto_row(rates: Mapping[str, Rates], name: str, kinds: Sequence[str]) -> list[object]:
    return [name, *(f"{100 * rates['off'][kind, name]:.1f} -> {100 * rates['auto'][kind, name]:.1f}" for kind in kinds)]


def _mean(rates: Rates, kind: str, names: Sequence[str]) -> float:
    return mean(rates[kind, name] for name in names)


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.preparation", description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("directory", type=Path, metavar="EVAL_DIR", help="folder of labelled sets")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every n-th image of the clean sets [1]")
    parser.add_argument("--damaged-every", type=int, default=4, metavar="N", help="the same of the damaged ones [4]")
    parser.add_argument("--steps", type=_names, default=[step.value for step in Step], metavar="STEP,...", help="[all]")
    parser.add_argument("--kinds", type=_names, default=list(DAMAGES), metavar="KIND,...", help="of damage [all]")
    parser.add_argument("--scales", type=_factors, default=[1.0], metavar="FACTOR,...", help="sizes of pages [1]")
    parser.add_argument("--sets", type=_names, default=[], metavar="SET,...", help="[all]")
    parser.add_argument("--json", action="store_true")
    add_flags(parser, LOCAL_SETTINGS)
    return parser.parse_args()


def _factors(flag: str) -> list[float]:
    return [float(factor) for factor in _names(flag)]


def _names(flag: str) -> list[str]:
    return [name for name in flag.split(",") if name]


if __name__ == "__main__":
    sys.exit(main())
