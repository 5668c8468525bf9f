"""What is done to text once it was read, and what that finds. The contract, ocr.proto, has the fine print."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from glyphwire.types import Polygon


class UnicodeForm(enum.Enum):
    """Unicode normalisation."""

    NONE = "none"
    NFC = "nfc"
    NFKC = "nfkc"


class WidthForm(enum.Enum):
    """Width of characters that Unicode has twice: half that of Chinese characters, or theirs."""

    KEEP = "keep"
    HALF = "half"
    HALF_ALPHANUMERIC = "half_alphanumeric"
    FULL = "full"


class FieldType(enum.Enum):
    """What a part of a line can be."""

    DATE = "date"
    AMOUNT = "amount"
    PHONE = "phone"
    RESIDENT_ID = "resident_id"
    CREDIT_CODE = "credit_code"
    IBAN = "iban"
    BANK_CARD = "bank_card"
    ISBN = "isbn"
    EAN = "ean"


@dataclass(frozen=True)
class RuleOptions:
    """What is done to the text of every line, in the order of the fields; nothing unless asked for.

    profile: rules that the server has under that name; what else is set here is added to them.
    dictionary: words that text becomes when it is nearly one of them; dictionary_name: a lexicon of the server.
    field_types: what to look for and to repair. extractors: patterns in the syntax of RE2, by the names of the fields
    that they find. Both give Recognition.fields.
    """

    profile: str = ""
    unicode_form: UnicodeForm | None = None
    width_form: WidthForm | None = None
    dictionary: Sequence[str] = ()
    dictionary_name: str = ""
    field_types: Sequence[FieldType] = ()
    extractors: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Correction:
    """A part of a line that a rule has changed. start, end: of what stands there in Line.raw_text.

    rule: the field of RuleOptions, or the value of a FieldType.
    """

    rule: str
    before: str
    after: str
    start: int
    end: int


@dataclass(frozen=True)
class Field:
    """A part of a line that a rule has found. name: of the extractor, or the value of a FieldType.

    line: its index in the recognition; start, end: in the line's text.
    """

    name: str
    value: str
    line: int
    start: int
    end: int
    polygon: Polygon
