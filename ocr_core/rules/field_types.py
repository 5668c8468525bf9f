"""Parts of a line that are a date, an amount, a number with check digits: found, and repaired where they can be.

Shapes are regular expressions of Python, in which %d stands for a digit or what looks like one, %c for a digit or what
looks very much like one, and %x, %a, %u and %n for the like of other alphabets; groups named by these letters and a
number hold what is repaired. All of them take time linear in the length of a line.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass

from ocr_core.rules import check_digits
from ocr_core.rules.draft import Draft
from ocr_core.rules.lookalikes import LOOKALIKES
from ocr_core.rules.options import FieldType
from ocr_core.rules.unicode_text import half_width

_DIGITS = "0123456789"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALPHABETS = {
    "c": _DIGITS,
    "d": _DIGITS,
    "x": _DIGITS + "X",
    "a": _LETTERS,
    "u": check_digits.CREDIT_CODE_CHARACTERS,
    "n": _DIGITS + _LETTERS,
}

_APART = r"(?<![0-9A-Za-z])(?<![0-9][.,/-])", r"(?![0-9A-Za-z])(?![.,/-][0-9])"
"""What a field does not touch."""

_ALONE = r"(?<![0-9]{4} )", r"(?! [0-9]{4}(?![0-9]))"
"""What is not one of several groups of digits."""

_NO_EDGE = r"(?![Iil|!Ss])"
"""A line beside a number looks like 1, and a dollar sign like S: where there may be one digit less, they are none."""

_NO_EDGE_BEFORE = r"(?<![Iil|!])"
_NO_SHARE = r"(?! ?%)"
_MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_CURRENCY = r"(?:(?:RM|RMB|CNY|USD|EUR|GBP|HKD|SGD|MYR|[A-Z]{0,2}\$|[¥€£]) ?)"


@dataclass(frozen=True, slots=True)
class _Form:
    """What a field looks like. is_valid: whether a text of that shape is one; has_check_digits: whether it can tell."""

    shapes: tuple[str, ...]
    is_valid: Callable[[str], bool]
    has_check_digits: bool = True


_FORMS = {
    FieldType.DATE: _Form(
        (
            rf"{_NO_EDGE}(?P<c1>%c{{4}}(?P<s>[-/.])%c{{1,2}}(?P=s)%c{{1,2}}){_NO_EDGE_BEFORE}",
            rf"{_NO_EDGE}(?P<c1>%c{{1,2}}(?P<s>[-/.])%c{{1,2}}(?P=s)(?:%c{{4}}|%c{{2}}))",
            rf"{_NO_EDGE}(?P<c1>%c{{4}} ?年 ?%c{{1,2}} ?月 ?%c{{1,2}} ?日?)",
            rf"{_NO_EDGE}(?P<c1>%c{{1,2}})[ /-]?{_MONTH}[ ,/-]{{0,2}}(?P<c2>%c{{4}}|%c{{2}})",
            rf"(?P<m>{_MONTH}) ?(?P<c1>%c{{1,2}})(?:, ?| )(?P<c2>%c{{4}})",
        ),
        check_digits.is_date,
        has_check_digits=False,
    ),
    FieldType.AMOUNT: _Form(
        (
            rf"{_CURRENCY}?-?(?P<c1>[0-9]%c{{0,2}}(?:,%c{{3}})+\.%c{{2}}|(?:[0-9]%c*|[Oo])\.%c{{2}}){_NO_SHARE}",
            rf"{_CURRENCY}?-?(?P<c1>[0-9]%c{{0,2}}(?:\.%c{{3}})*,%c{{2}}){_NO_SHARE}",
            rf"{_CURRENCY}-?(?P<c1>[0-9]{{1,3}}(?:,[0-9]{{3}})+|[0-9]+)",
            r"(?P<c1>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)元",
        ),
        bool,
        has_check_digits=False,
    ),
    FieldType.PHONE: _Form(
        (
            rf"{_NO_EDGE}{_ALONE[0]}(?P<c1>(?:\+?%c%c[ -]?)?%c{{3}}[ -]?%c{{4}}[ -]?%c{{4}}){_ALONE[1]}",
            rf"{_ALONE[0]}(?P<c1>\(?[0Oo]%c{{1,3}}\)?[ -]?%c{{3,4}}[ -]?%c{{4}}){_NO_EDGE_BEFORE}{_ALONE[1]}",
            rf"(?P<c1>\+%c{{1,3}}(?:[ -]?\(?%c{{1,4}}\)?){{2,5}}){_NO_EDGE_BEFORE}",
            r"(?P<c1>400[ -]?%c{3}[ -]?%c{4})",
        ),
        check_digits.is_phone,
        has_check_digits=False,
    ),
    FieldType.RESIDENT_ID: _Form((r"(?P<d1>%d{6} ?%d{8} ?%d{3})(?P<x1>%x)",), check_digits.is_resident_id),
    FieldType.CREDIT_CODE: _Form((r"(?P<u1>%u%u)(?P<d1>%d{6})(?P<u2>%u{10})",), check_digits.is_credit_code),
    FieldType.IBAN: _Form((r"(?P<a1>%a{2})(?P<d1>%d{2})(?P<n1>(?: ?%n){11,30})",), check_digits.is_iban),
    FieldType.BANK_CARD: _Form(
        (r"(?P<d1>%d{4}(?P<s>[ -]?)%d{4}(?P=s)%d{4}(?:(?P=s)%d{4})?(?:(?P=s)%d{1,3})?)",), check_digits.is_bank_card
    ),
    FieldType.ISBN: _Form(
        (r"(?P<d1>%d(?:[ -]?%d){12})", r"ISBN(?:-10)?:? ?(?P<d1>%d(?:[ -]?%d){8})[ -]?(?P<x1>%x)"), check_digits.is_isbn
    ),
    FieldType.EAN: _Form(
        (rf"(?P<d1>%d ?%d{{6}} ?%d{{6}}|{_ALONE[0]}%d{{4}} ?%d{{4}}{_ALONE[1]})",), check_digits.is_ean
    ),
}


_LOOKS = {
    name: {look for one in alphabet for look in one + one.lower() + LOOKALIKES.get(one, "")}
    for name, alphabet in _ALPHABETS.items()
} | {"c": set(_DIGITS + "OoIl|ZzSsB")}
"""What is, or looks like, a character of each alphabet."""


def _compiled(shape: str) -> re.Pattern[str]:
    for name, looks in _LOOKS.items():
        shape = shape.replace(f"%{name}", f"[{re.escape(''.join(sorted(looks)))}]")
    return re.compile(_APART[0] + shape + _APART[1])


_SHAPES = {kind: tuple(map(_compiled, form.shapes)) for kind, form in _FORMS.items()}

Found = tuple[FieldType, int, int]
"""Of what type, and where it starts and ends in the text."""


def repaired(draft: Draft, types: Sequence[FieldType]) -> tuple[Draft, list[Found]]:
    """The fields of these types that are valid, and the text in which they are; as long as before."""
    found: list[Found] = []
    for kind in types:
        fields = list(_fields(draft, kind))
        draft = draft.replaced(fields, kind.value)
        found += [(kind, start, end) for start, end, _ in fields]
    return draft, found


def _fields(draft: Draft, kind: FieldType) -> Iterator[tuple[int, int, str]]:
    """In their order, none over another."""
    text = half_width(draft.text)
    taken = [False] * len(text)
    fields = []
    for match in itertools.chain.from_iterable(shape.finditer(text) for shape in _SHAPES[kind]):
        start, end = _typed_span(match)
        if not any(taken[start:end]) and (value := _valid(draft, _FORMS[kind], match, start, end)):
            taken[start:end] = [True] * (end - start)
            fields.append((start, end, value))
    yield from sorted(fields)


def _typed_span(match: re.Match[str]) -> tuple[int, int]:
    spans = [match.span(name) for name in match.re.groupindex if name != "s"]
    return min(start for start, _ in spans), max(end for _, end in spans)


def _valid(draft: Draft, form: _Form, match: re.Match[str], start: int, end: int) -> str | None:
    """What the field is, when there is one answer to that; None when it is no field.

    Characters that their place cannot have are made others. Where check digits do not like that, so is one more
    character, or all that are like it.
    """
    text = match.string
    alphabets = {
        place: _ALPHABETS[name[0]]
        for name in match.re.groupindex
        if name[0] in _ALPHABETS and name[1:].isdigit()
        for place in range(*match.span(name))
        if text[place] in _LOOKS[name[0]]
    }
    if 2 * sum(text[place].isdigit() for place in alphabets) < sum("0" in each for each in alphabets.values()):
        return None
    choices = [
        _choices(draft, place, text[place], alphabets[place], must=form.has_check_digits)
        if place in alphabets
        else (text[place],)
        for place in range(start, end)
    ]
    if not all(choices):
        return None
    first = [each[0] for each in choices]
    if form.is_valid("".join(first)):
        return "".join(first)
    others = set(filter(form.is_valid, _others(first, choices) if form.has_check_digits else ()))
    return others.pop() if len(others) == 1 else None


def _others(first: Sequence[str], choices: Sequence[Sequence[str]]) -> Iterator[str]:
    """With one choice made otherwise, and with all that are like it."""
    changes = [(place, first[place], other) for place, each in enumerate(choices) for other in each[1:]]
    for place, one, other in changes:
        yield _with(first, {place}, other)
        yield _with(first, {at for at, *change in changes if change == [one, other]}, other)


def _with(characters: Sequence[str], places: Set[int], other: str) -> str:
    return "".join(other if place in places else character for place, character in enumerate(characters))


def _choices(draft: Draft, place: int, character: str, alphabet: str, *, must: bool) -> tuple[str, ...]:
    """What can stand there, the first being what does, unless it cannot. must: however sure the recogniser was.

    A letter that can stand there may still be a digit; for a digit to be anything else the recogniser has to say so.
    """
    capital = character.upper()
    looks = [
        look for look in dict.fromkeys(LOOKALIKES.get(character, "") + LOOKALIKES.get(capital, "")) if look in alphabet
    ]
    if character not in alphabet and capital not in alphabet:
        return tuple(look for look in looks if draft.may_become(place, look, must=must))
    digits = [look for look in looks if capital.isalpha() and look.isdigit()]
    others = dict.fromkeys((*digits, *draft.alternatives(place)))
    return capital, *(look for look in others if look in alphabet and look != capital and draft.may_become(place, look))
