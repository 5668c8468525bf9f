"""Does a scanned document stream its first page at once, and fit into little memory? Is its text found where it is?

Starts a server of its own and sends it a scanned PDF made for the purpose (bench/scanned_document.py). Memory is that
of the server, of its engine process if it has one and of the process that renders, as seen every 20 ms (Linux only):
resident, where what several of them share counts several times; the anonymous part of it, which is without the
pages of libraries and of the document that any process may share and the kernel may drop; and, every 200 ms, what they
take together where each page that they share counts once (PSS of /proc/PID/smaps_rollup), which is what is limited.
Then a searchable PDF is made of what was read, and pdftotext (of poppler-utils) has to find each printed line's
characters inside that line's box.

Run: python -m bench.documents [--pages 100] [--lines 24] [--first-only] [--output FILE]
Exit status 1: a page failed, or a limit is exceeded.
"""

from __future__ import annotations

import io
import itertools
import shutil
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from xml.etree import ElementTree

import glyphwire

from bench.scanned_document import DPI, PrintedLine, Truth, scanned_document
from bench.tables import markdown
from ocr_core.evaluation import score_texts
from ocr_core.image_limits import ImageLimits
from ocr_core.page_scores import normalise
from ocr_core.searchable_pdf import SearchablePdf
from server.commands_demo import ServerProcess
from server.engine_link import ENGINE_FLAG
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_SAMPLE_S = 0.02
_SAMPLES_PER_PROPORTIONAL = 10
"""Finding out who shares what takes the kernel a millisecond or more."""

_FIRST_ROUNDS = 3
_MARGIN = 6.0
"""Pixels by which a word's middle may lie outside its line."""


class Memory(threading.Thread):
    """Peaks of a process and its children while it runs, in MB (10^6 bytes)."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ended = threading.Event()
        self.server = self.engine = self.renderer = self.together = self.anonymous = self.proportional = 0.0

    def run(self) -> None:
        """Look until it is stopped."""
        for sample in itertools.count():
            if self._ended.wait(_SAMPLE_S):
                return
            statuses = {pid: _status(pid) for pid in (self._pid, *_children(self._pid))}
            if sample % _SAMPLES_PER_PROPORTIONAL == 0:
                self._note("proportional", sum(_mb(_status(pid, "smaps_rollup"), "Pss") for pid in statuses))
            for pid, status in statuses.items():
                self._note(self._role(pid), _mb(status, "VmHWM"))
            for name, field in (("together", "VmRSS"), ("anonymous", "RssAnon")):
                self._note(name, sum(_mb(each, field) for each in statuses.values()))

    def _role(self, pid: int) -> str:
        if pid == self._pid:
            return "server"
        return "engine" if ENGINE_FLAG.encode() in _command(pid) else "renderer"

    def _note(self, name: str, mb: float) -> None:
        setattr(self, name, max(getattr(self, name), mb))

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()
        self.join()


def main() -> int:
    """Returns 1 when something is not as it should be."""
    flags = _flags()
    content, truth = scanned_document(flags.pages, flags.lines, flags.seed)
    print(f"{flags.pages} pages of {flags.lines} lines, {len(content) / 1e6:.1f} MB\n")
    with ServerProcess(load_settings(flags)) as server, glyphwire.OcrClient(server.target) as client:
        server.wait_ready(client)
        idle_mb = sum(_mb(_status(pid), "VmRSS") for pid in (server.pid, *_children(server.pid)))
        if flags.first_only:
            first = [_first_page_s(client, content) for _ in range(_FIRST_ROUNDS)]
            print(markdown(["first page, s", "of a cold server"], [[f"{median(first):.2f}", f"{first[0]:.2f}"]]))
            return int(median(first) > flags.max_first_s)
        with _measured(server.pid) as memory:
            started = time.perf_counter()
            pages, times = [], []
            for page in client.recognize_document(content, glyphwire.RecognizeOptions(include_characters=True)):
                pages.append(page)
                times.append(time.perf_counter() - started)
        header = ["first page, s", "pages/s", "idle, MB", "server", "engine", "renderer", "together", "anonymous"]
        header.append("shared once")
        figures = [times[0], len(pages) / times[-1], idle_mb]
        figures += [memory.server, memory.engine, memory.renderer, memory.together, memory.anonymous]
        figures.append(memory.proportional)
        print(markdown(header, [[f"{figure:.2f}" if figure < 10 else f"{figure:.0f}" for figure in figures]]))
    failed = [page for page in pages if isinstance(page.outcome, glyphwire.OcrError)]
    made = _searchable(content, pages)
    if flags.output:
        flags.output.write_bytes(made)
    print(f"\n{_found(made, pages, truth)}")
    return int(bool(failed) or memory.proportional > flags.max_mb)


def _first_page_s(client: glyphwire.OcrClient, content: bytes) -> float:
    started = time.perf_counter()
    pages = client.recognize_document(content)
    next(pages)
    taken = time.perf_counter() - started
    pages.close()
    return taken


@contextmanager
def _measured(pid: int) -> Iterator[Memory]:
    memory = Memory(pid)
    memory.start()
    try:
        yield memory
    finally:
        memory.stop()


def _children(pid: int) -> list[int]:
    """Without those that still share the memory of their parent, as they have not begun their own program."""
    try:
        children = [
            int(child) for path in Path(f"/proc/{pid}/task").glob("*/children") for child in path.read_text().split()
        ]
    except OSError:
        return []
    return [child for child in children if _command(child) not in (b"", _command(pid))]


def _command(pid: int) -> bytes:
    """Empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _status(pid: int, file: str = "status") -> dict[str, str]:
    """What the kernel says of a process; nothing when it is gone."""
    try:
        rows = Path(f"/proc/{pid}/{file}").read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    return dict(row.split(":", 1) for row in rows if ":" in row)


