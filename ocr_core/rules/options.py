"""What callers choose of the rules."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from ocr_core.errors import OptionInvalid
from ocr_core.option_checks import check_range, check_words

_NAME = re.compile(r"[\w.-]{1,64}")


class UnicodeForm(Enum):
    """Unicode normalisation."""

    NONE = "none"
    NFC = "nfc"
    NFKC = "nfkc"


class WidthForm(Enum):
    """Width of characters that Unicode has twice: half that of Chinese characters, or theirs."""

    KEEP = "keep"
    HALF = "half"
    HALF_ALPHANUMERIC = "half_alphanumeric"
    FULL = "full"


class FieldType(Enum):
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


@dataclass(frozen=True, slots=True)
class Extractor:
    """A regular expression in the syntax of RE2, and the name of the fields that it finds."""

    name: str
    pattern: str


@dataclass(frozen=True, slots=True)
class RuleOptions:
    """What is done to text once it was read. Raises OptionInvalid when a value is out of its range.

    None: what the profile says. Names are those of files that the pipeline can read, empty for none.
    """

    profile: str = ""
    unicode_form: UnicodeForm | None = None
    width_form: WidthForm | None = None
    dictionary: tuple[str, ...] = ()
    dictionary_name: str = ""
    field_types: tuple[FieldType, ...] = ()
    extractors: tuple[Extractor, ...] = ()

    def __post_init__(self) -> None:
        check_words("rules.dictionary", self.dictionary, 10_000)
        check_range("rules.extractors", len(self.extractors), 0, 64, "' number")
        names = set[str]()
        for number, extractor in enumerate(self.extractors):
            place = f"rules.extractors[{number}]"
            if not _NAME.fullmatch(extractor.name) or extractor.name in names:
                raise OptionInvalid(
                    f"{place}.name is {extractor.name!r}, must be of 1 to 64 letters, digits, _ - and ., "
                    "and another one for each extractor",
                    f"options.{place}.name",
                )
            names.add(extractor.name)
            check_range(f"{place}.pattern", len(extractor.pattern), 1, 1000, "'s length")

    def over(self, profile: RuleOptions) -> RuleOptions:
        """These options, and where they say nothing those of the profile. Extractors go before their namesakes."""
        extractors = {each.name: each for each in (*profile.extractors, *self.extractors)}
        return RuleOptions(
            unicode_form=self.unicode_form or profile.unicode_form,
            width_form=self.width_form or profile.width_form,
            dictionary=(*profile.dictionary, *self.dictionary),
            dictionary_name=self.dictionary_name or profile.dictionary_name,
            field_types=tuple(dict.fromkeys((*profile.field_types, *self.field_types))),
            extractors=tuple(extractors.values()),
        )


NO_RULES = RuleOptions()
