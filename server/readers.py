"""Who reads an image for the command line: the pipeline in this process, or a server."""

from __future__ import annotations

import asyncio
import os
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import glyphwire

from ocr_core.document import Document, DocumentOptions, TextLayer
from ocr_core.document_file import check_size, document_of
from ocr_core.errors import OptionInvalid
from ocr_core.prepare.steps import Preparation, Switch, switches
from ocr_core.rules.options import Extractor, FieldType, RuleOptions, UnicodeForm, WidthForm
from ocr_core.types import DecodeMethod, DecodeOptions, LanguageOptions, Mode, PreprocessOptions, RecognizeOptions
from server.connections import connect
from server.reports import Recognition
from server.settings import Settings

if TYPE_CHECKING:
    from server.page_writers import PageOutcome

LOCAL_SETTINGS = (
    "models_dir",
    "language_dir",
    "default_model",
    "decoder_backend",
    "workers",
    "max_batch_size",
    "precision",
)
"""Settings of the pipeline, for commands that read in this process."""

_NO_DEADLINE_S = 86_400.0
_PATIENCE_S = 60.0
_DECODE = DecodeOptions()
_DOCUMENT = DocumentOptions()


class Reader(Protocol):
    """Reads images, several at a time, and documents."""

    async def recognize(self, image_bytes: bytes) -> Recognition:
        """Read one image. Raises ocr_core.errors.OcrError or glyphwire.OcrError."""

    def recognize_document(self, file: BinaryIO) -> AsyncGenerator[PageOutcome, None]:
        """Read the pages of a file that is open, until the generator is closed. Raises as recognize() does."""


def add_options(parser: ArgumentParser) -> None:
    """Give a parser the flags of RecognizeOptions."""
    group = parser.add_argument_group("recognition")
    group.add_argument("--model", default="", metavar="NAME", help="name or name/version [the default model]")
    group.add_argument("--mode", choices=[mode.value for mode in Mode], default=Mode.PAGE.value, help="[page]")
    decoders = [decoder.value.replace("_", "-") for decoder in DecodeMethod]
    group.add_argument(
        "--decoder", choices=decoders, help="[best-path; prefix-beam when alternatives or language need it]"
    )
    group.add_argument(
        "--beam-width", type=int, default=_DECODE.beam_width, metavar="N", help=f"[{_DECODE.beam_width}]"
    )
    group.add_argument("--alternatives", type=int, default=0, metavar="N", help="further readings of each line [0]")
    group.add_argument(
        "--character-alternatives", type=int, default=0, metavar="N", help="other characters for each [0]"
    )
    group.add_argument(
        "--prepare",
        type=_switches,
        default={},
        metavar="STEP=SWITCH,...",
        help="what is done to pixels first: off, or on, off or auto per step, deskew=on,denoise=off [auto]",
    )
    group.add_argument("--characters", action="store_true", help="confidence and position of each character (JSON)")
    group.add_argument("--structure", action="store_true", help="paragraphs, pairs of key and value, tables")
    group.add_argument("--min-confidence", type=float, default=0.0, metavar="P", help="leave out lines below it [0]")
    _add_language(parser)
    _add_rules(parser)


def add_document_options(parser: ArgumentParser) -> None:
    """Give a parser the flags of DocumentOptions."""
    group = parser.add_argument_group("documents", "PDFs, and TIFFs of several pages; see docs/documents.md.")
    group.add_argument(
        "--pages", default="", metavar="RANGES", help="which: 1-3,7,-2; --pages=-3--1 for the last three [all]"
    )
    group.add_argument("--dpi", type=int, default=_DOCUMENT.dpi, metavar="N", help=f"of PDFs [{_DOCUMENT.dpi}]")
    layers = [layer.value for layer in TextLayer]
    group.add_argument("--text-layer", choices=layers, default=layers[0], help="text that a PDF has [auto: if real]")
    group.add_argument("--password", default="", metavar="TEXT", help="of an encrypted PDF")


def _document_options(flags: Namespace) -> DocumentOptions:
    """Raises OptionInvalid."""
    return DocumentOptions(flags.pages, flags.dpi, TextLayer(flags.text_layer), flags.password)


def _client_document_options(flags: Namespace) -> glyphwire.DocumentOptions:
    layer = glyphwire.TextLayer(flags.text_layer)
    return glyphwire.DocumentOptions(flags.pages, flags.dpi, layer, flags.password)


