"""How well and how fast pages are read: Glyphwire, RapidOCR and Tesseract, each with its defaults, on two cores.

Every set of pages (folders with pages.json, see ocr_core.evaluation) at or below DIRECTORY is read by all of them, page
by page in turn, so that what else the machine does hits them alike; one page at a time, as a lone caller would send it.
Readers that are not installed are left out. RapidOCR and Tesseract: pip install
'glyphwire-server[serving-peers]', and Debian's tesseract-ocr-chi-sim; --peer-python names a Python that has them.

Figures: ocr_core.page_scores. p50, mean: time of a page, the fastest of its rounds.

Run: python -m bench.pages DIRECTORY [--rounds N] [--every N] [--peer-python PATH] [--json]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median
from typing import IO, Any

from bench.tables import markdown
from ocr_core.evaluation import PAGES, find_sets, read_pages
from ocr_core.page_scores import PageCounts, PageLine, compare_page, polygon_of

_CORES = 2
_READERS = {"glyphwire": "ocr_core", "rapidocr": "rapidocr", "tesseract": "tesserocr"}
"""Readers, and the module that each needs."""


@dataclass(frozen=True, slots=True)
class Result:
    """One reader on one set. Times in milliseconds per page."""

    set: str
    reader: str
    pages: int
    precision: float
    recall: float
    h_mean: float
    cer: float
    line_recall: float
    p50_ms: float
    mean_ms: float


class _Reader:
    """A process that reads pages."""

    def __init__(self, name: str, python: str, stack: ExitStack) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, "-m", "bench.page_readers", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_THREAD_LIMIT": str(_CORES)},
        )
        stack.callback(self._process.terminate)
        self._row()

    def read(self, image: Path) -> dict[str, Any]:
        """Time and lines of one page."""
        _pipe(self._process.stdin).write(f"{image}\n")
        _pipe(self._process.stdin).flush()
        return dict(json.loads(self._row()))

    def _row(self) -> str:
        row = _pipe(self._process.stdout).readline()
        if not row:
            raise RuntimeError(f"the reader {self.name} has ended")
        return row


def main() -> int:
    """Returns 0: the figures are for people to judge."""
    flags = _flags()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    with ExitStack() as stack:
        readers = [_Reader(name, python, stack) for name, python in _installed(flags)]
        sets = [folder for folder in find_sets(flags.directory) if (folder / PAGES).exists()]
        results = [result for folder in sets for result in _measure(readers, folder, flags.rounds, flags.every)]
    print(json.dumps([asdict(result) for result in results]) if flags.json else _table(results))
    return 0


def _installed(flags: Namespace) -> Iterator[tuple[str, str]]:
    """Readers, and the Python that runs each."""
    for name, module in _READERS.items():
        python = sys.executable if name == "glyphwire" else flags.peer_python
        probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        if subprocess.run([python, "-c", probe], check=False).returncode == 0:
            yield name, python
        else:
            print(f"not installed and left out: {name}", file=sys.stderr)


def _measure(readers: Sequence[_Reader], folder: Path, rounds: int, every: int) -> Iterator[Result]:
    pages = read_pages(folder)[::every]
    counts: dict[str, PageCounts] = defaultdict(PageCounts)
    times_ms: dict[str, list[float]] = defaultdict(list)
    for reader in readers:
        reader.read((folder / pages[0][0]).resolve())  # the first of a kind is slower
    for path, labels in pages:
        for reader in readers:
            answers = [reader.read((folder / path).resolve()) for _ in range(rounds)]
            times_ms[reader.name].append(min(answer["ms"] for answer in answers))
            found = [PageLine(line["text"], polygon_of(line["polygon"])) for line in answers[0]["lines"]]
            counts[reader.name] += compare_page(labels, found).counts
    for name, counted in counts.items():
        figures = (counted.precision, counted.recall, counted.h_mean, counted.cer, counted.line_recall)
        yield Result(folder.name, name, len(pages), *figures, median(times_ms[name]), fmean(times_ms[name]))


def _table(results: Sequence[Result]) -> str:
    header = ("set", "reader", "pages", "precision", "recall", "H-mean", "CER", "line recall", "p50, ms", "pages/s")
    rows = [
        (
            result.set,
            result.reader,
            result.pages,
            *(f"{value:.1%}" for value in (result.precision, result.recall, result.h_mean, result.cer)),
            f"{result.line_recall:.1%}",
            f"{result.p50_ms:.0f}",
            f"{1e3 / result.mean_ms:.2f}",
        )
        for result in results
    ]
    return markdown(header, rows)


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.pages", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="folder of labelled sets")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="times that each page is read [1]")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every Nth page [1]")
    parser.add_argument("--peer-python", default=sys.executable, metavar="PATH", help="[this one]")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
