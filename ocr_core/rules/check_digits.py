"""Numbers with check digits, and days of the calendar. Texts come as they are printed, with their separators."""

from __future__ import annotations

import re
from datetime import date

_IBAN_COUNTRIES = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 EE20 EG29 "
    "ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 "
    "LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 NL18 NO15 OM23 PK24 PL28 PS29 "
    "PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20"
)
"""Each with the length of its numbers."""

_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBAN_COUNTRIES.split()}
CREDIT_CODE_CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""Of GB 32100, in the order of their values."""

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_PHONE = re.compile(r"(\+?86)?1[3-9]\d{9}|\+[1-9]\d{6,14}|0[1-9]\d{7,10}|400\d{7}")


def is_resident_id(text: str) -> bool:
    """GB 11643: day of birth, and ISO 7064 MOD 11-2 over all 18 characters."""
    number = _compact(text)
    total = sum(_value(digit) * 2 ** (17 - place) for place, digit in enumerate(number))
    return total % 11 == 1 and _is_day(int(number[6:10]), int(number[10:12]), int(number[12:14]))


def is_credit_code(text: str) -> bool:
    """GB 32100: weights of 3 to the power of the place, modulo 31."""
    values = [CREDIT_CODE_CHARACTERS.index(character) for character in _compact(text)]
    return sum(value * pow(3, place, 31) for place, value in enumerate(values[:-1])) % 31 == -values[-1] % 31


def is_iban(text: str) -> bool:
    """ISO 13616: length by country, and ISO 7064 MOD 97-10."""
    code = _compact(text)
    if _IBAN_LENGTHS.get(code[:2]) != len(code):
        return False
    return int("".join(str(int(character, 36)) for character in code[4:] + code[:4])) % 97 == 1


def is_bank_card(text: str) -> bool:
    """ISO 7812: the check digit of Luhn."""
    digits = [int(digit) for digit in _compact(text)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(digits) > 12 and digits[0] != 0 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_ean(text: str) -> bool:
    """Weights 1 and 3 from the end, modulo 10."""
    digits = [int(digit) for digit in _compact(text)]
    return (sum(digits[-1::-2]) + 3 * sum(digits[-2::-2])) % 10 == 0


def is_isbn(text: str) -> bool:
    """Of 13 digits an EAN from 978 or 979, of 10 weights from 10 to 1 modulo 11."""
    number = _compact(text)
    if len(number) == 10:
        return sum(_value(digit) * (10 - place) for place, digit in enumerate(number)) % 11 == 0
    return number[:3] in {"978", "979"} and is_ean(number)


def is_phone(text: str) -> bool:
    """A mobile, fixed or 400 number of China or the like, or one with + and its country."""
    return bool(_PHONE.fullmatch(re.sub(r"[^\d+]", "", text)))


def is_date(text: str) -> bool:
    """A day of the calendar from 1900 to 2100, whatever the order of day and month; years of two digits are any."""
    named = [month for month in _MONTHS if month in text.lower()]
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    if named:
        month = _MONTHS.index(named[0]) + 1
        orders = [(numbers[1], month, numbers[0])]
    elif numbers[0] > 999:
        orders = [(numbers[0], numbers[1], numbers[2])]
    else:
        orders = [(numbers[2], numbers[1], numbers[0]), (numbers[2], numbers[0], numbers[1])]
    return any(_is_day(year + 2000 if year < 100 else year, month, day) for year, month, day in orders)


def _is_day(year: int, month: int, day: int) -> bool:
    if not 1900 <= year <= 2100:
        return False
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _compact(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def _value(digit: str) -> int:
    return 10 if digit == "X" else int(digit)
