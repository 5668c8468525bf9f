"""Rules and what they found: the part of server.convert that knows text after it was read."""

from __future__ import annotations

from collections.abc import Sequence

from glyphwire.v1 import ocr_pb2

from ocr_core.rules.findings import Correction, Field
from ocr_core.rules.options import NO_RULES, Extractor, FieldType, RuleOptions, UnicodeForm, WidthForm
from server.convert_enums import chosen
from server.convert_layout import polygon_message

_ROOT = "options.rules"

_UNICODE_FORMS = {ocr_pb2.UNICODE_FORM_UNSPECIFIED: None} | {
    ocr_pb2.UnicodeForm.Value(f"UNICODE_FORM_{form.name}"): form for form in UnicodeForm
}
_WIDTH_FORMS = {ocr_pb2.WIDTH_FORM_UNSPECIFIED: None} | {
    ocr_pb2.WidthForm.Value(f"WIDTH_FORM_{form.name}"): form for form in WidthForm
}
_FIELD_TYPES = {ocr_pb2.FieldType.Value(f"FIELD_TYPE_{kind.name}"): kind for kind in FieldType}


def rule_options(message: ocr_pb2.RuleOptions) -> RuleOptions:
    """Raises OptionInvalid."""
    if not message.ByteSize():
        return NO_RULES
    return RuleOptions(
        profile=message.profile,
        unicode_form=chosen(_UNICODE_FORMS, message.unicode_form, "unicode_form", root=_ROOT),
        width_form=chosen(_WIDTH_FORMS, message.width_form, "width_form", root=_ROOT),
        dictionary=tuple(message.dictionary),
        dictionary_name=message.dictionary_name,
        field_types=tuple(
            chosen(_FIELD_TYPES, kind, f"field_types[{number}]", root=_ROOT)
            for number, kind in enumerate(message.field_types)
        ),
        extractors=tuple(Extractor(each.name, each.pattern) for each in message.extractors),
    )


def correction_messages(corrections: Sequence[Correction]) -> list[ocr_pb2.Correction]:
    """Of one line."""
    return [
        ocr_pb2.Correction(rule=each.rule, before=each.before, after=each.after, start=each.start, end=each.end)
        for each in corrections
    ]


def field_messages(fields: Sequence[Field]) -> list[ocr_pb2.Field]:
    """Of one image."""
    return [
        ocr_pb2.Field(
            name=each.name,
            value=each.value,
            line=each.line,
            start=each.start,
            end=each.end,
            polygon=polygon_message(each.polygon),
        )
        for each in fields
    ]
