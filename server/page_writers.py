"""What `glyphwire recognize` writes: rows as pages come, one XML file of all pages, or one PDF."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias

import glyphwire

from ocr_core import alto, hocr
from ocr_core.errors import SetupError
from ocr_core.page_output import OutputPage
from server.errors import SettingsInvalid
from server.reports import FORMATS, HTML_HEADER, STRUCTURE_FORMATS, TSV_HEADER, Recognition, report
from server.settings import Settings

if TYPE_CHECKING:
    from server.document_reading import ReadPage

    # The same fields, whether read in this process or by a server.
    PageOutcome: TypeAlias = ReadPage | glyphwire.DocumentPage

_XML: dict[str, ModuleType] = {"hocr": hocr, "alto": alto}

MARKUP = tuple(_XML)
"""Formats that show what lines form together."""

PAGED = (*MARKUP, "pdf")
"""Formats of whole files: an image is a page in them."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an image, or of a page. page: None for an image, and when a document failed as a whole.

    file: of the document, open as long as its pages come.
    """

    path: str
    outcome: Recognition | Exception
    page: PageOutcome | None = None
    file: BinaryIO | None = None

    @property
    def source(self) -> str:
        """The path, with the page where there is more than one."""
        if self.page is None or self.page.page_count == 1:
            return self.path
        return f"{self.path}#page={self.page.page_number}"


class PageWriter(Protocol):
    """Takes results in their order."""

    def add(self, result: Result, recognition: Recognition | None) -> None:
        """One of them. recognition: its outcome; None for what could not be read."""


def add_output(parser: ArgumentParser) -> None:
    """Give a parser --format and --output."""
    parser.add_argument("--format", choices=(*FORMATS, *STRUCTURE_FORMATS, *PAGED), default="text", help="[text]")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there [standard output]")


@contextmanager
def page_writer(flags: Namespace, settings: Settings, *, titled: bool) -> Iterator[PageWriter]:
    """The writer of --format and --output. titled: whether plain text names its sources.

    Raises SettingsInvalid for a PDF that would go to a terminal, SetupError for one without the extra `documents`, and
    OSError.
    """
    if flags.format == "pdf":
        if flags.output is None and sys.stdout.isatty():
            raise SettingsInvalid("a PDF is nothing for a terminal: name a file with --output")
        writer = _PdfWriter(settings, flags.password)
        if flags.output:
            _check_writable(flags.output)
        yield writer
        if writer.has_pages:
            with _binary(flags.output) as out:
                writer.save(out)
        return
    with _text(flags.output) as write:
        if flags.format in _XML:
            write(_XML[flags.format].HEAD)
            yield _XmlWriter(_XML[flags.format], write)
            write(_XML[flags.format].TAIL)
        else:
            if flags.format == "tsv" and not flags.structure:
                write(TSV_HEADER + "\n")
            if flags.format == "html":
                write(HTML_HEADER + "\n")
            yield _RowWriter(flags.format, write, titled=titled)


class _RowWriter:
    def __init__(self, form: str, write: Callable[[str], object], *, titled: bool) -> None:
        self._form = form
        self._write = write
        self._titled = titled

    def add(self, result: Result, recognition: Recognition | None) -> None:
        if recognition is None:
            return
        titled = self._titled or result.source != result.path
        for row in report(self._form, result.source, recognition, titled=titled, page=page_fields(result.page)):
            self._write(row + "\n")


class _XmlWriter:
    def __init__(self, form: ModuleType, write: Callable[[str], object]) -> None:
        self._form = form
        self._write = write
        self._position = 0

    def add(self, result: Result, recognition: Recognition | None) -> None:
        if recognition is None or result.page is None:
            return
        self._position += 1
        page = OutputPage(result.path, result.page.page_number, self._position, result.page.dpi, recognition)
        self._write(self._form.page(page))


class _PdfWriter:
    def __init__(self, settings: Settings, password: str) -> None:
        # Here and not above: no other format needs PDFium.
        try:
            from ocr_core.searchable_pdf import SearchablePdf
        except ImportError as error:
            raise SetupError(f"PDFs need {error.name}: install glyphwire-server[documents]") from None

        self._pdf = SearchablePdf(settings.image_limits)
        self._password = password
        self.has_pages = False

    def add(self, result: Result, recognition: Recognition | None) -> None:
        if result.page is None or result.file is None:
            return
        self.has_pages = True
        is_read = _name(result.page.source) == "ocr"
        self._pdf.add(
            result.file,
            result.page.page_number,
            recognition if is_read else None,
            dpi=result.page.dpi,
            password=self._password,
        )

    def save(self, out: BinaryIO) -> None:
        """Write the file."""
        self._pdf.save(out)


def page_fields(page: PageOutcome | None) -> dict[str, object]:
    """What JSON says of a page besides what was read there."""
    if page is None:
        return {}
    fields = {name: getattr(page, name) for name in ("page_number", "page_count", "dpi")}
    return fields | {"page_source": _name(page.source)}


def _name(source: Enum | None) -> str:
    return str(source.value) if source else ""


@contextmanager
def _text(path: Path | None) -> Iterator[Callable[[str], object]]:
    if path is None:
        yield lambda text: print(text, end="", flush=True)
        return
    with path.open("w", encoding="utf-8") as file:
        yield file.write


def _check_writable(path: Path) -> None:
    """Before all pages are read in vain. What is there stays: it may be what is read. Raises OSError."""
    if not path.exists():
        path.open("xb").close()
        path.unlink()
    elif not path.is_fifo():
        path.open("ab").close()


@contextmanager
def _binary(path: Path | None) -> Iterator[BinaryIO]:
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    with path.open("wb") as file:
        yield file