def _add_language(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("language", "What is known of the text of every line.")
    group.add_argument("--pattern", default="", metavar="REGEX", help="what a line must match as a whole")
    group.add_argument("--whitelist", default="", metavar="CHARACTERS", help="characters that may be read")
    group.add_argument(
        "--hot-word",
        type=_hot_word,
        action="append",
        default=[],
        metavar="TEXT=NATS",
        dest="hot_words",
        help="a text that is so much likelier; may be repeated",
    )
    group.add_argument("--lexicon", type=_words, default=(), metavar="FILE", help="words of a line, one per row")
    group.add_argument(
        "--lexicon-bonus", type=float, metavar="NATS", help="words are so much likelier [there is nothing but words]"
    )
    group.add_argument("--language-model", default="", metavar="NAME", help="a model of language_dir")


def _add_rules(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("rules", "What is done to text once it was read; see docs/rules.md.")
    group.add_argument("--rules", default="", metavar="NAME", help="a profile of language_dir")
    group.add_argument("--unicode-form", choices=[form.value for form in UnicodeForm], help="[none]")
    group.add_argument("--width-form", choices=[form.value for form in WidthForm], help="[keep]")
    group.add_argument(
        "--dictionary",
        type=_words,
        default=(),
        metavar="FILE",
        help="words that what is like them becomes, one per row",
    )
    group.add_argument(
        "--field-type",
        action="append",
        default=[],
        choices=[kind.value for kind in FieldType],
        dest="field_types",
        help="what to look for and to repair; may be repeated",
    )
    group.add_argument(
        "--extract",
        type=_extractor,
        action="append",
        default=[],
        metavar="NAME=REGEX",
        dest="extractors",
        help="what else to look for; may be repeated",
    )


def _extractor(flag: str) -> tuple[str, str]:
    name, has_pattern, pattern = flag.partition("=")
    if not has_pattern:
        raise ArgumentTypeError(f"{flag!r} is no NAME=REGEX")
    return name, pattern


def _hot_word(flag: str) -> tuple[str, float]:
    text, _, nats = flag.rpartition("=")
    try:
        return text, float(nats)
    except ValueError:
        raise ArgumentTypeError(f"{flag!r} is no TEXT=NATS, such as Glyphwire=2.5") from None


def _words(path: str) -> tuple[str, ...]:
    try:
        return tuple(filter(None, Path(path).read_text(encoding="utf-8-sig").splitlines()))
    except OSError as error:
        raise ArgumentTypeError(str(error)) from None
    except UnicodeDecodeError as error:
        raise ArgumentTypeError(f"{path} is no UTF-8: {error}") from None


def _switches(flag: str) -> dict[str, Switch]:
    try:
        return switches(flag)
    except OptionInvalid as error:
        raise ArgumentTypeError(error.message) from None


def _method(flags: Namespace) -> DecodeMethod:
    if flags.decoder:
        return DecodeMethod(flags.decoder.replace("-", "_"))
    language = flags.pattern or flags.hot_words or flags.lexicon or flags.language_model
    needs_beam = language or flags.alternatives or flags.character_alternatives
    return DecodeMethod.PREFIX_BEAM if needs_beam else DecodeMethod.BEST_PATH


def core_options(flags: Namespace) -> RecognizeOptions:
    """Options for the pipeline in this process. Raises OptionInvalid."""
    return RecognizeOptions(
        model=flags.model,
        mode=Mode(flags.mode),
        decode=DecodeOptions(
            decoder=_method(flags),
            beam_width=flags.beam_width,
            alternatives=flags.alternatives,
            character_alternatives=flags.character_alternatives,
            language=LanguageOptions(
                pattern=flags.pattern,
                whitelist=flags.whitelist,
                hot_words=tuple(flags.hot_words),
                lexicon=flags.lexicon,
                lexicon_bonus=flags.lexicon_bonus,
                language_model=flags.language_model,
            ),
        ),
        preprocess=PreprocessOptions(preparation=Preparation(**flags.prepare)),
        include_characters=flags.characters,
        min_confidence=flags.min_confidence,
        include_structure=flags.structure,
        rules=RuleOptions(
            profile=flags.rules,
            unicode_form=UnicodeForm(flags.unicode_form) if flags.unicode_form else None,
            width_form=WidthForm(flags.width_form) if flags.width_form else None,
            dictionary=flags.dictionary,
            field_types=tuple(map(FieldType, flags.field_types)),
            extractors=tuple(Extractor(*each) for each in flags.extractors),
        ),
    )


def client_options(flags: Namespace) -> glyphwire.RecognizeOptions:
    """Options for a server, which checks them."""
    return glyphwire.RecognizeOptions(
        model=flags.model,
        mode=glyphwire.Mode(flags.mode),
        decoder=glyphwire.Decoder(_method(flags).value),
        beam_width=flags.beam_width,
        alternatives=flags.alternatives,
        character_alternatives=flags.character_alternatives,
        language=glyphwire.LanguageOptions(
            pattern=flags.pattern,
            whitelist=flags.whitelist,
            hot_words=dict(flags.hot_words),
            lexicon=flags.lexicon,
            lexicon_bonus=flags.lexicon_bonus,
            language_model=flags.language_model,
        ),
        preparation=client_preparation(flags.prepare),
        include_characters=flags.characters,
        min_confidence=flags.min_confidence,
        include_structure=flags.structure,
        rules=glyphwire.RuleOptions(
            profile=flags.rules,
            unicode_form=glyphwire.UnicodeForm(flags.unicode_form) if flags.unicode_form else None,
            width_form=glyphwire.WidthForm(flags.width_form) if flags.width_form else None,
            dictionary=flags.dictionary,
            field_types=tuple(map(glyphwire.FieldType, flags.field_types)),
            extractors=dict(flags.extractors),
        ),
    )


def client_preparation(chosen: Mapping[str, Switch]) -> glyphwire.Preparation:
    """Switches by the names of the fields, for a server."""
    return glyphwire.Preparation(**{name: glyphwire.Switch(switch.value) for name, switch in chosen.items()})


@asynccontextmanager
async def open_reader(flags: Namespace, settings: Settings) -> AsyncIterator[Reader]:
    """The server of --server, else the pipeline in this process. Raises OcrError when that cannot start."""
    if flags.server:
        async with connect(glyphwire.AsyncOcrClient, flags) as client:
            yield _RemoteReader(client, client_options(flags), flags)
    else:
        async with _local_reader(core_options(flags), settings, flags) as reader:
            yield reader


class _Turn:
    """Of one file, at a server that is busy, or whose token allows fewer calls than there are files on their way.

    over: notified whenever a file has been read, as another may then have its turn.
    """

    def __init__(self, over: asyncio.Condition) -> None:
        self._over = over
        self._until = time.monotonic() + _PATIENCE_S

    async def wait(self, error: glyphwire.OcrError) -> None:
        """For the next one, as long as the server says. Raises `error` when it does not, or has done so for long."""
        if error.retry_after_s is None or time.monotonic() > self._until:
            raise error
        with suppress(TimeoutError):
            async with self._over, asyncio.timeout(error.retry_after_s):
                await self._over.wait()

    async def end(self) -> None:
        async with self._over:
            self._over.notify()


class _RemoteReader:
    def __init__(self, client: glyphwire.AsyncOcrClient, options: glyphwire.RecognizeOptions, flags: Namespace) -> None:
        self._client = client
        self._options = options
        self._flags = flags
        self._over = asyncio.Condition()

    async def recognize(self, image_bytes: bytes) -> glyphwire.Recognition:
        turn = _Turn(self._over)
        while True:
            try:
                recognition = await self._client.recognize(image_bytes, self._options)
            except glyphwire.OcrError as error:
                await turn.wait(error)
            else:
                await turn.end()
                return recognition

    async def recognize_document(self, file: BinaryIO) -> AsyncGenerator[PageOutcome, None]:
        turn, is_begun = _Turn(self._over), False
        while True:
            try:
                async with aclosing(self._pages(file)) as pages:
                    async for page in pages:
                        is_begun = True
                        yield page
            except glyphwire.OcrError as error:
                if is_begun:
                    raise
                await turn.wait(error)
            else:
                return

    def _pages(self, file: BinaryIO) -> AsyncGenerator[PageOutcome, None]:
        # The file is needed again, so the client gets one of its own to close.
        copy = os.fdopen(os.dup(file.fileno()), "rb")
        copy.seek(0)
        chosen = _client_document_options(self._flags)
        return self._client.recognize_document(copy, self._options, document_options=chosen)


@asynccontextmanager
async def _local_reader(options: RecognizeOptions, settings: Settings, flags: Namespace) -> AsyncIterator[Reader]:
    # Here and not above: a client of a server does not wait for the engine to be imported.
    from server.app import build_pipeline
    from server.batcher import Batcher
    from server.document_reading import DocumentJob, DocumentReading, closing
    from server.request import Job

    class LocalReader:
        async def recognize(self, image_bytes: bytes) -> Recognition:
            deadline = time.monotonic() + _NO_DEADLINE_S
            return await batcher.submit(Job(image_bytes, options), deadline)

        def recognize_document(self, file: BinaryIO) -> AsyncGenerator[PageOutcome, None]:
            deadline = time.monotonic() + _NO_DEADLINE_S
            reading = DocumentReading(
                batcher, settings.document_limits, None, deadline=deadline, page_timeout_s=_NO_DEADLINE_S
            )
            return reading.pages(_source(file))

    @asynccontextmanager
    async def _source(file: BinaryIO) -> AsyncIterator[tuple[Document, DocumentJob]]:
        check_size(file.seek(0, os.SEEK_END), settings.document_limits)
        wanted = DocumentJob(Job(b"", options), _document_options(flags))
        async with closing(document_of(file, wanted.options, settings.document_limits), batcher) as document:
            yield document, wanted

    batcher = Batcher(build_pipeline(settings), settings)
    try:
        await batcher.start()
        yield LocalReader()
    finally:
        batcher.close()
