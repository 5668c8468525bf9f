"""Strings that follow a pattern: dates, amounts, codes, number plates, addresses of the web."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from random import Random

# Marks of a pattern; all else stands for itself.
_MARKS: Mapping[str, str] = {
    "#": string.digits,
    "@": string.ascii_uppercase,
    "&": string.ascii_uppercase + string.digits,
    "%": string.ascii_lowercase + string.digits,
}

_DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y年%m月%d日", "%m月%d日", "%Y年%m月", "%d/%m/%Y", "%m/%d/%y", "%d-%m-%Y"),
    *("%d %b %Y", "%b %d, %Y", "%B %d, %Y", "%d %B %Y", "%A, %d %B", "%d.%m.%Y", "%Y%m%d", "%b. %Y", "%y/%m/%d", "%Y"),
)
_TIMES = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M%p", "%H：%M", "%H时%M分", "%Hh%M")
_CODES = (
    *(
        "&&&&&&",
        "&&&&&&&&&&",
        "@@-####",
        "@##-###",
        "#####-##",
        "@@@#####",
        "###-###-###",
        "@@####@@",
        "&&&-&&&&-&&",
        "@#",
    ),
    *(
        "No.####",
        "NO: ########",
        "No. ####-##",
        "SN:&&&&&&&&&&&&",
        "#{10}",
        "#{13}",
        "#{8}",
        "&{8}-&{4}-&{4}",
        "%{8}",
        "%{32}",
    ),
    *(
        "@#-#",
        "#@##",
        "@@#",
        "-@#",
        "-@##",
        "-@@#@@@@",
        "@#:#:#",
        "##@##",
        "@{1}#{4}",
        "A#-##",
        "V#.#.#",
        "v#.##",
        "0x%{4}",
    ),
    *(
        "[#]",
        "(##)",
        "#-#-#",
        "GB/T #####-20##",
        "ISO ####:20##",
        "@@:@@ @#%",
        "#/#",
        "##/##",
        "#.#.#",
        "###",
        "####",
        "#",
    ),
)
_PHONES = (
    *(
        "1##########",
        "1## #### ####",
        "1##-####-####",
        "0##-########",
        "0###-#######",
        "(0##) #### ####",
        "+86 1##########",
    ),
    *("400-###-####", "+1 (###) ###-####", "0#-#### ####", "TEL: 0##-#######", "电话：0##-########", "Tel: ###-####"),
)
_PLATE_PROVINCES = "京沪津渝冀晋蒙辽吉黑苏浙皖闽赣鲁豫鄂湘粤桂琼川贵云藏陕甘青宁新"
_UNITS = (
    *(
        "元",
        "万元",
        "亿元",
        "kg",
        "g",
        "mm",
        "cm",
        "m",
        "km",
        "m²",
        "ml",
        "L",
        "℃",
        "%",
        "GB",
        "MB",
        "个",
        "件",
        "次",
        "人",
        "天",
    ),
    *(
        "岁",
        "页",
        "年",
        "月",
        "分钟",
        "小时",
        "号",
        "楼",
        "室",
        "米",
        "斤",
        "吨",
        "kW",
        "V",
        "Hz",
        "mg",
        "pcs",
        "x",
        "km/h",
        "°",
        "‰",
        "折",
    ),
)
_CURRENCIES = ("¥", "￥", "$", "€", "RM", "RM ", "US$", "HK$", "NT$", "RMB ", "£", "$ ", "¥ ", "人民币")
_TOP_LEVELS = ("com", "cn", "net", "org", "com.cn", "io", "gov.cn", "edu", "com.my", "tw", "hk", "info")
_DIGIT_WORDS = "零壹贰叁肆伍陆柒捌玖"
_SMALL_DIGITS = "〇一二三四五六七八九"


def fill(pattern: str, dice: Random) -> str:
    """A pattern with its marks thrown. "#{10}" is ten digits."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        mark, count, position = pattern[position], 1, position + 1
        if mark in _MARKS and pattern[position : position + 1] == "{":
            end = pattern.index("}", position)
            count, position = int(pattern[position + 1 : end]), end + 1
        parts += dice.choices(_MARKS[mark], k=count) if mark in _MARKS else [mark]
    return "".join(parts)


def _moment(dice: Random) -> datetime:
    return datetime(1980, 1, 1) + timedelta(seconds=dice.randrange(55 * 365 * 86_400))


def date(dice: Random) -> str:
    """2026-11-21, 21 Nov 2026, 二〇二六年十一月…; sometimes with a time."""
    if dice.random() < 0.05:
        return "".join(_SMALL_DIGITS[int(digit)] for digit in str(dice.randint(1900, 2040))) + "年"
    shape = dice.choice(_DATES)
    if dice.random() < 0.2:
        shape += dice.choice((" ", "  ", "T")) + dice.choice(_TIMES)
    return _moment(dice).strftime(shape)


def time(dice: Random) -> str:
    """14:06, 02:06 PM."""
    return _moment(dice).strftime(dice.choice(_TIMES))