def _mb(status: dict[str, str], field: str) -> float:
    return int(status.get(field, "0 kB").removesuffix("kB")) * 1024 / 1e6


def _searchable(content: bytes, pages: list[glyphwire.DocumentPage]) -> bytes:
    pdf, source, out = SearchablePdf(ImageLimits()), io.BytesIO(content), io.BytesIO()
    for page in pages:
        outcome = page.outcome
        pdf.add(source, page.page_number, None if isinstance(outcome, glyphwire.OcrError) else outcome)
    pdf.save(out)
    return out.getvalue()


def _found(made: bytes, pages: list[glyphwire.DocumentPage], truth: Truth) -> str:
    """How much of what is printed pdftotext finds at its place."""
    command = shutil.which("pdftotext")
    if command is None:
        return "pdftotext is not installed: the searchable PDF was not looked at"
    printed = subprocess.run([command, "-bbox", "-", "-"], input=made, capture_output=True, check=True).stdout
    parsed = ElementTree.fromstring(printed)  # noqa: S314 - of a file of ours
    words = [list(_words(page)) for page in parsed.iter() if page.tag.endswith("}page")]
    lines = [line for page in truth for line in page]
    found = ["".join(_inside(words[number], line)) for number, page in enumerate(truth) for line in page]
    read = "".join(page.outcome.text for page in pages if isinstance(page.outcome, glyphwire.Recognition))
    in_file = "".join(text for page in words for text, _, _ in page)
    score = score_texts("found", [line.text for line in lines], found)
    is_complete = sorted(normalise(read)) == sorted(normalise(in_file))
    row = [len(lines), f"{score.exact_norm:.3f}", f"{score.cer_norm:.4f}", "yes" if is_complete else "no"]
    header = ["printed lines", "found whole inside their box", "CER inside the box", "all that was read is there"]
    return markdown(header, [row])


def _words(page: ElementTree.Element) -> Iterator[tuple[str, float, float]]:
    """Text and middle of each word, in pixels of the scan."""
    for word in page.iter():
        if "xMin" in word.attrib:
            x0, y0, x1, y1 = (float(word.attrib[name]) * DPI / 72 for name in ("xMin", "yMin", "xMax", "yMax"))
            yield word.text or "", (x0 + x1) / 2, (y0 + y1) / 2


def _inside(words: list[tuple[str, float, float]], line: PrintedLine) -> Iterator[str]:
    left, top, right, bottom = line.box
    for text, x, y in sorted(words, key=lambda word: word[1]):
        if left - _MARGIN <= x <= right + _MARGIN and top - _MARGIN <= y <= bottom + _MARGIN:
            yield text


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.documents", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=100, metavar="N", help="[100]")
    parser.add_argument("--lines", type=int, default=24, metavar="N", help="on each page [24]")
    parser.add_argument("--seed", type=int, default=1, help="[1]")
    parser.add_argument("--first-only", action="store_true", help="time the first page, and nothing else")
    parser.add_argument("--output", type=Path, metavar="FILE", help="keep the searchable PDF there")
    parser.add_argument("--max-first-s", type=float, default=1.0, metavar="S", help="[1]")
    parser.add_argument("--max-mb", type=float, default=400.0, metavar="MB", help="[400]")
    add_flags(parser, LOCAL_SETTINGS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
