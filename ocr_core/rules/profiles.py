"""Profiles: files that choose rules for callers."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from ocr_core.errors import OptionInvalid
from ocr_core.rules.extractors import CompiledExtractor
from ocr_core.rules.options import Extractor, FieldType, RuleOptions, UnicodeForm, WidthForm

_Choice = TypeVar("_Choice", bound=Enum)

_KNOWN = {field.name for field in fields(RuleOptions)} - {"profile"}


def read_profile(path: Path) -> RuleOptions:
    """A TOML file with the fields of RuleOptions; extractors is a table of patterns by name. Raises ValueError."""
    found = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    if unknown := found.keys() - _KNOWN:
        raise ValueError(f"there is no {min(unknown)}; there are {', '.join(sorted(_KNOWN))}")
    patterns = found.get("extractors", {})
    if not isinstance(patterns, dict):
        raise ValueError("extractors must be a table")
    try:
        options = RuleOptions(
            unicode_form=_chosen(UnicodeForm, found, "unicode_form"),
            width_form=_chosen(WidthForm, found, "width_form"),
            dictionary=_texts(found, "dictionary"),
            dictionary_name=str(found.get("dictionary_name", "")),
            field_types=tuple(map(FieldType, _texts(found, "field_types"))),
            extractors=tuple(Extractor(name, str(pattern)) for name, pattern in patterns.items()),
        )
        for extractor in options.extractors:
            CompiledExtractor(extractor, "extractors")
    except OptionInvalid as error:
        raise ValueError(error.message) from error
    return options


def _chosen(kind: type[_Choice], found: Mapping[str, Any], name: str) -> _Choice | None:
    return kind(found[name]) if name in found else None


def _texts(found: Mapping[str, Any], name: str) -> tuple[str, ...]:
    texts = found.get(name, [])
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{name} must be a list of texts")
    return tuple(texts)
