"""How a caller wants images to be read and answered: fields of a form, of a JSON object, or of the query."""

from __future__ import annotations

import enum
from typing import Annotated

import glyphwire
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

_MAX_ALTERNATIVES = 20


class OutputFormat(enum.StrEnum):
    """What an answer looks like."""

    JSON = "json"
    TEXT = "text"
    TSV = "tsv"
    HOCR = "hocr"
    ALTO = "alto"
    PDF = "pdf"


_PLACES_WORDS = {OutputFormat.HOCR, OutputFormat.ALTO, OutputFormat.PDF}


def _listed(value: object) -> object:
    """In a form, a list is one text with a row for each."""
    return [row for row in value.splitlines() if row] if isinstance(value, str) else value


class OcrOptions(BaseModel):
    """How to read and answer. What is left out is for the server to choose."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_max_length=100_000)

    model: str = Field("", description="name, or name/version; the server's default when empty")
    mode: glyphwire.Mode = Field(glyphwire.Mode.PAGE, description="page: find the lines first; line: one line of text")
    decoder: glyphwire.Decoder | None = Field(
        None, description="best_path, or prefix_beam, which `pattern`, `hot_words`, `lexicon` and others need"
    )
    beam_width: int | None = Field(None, ge=1, description="readings that a beam search keeps")
    alternatives: int = Field(0, ge=0, le=_MAX_ALTERNATIVES, description="further readings of each line")
    characters: bool = Field(False, description="confidence and place of each character")
    character_alternatives: int = Field(0, ge=0, le=_MAX_ALTERNATIVES, description="other characters for each")
    min_confidence: float = Field(0.0, ge=0, le=1, description="lines with less are left out")
    whitelist: str = Field("", description="characters that may be read")
    pattern: str = Field("", description="regular expression that a line must match as a whole")
    lexicon: Annotated[tuple[str, ...], BeforeValidator(_listed)] = Field(
        (), description="words of a line; in a form one per row"
    )
    lexicon_bonus: float | None = Field(None, description="words are so many nats likelier, instead of all there is")
    language_model: str = Field("", description="a language model that the server has")
    pages: str = Field("", description="of a document: 1-3,7,-2; all when empty")
    dpi: int | None = Field(None, ge=36, le=1200, description="at which pages of a PDF are rendered")
    ignore_text_layer: bool = Field(False, description="read the image of a page of a PDF that has text")
    password: str = Field("", description="opens an encrypted PDF")
    bulk: bool = Field(False, description="nobody waits for the answer: others go first")
    format: OutputFormat = Field(OutputFormat.JSON, description="of the answer")
    plain: bool = Field(False, description="JSON: `text` lists strings instead of objects")

    def recognize_options(self) -> glyphwire.RecognizeOptions:
        """What the server is asked."""
        return glyphwire.RecognizeOptions(
            model=self.model,
            mode=self.mode,
            decoder=self.decoder or self._needed_decoder(),
            beam_width=self.beam_width,
            alternatives=self.alternatives,
            include_characters=self.characters or self.character_alternatives > 0 or self.format in _PLACES_WORDS,
            character_alternatives=self.character_alternatives,
            min_confidence=self.min_confidence,
            language=glyphwire.LanguageOptions(
                whitelist=self.whitelist,
                pattern=self.pattern,
                lexicon=self.lexicon,
                lexicon_bonus=self.lexicon_bonus,
                language_model=self.language_model,
            ),
            priority=glyphwire.Priority.BULK if self.bulk else glyphwire.Priority.INTERACTIVE,
        )

    def _needed_decoder(self) -> glyphwire.Decoder:
        needs_beam = self.alternatives or self.character_alternatives or self.pattern or self.lexicon
        return glyphwire.Decoder.PREFIX_BEAM if needs_beam or self.language_model else glyphwire.Decoder.BEST_PATH