def amount(dice: Random) -> str:
    """1,234.50 with or without currency, sign and brackets; sometimes in Chinese capitals."""
    if dice.random() < 0.06:
        return capital_amount(dice.randrange(1, 10 ** dice.randint(2, 9)))
    value = 10 ** dice.uniform(-1, dice.choice((2, 3, 4, 6)))
    figure = dice.choice(("{:.2f}", "{:.2f}", "{:,.2f}", "{:.0f}", "{:,.0f}", "{:.1f}")).format(value)
    if dice.random() < 0.15:
        figure = dice.choice(("-{}", "({})", "+{}", "{}-", "*{}")).format(figure)
    currency = dice.choice(_CURRENCIES) if dice.random() < 0.45 else ""
    return currency + figure + (dice.choice(("元", "起", "元/月", " CNY", " USD")) if dice.random() < 0.08 else "")


def capital_amount(cents: int) -> str:
    """12345 -> 壹佰贰拾叁元肆角伍分."""
    yuan, fraction = divmod(cents, 100)
    text = _capital_integer(yuan) + "元" if yuan else ""
    if not fraction:
        return (text or "零元") + "整"
    dimes, rest = divmod(fraction, 10)
    text += _DIGIT_WORDS[dimes] + "角" if dimes else "零" if yuan else ""
    return text + (_DIGIT_WORDS[rest] + "分" if rest else "整")


def _capital_integer(value: int) -> str:
    """Groups of four digits with 万 and 亿 between; one 零 for any run of zeros inside."""
    text, zero = "", False
    for power in range(len(str(value)) - 1, -1, -1):
        digit = value // 10**power % 10
        if digit:
            text += ("零" if zero and text else "") + _DIGIT_WORDS[digit] + ("", "拾", "佰", "仟")[power % 4]
        zero = not digit
        if power % 4 == 0 and power and value // 10**power % 10_000:
            text, zero = text + ("万" if power % 8 else "亿"), False
    return text


def measure(dice: Random) -> str:
    """110℃, 3.5kg, 20%."""
    value = dice.choice((f"{dice.randint(0, 999)}", f"{dice.uniform(0, 100):.1f}", f"{dice.uniform(0, 10):.2f}"))
    return value + dice.choice(("", "", " ")) + dice.choice(_UNITS)


def code(dice: Random) -> str:
    """Serial numbers, part numbers, hashes, marks on cables."""
    return fill(dice.choice(_CODES), dice)


def phone(dice: Random) -> str:
    """Mobile and land-line numbers as they are written."""
    return fill(dice.choice(_PHONES), dice)


def plate(dice: Random) -> str:
    """A Chinese number plate: 皖A·F6X22 is labelled without the dot."""
    tail = dice.choices(
        "ABCDEFGHJKLMNPQRSTUVWXYZ0123456789", (*(1,) * 24, *(6,) * 10), k=5 if dice.random() < 0.85 else 6
    )
    return dice.choice(_PLATE_PROVINCES) + dice.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") + "".join(tail)


def web_address(word: str, dice: Random) -> str:
    """URL, e-mail address or path around a word."""
    word = word.lower().replace(" ", "") or "a"
    host = f"{word}.{dice.choice(_TOP_LEVELS)}"
    before, after = dice.choice(
        (
            ("www.", ""),
            ("https://www.", "/%%%%"),
            ("http://", ""),
            ("", ""),
            ("https://", "/%%%/%%%%%.html"),
            ("", "/%%%?id=####"),
        )
    )
    text = fill("%%%%%%", dice) + "@" + host if dice.random() < 0.25 else before + host + fill(after, dice)
    return text.upper() if dice.random() < 0.06 else text


def list_mark(dice: Random) -> str:
    """What stands before the items of a list."""
    number = dice.randint(1, 12)
    return dice.choice(
        (
            *(
                f"{number}.",
                f"{number}. ",
                f"({number})",
                f"{number}、",
                f"（{_SMALL_DIGITS[number % 10]}）",
                f"{number})",
            ),
            *(
                "①②③④⑤⑥⑦⑧⑨⑩"[number % 10],
                "● ",
                "• ",
                "- ",
                "■",
                "★",
                "※",
                "▲",
                "◆",
                "→",
                "√",
                "□",
                f"第{number}章 ",
                f"{number}.{number % 5}",
            ),
        )
    )


def formula(dice: Random) -> str:
    """Sums, equations, coordinates."""
    a, b = dice.randint(0, 99), dice.randint(1, 999)
    return dice.choice(
        (
            *(
                f"{a}+{b}={a + b}",
                f"{a}×{b}={a * b}",
                f"x={a}.{b}",
                f"({a},{b})",
                f"{a}:{b}",
                f"{a}/{b}",
                f"y={a}x+{b}",
                f"±{a}",
            ),
            *(
                f"≤{a}",
                f"≥{b}",
                f"{a}~{b}",
                f"{a}-{b}",
                f"{a}%~{b}%",
                f"Φ{a}",
                f"{a}°",
                f"∠A={a}°",
                f"f(x)=x²+{a}",
                f"{a}<{b}",
                f"n={b}",
            ),
        )
    )


def symbols(dice: Random) -> str:
    """Printable ASCII thrown together: passwords, code, noise."""
    return "".join(dice.choices(string.punctuation + string.digits + string.ascii_letters, k=dice.randint(2, 14)))


FIGURES: Mapping[str, Callable[[Random], str]] = {
    "date": date,
    "time": time,
    "amount": amount,
    "measure": measure,
    "code": code,
    "phone": phone,
    "plate": plate,
    "formula": formula,
    "symbols": symbols,
}
