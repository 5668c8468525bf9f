"""How a caller wants images to be read and answered: fields of a form, of a JSON object, or of the query."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Annotated, get_args

import glyphwire
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema, field_validator

from ocr_core.document import MAX_DPI, MIN_DPI
from ocr_core.errors import OptionInvalid
from ocr_core.prepare.steps import Switch, switches
from server.readers import client_preparation


class OutputFormat(enum.StrEnum):
    """What an answer looks like."""

    JSON = "json"
    TEXT = "text"
    TSV = "tsv"
    MARKDOWN = "markdown"
    HTML = "html"
    HOCR = "hocr"
    ALTO = "alto"
    PDF = "pdf"


_PLACES_WORDS = {OutputFormat.HOCR, OutputFormat.ALTO, OutputFormat.PDF}
_HAS_STRUCTURE = {OutputFormat.MARKDOWN, OutputFormat.HTML, OutputFormat.HOCR, OutputFormat.ALTO}


def _listed(value: object) -> object:
    """In a form, a list is one text with a row for each."""
    return [row for row in value.splitlines() if row] if isinstance(value, str) else value


def _weighed(value: object) -> object:
    """In a form, hot words are one text with a row for each, as in the flags of the command line."""
    return dict(map(_hot_word, filter(None, value.splitlines()))) if isinstance(value, str) else value


def _hot_word(row: str) -> tuple[str, float]:
    text, _, nats = row.rpartition("=")
    if not text:
        raise ValueError(f"{row!r} has no weight: it must be {row}=NATS")
    return text, float(nats)


def _switched(value: object) -> object:
    try:
        return switches(value) if isinstance(value, str) and value else value or {}
    except OptionInvalid as error:
        raise ValueError(error.message) from None


def _by_name(value: object) -> object:
    """In a form, extractors are one text with a row for each."""
    return dict(map(_extractor, filter(None, value.splitlines()))) if isinstance(value, str) else value


def _extractor(row: str) -> tuple[str, str]:
    name, has_pattern, pattern = row.partition("=")
    if not has_pattern:
        raise ValueError(f"{row!r} has no name: it must be NAME={row}")
    return name, pattern


class OcrOptions(BaseModel):
    """How to read and answer. What is left out is for the server to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=100_000)

    model: str = Field("", description="name, or name/version; the server's default when empty")
    mode: glyphwire.Mode = Field(glyphwire.Mode.PAGE, description="page: find the lines first; line: one line of text")
    decoder: glyphwire.Decoder | None = Field(
        None, description="best_path, or prefix_beam, which `pattern`, `hot_words`, `lexicon` and others need"
    )
    beam_width: int | None = Field(None, ge=1, le=256, description="readings that a beam search keeps")
    prune_top_k: int | None = Field(None, ge=1, description="classes that a beam search looks at per timestep")
    prune_min_prob: float | None = Field(None, ge=0, lt=1, description="a beam search leaves out less likely classes")
    prune_cum_prob: float | None = Field(
        None, gt=0, le=1, description="a beam search stops when classes are together this likely"
    )
    alternatives: int = Field(0, ge=0, le=32, description="further readings of each line")
    characters: bool = Field(False, description="confidence and place of each character")
    character_alternatives: int = Field(0, ge=0, le=16, description="other characters for each")
    min_confidence: float = Field(0.0, ge=0, le=1, description="lines with less are left out")
    whitelist: str = Field("", description="characters that may be read")
    pattern: str = Field("", description="regular expression that a line must match as a whole")
    hot_words: Annotated[dict[str, float], BeforeValidator(_weighed)] = Field(
        {}, description="texts that are so many nats likelier; in a form one TEXT=NATS per row"
    )
    hot_words_name: str = Field("", description="a list of hot words that the server has")
    lexicon: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (), description="words of a line; in a form one per row"
    )
    lexicon_name: str = Field("", description="a list of words that the server has")
    lexicon_bonus: float | None = Field(None, description="words are so many nats likelier, instead of all there is")
    lexicon_separators: str | None = Field(None, description="characters between words; empty: none [a space]")
    language_model: str = Field("", description="a language model that the server has")
    language_model_weight: float | None = Field(None, ge=0, description="how much it counts against the image")
    language_model_bonus: float = Field(0.0, description="nats by which each character is likelier then")
    prepare: Annotated[
        Mapping[str, Switch], BeforeValidator(_switched), WithJsonSchema({"type": "string", "default": ""})
    ] = Field(
        {}, description="steps of preparation: off, or on, off or auto for each, as in deskew=on,denoise=off [auto]"
    )
    apply_exif_orientation: bool | None = Field(None, description="turn the image as its file says [true]")
    rotate_vertical: bool | None = Field(None, description="read high lines turned by 90 degrees [true]")
    classify_orientation: bool | None = Field(None, description="turn lines that are upside down [for pages]")
    detector_max_side: int | None = Field(None, description="pixels of the copy in which lines are looked for")
    structure: bool = Field(False, description="paragraphs, pairs of key and value, tables")
    rules: str = Field("", description="a profile of rules that the server has")
    unicode_form: glyphwire.UnicodeForm | None = Field(None, description="Unicode normalisation: none, nfc, nfkc")
    width_form: glyphwire.WidthForm | None = Field(None, description="keep, half, half_alphanumeric or full")
    dictionary: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (), description="words that what is like them becomes; in a form one per row"
    )
    dictionary_name: str = Field("", description="a list of such words that the server has")
    field_types: Annotated[tuple[glyphwire.FieldType, ...], BeforeValidator(_listed)] = Field(
        (), description="what to look for and to repair; in a form one per row"
    )
    extractors: Annotated[dict[str, str], BeforeValidator(_by_name)] = Field(
        {}, description="regular expressions by the names of the fields that they find; in a form rows of NAME=REGEX"
    )
    pages: str = Field("", description="of a document: 1-3,7,-2; all when empty")
    dpi: int | None = Field(None, ge=MIN_DPI, le=MAX_DPI, description="at which pages of a PDF are rendered")
    ignore_text_layer: bool = Field(False, description="read the image of a page of a PDF that has text")
    password: str = Field("", description="opens an encrypted PDF")
    bulk: bool = Field(False, description="nobody waits for the answer: others go first")
    format: OutputFormat = Field(OutputFormat.JSON, description="of the answer")
    plain: bool = Field(False, description="JSON: `text` lists strings instead of objects")

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_numbers(cls, value: object, info: ValidationInfo) -> object:
        """Pydantic takes true for 1, and a least confidence of 1 leaves out every line."""
        kind = cls.model_fields[str(info.field_name)].annotation
        if isinstance(value, bool) and bool not in (kind, *get_args(kind)):
            raise ValueError("must not be true or false")
        return value

    def recognize_options(self) -> glyphwire.RecognizeOptions:
        """What the server is asked."""
        return glyphwire.RecognizeOptions(
            model=self.model,
            mode=self.mode,
            decoder=self.decoder or self._needed_decoder(),
            beam_width=self.beam_width,
            prune_top_k=self.prune_top_k,
            prune_min_prob=self.prune_min_prob,
            prune_cum_prob=self.prune_cum_prob,
            alternatives=self.alternatives,
            include_characters=self.characters or self.character_alternatives > 0 or self.format in _PLACES_WORDS,
            character_alternatives=self.character_alternatives,
            min_confidence=self.min_confidence,
            language=self._language(),
            preparation=client_preparation(self.prepare),
            apply_exif_orientation=self.apply_exif_orientation,
            rotate_vertical=self.rotate_vertical,
            classify_orientation=self.classify_orientation,
            detector_max_side=self.detector_max_side,
            include_structure=self.structure or self.format in _HAS_STRUCTURE,
            rules=glyphwire.RuleOptions(
                profile=self.rules,
                unicode_form=self.unicode_form,
                width_form=self.width_form,
                dictionary=self.dictionary,
                dictionary_name=self.dictionary_name,
                field_types=self.field_types,
                extractors=self.extractors,
            ),
            priority=glyphwire.Priority.BULK if self.bulk else glyphwire.Priority.INTERACTIVE,
        )

    def document_options(self) -> glyphwire.DocumentOptions:
        """How the server is asked to take a document apart."""
        return glyphwire.DocumentOptions(
            pages=self.pages,
            dpi=self.dpi,
            text_layer=glyphwire.TextLayer.IGNORE if self.ignore_text_layer else glyphwire.TextLayer.AUTO,
            password=self.password,
        )

    def _language(self) -> glyphwire.LanguageOptions:
        return glyphwire.LanguageOptions(
            whitelist=self.whitelist,
            pattern=self.pattern,
            hot_words=self.hot_words,
            hot_words_name=self.hot_words_name,
            lexicon=self.lexicon,
            lexicon_name=self.lexicon_name,
            lexicon_bonus=self.lexicon_bonus,
            lexicon_separators=self.lexicon_separators,
            language_model=self.language_model,
            language_model_weight=self.language_model_weight,
            language_model_bonus=self.language_model_bonus,
        )

    def _needed_decoder(self) -> glyphwire.Decoder:
        language = (self.pattern, self.hot_words, self.hot_words_name, self.lexicon, self.lexicon_name)
        needs_beam = self.alternatives or self.character_alternatives or any(language) or self.language_model
        return glyphwire.Decoder.PREFIX_BEAM if needs_beam else glyphwire.Decoder.BEST_PATH
