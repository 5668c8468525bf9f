"""What a line says: kinds of text, each sampled from the corpus, cut to a length and kept inside the charset."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from random import Random

from ocr_core.charset import Charset
from training.synth import figures
from training.synth.corpus import Corpus

# Kinds of text with their weights when a scene asks for nothing else.
KINDS: Mapping[str, float] = {
    "news": 10,
    "reviews": 8,
    "speech": 6,
    "manual": 8,
    "verse": 3,
    "english": 14,
    "traditional": 5,
    "traditional_words": 4,
    "words": 6,
    "english_words": 6,
    "capitals": 3,
    "rare": 12,
    "scattered": 4,
    "mixed": 6,
    "address": 4,
    "english_address": 3,
    "person": 1,
    "organisation": 2,
    "labelled": 5,
    "item": 3,
    "receipt": 4,
    "web": 2,
    "date": 3,
    "time": 1,
    "amount": 3,
    "measure": 2,
    "code": 5,
    "phone": 1,
    "plate": 1,
    "formula": 1,
    "symbols": 2,
}
_PROSE = ("news", "reviews", "speech", "manual", "verse", "english", "traditional", "streets")
# Texts of any length, of which a line shows a part; all other kinds are as long as a line.
_RUNNING = frozenset((*_PROSE, "capitals", "item"))
_ATTEMPTS = 20
# What other kinds of text are made of; kinds that are in neither need no corpus.
_SOURCES: Mapping[str, str] = {
    "address": "areas",
    "person": "people",
    "organisation": "organisations",
    "words": "words_simplified",
    "mixed": "words_simplified",
    "traditional_words": "words_traditional",
    "english_words": "words_english",
    "capitals": "english",
    "web": "words_english",
    "receipt": "words_english",
    "english_address": "words_english",
}
# Marks of figures.fill; a mark before a brace would be a count.
_ENGLISH_ADDRESSES = (
    *(
        "## {} Street, {}",
        "No. ##, Jalan {} #/#,",
        "Lot ####, {} {} Road,",
        "##### {} {}, @@",
        "{} {} Sdn Bhd",
        "{} and {} Ltd.",
    ),
    *(
        "### {} Ave., Suite ##",
        "##-#, Taman {},",
        "Unit ##/F, {} Centre",
        "{} {} Co., Inc.",
        "#### {} Blvd",
        "P.O. Box ###, {}",
    ),
    *(
        "Co. Reg No: ######-@",
        "GST ID: ############",
        "Flat #, ##/F, {} House, {}",
        "{} Mall, Level #",
        "@## {} Park, @@# #@@",
    ),
)
# Looks alike, and is in fewer charsets than what stands here for it.
_STAND_INS = str.maketrans("–―‐‑−‚„′・‧•﹐～〜⋯`", "-—---,“'···，~~…'")
_LABELS, _TILL = (
    tuple(Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines())
    for name in ("labels.txt", "till.txt")
)


class LineText:
    """Samples texts of lines. Only characters of the charset that are drawable come out, and never an empty text."""

    def __init__(self, charset: Charset, corpus: Corpus, drawable: Collection[str], longest_em: float) -> None:
        self.corpus = corpus
        self.longest_em = longest_em
        single = {character for character in charset.characters if len(character) == 1 and not character.isspace()}
        self.characters = tuple(sorted(single.intersection(drawable)))
        if not self.characters:
            raise ValueError("no font draws any character of the charset")
        self._fitting = _Fitting(frozenset(self.characters))
        self._samplers = {name: sampler for name, sampler in self._all_samplers().items() if self._has_source(name)}

    def sample(self, dice: Random, kinds: Mapping[str, float] = KINDS) -> str:
        """A text of one of the kinds, by their weights; kinds whose source the corpus lacks are never chosen."""
        present = [(name, weight) for name, weight in kinds.items() if name in self._samplers]
        for _ in range(_ATTEMPTS if present else 0):
            name = dice.choices([name for name, _ in present], [weight for _, weight in present])[0]
            longest = _line_length(dice) if name in _RUNNING else self.longest_em
            text = self._cut(self.fit(self._samplers[name](dice)), min(longest, self.longest_em), dice)
            # A comma alone says nothing once it is cut out.
            if any(map(str.isalnum, text)):
                return text
        return dice.choice(self.characters)

    def fit(self, text: str) -> str:
        """The longest part of a text that the charset can write and fonts draw, after NFKC where that helps."""
        parts = re.sub(r"\s+", " ", text.translate(self._fitting)).split("\0")
        return max(parts, key=len).strip()

    def _cut(self, text: str, longest_em: float, dice: Random) -> str:
        """A window of a text, from its start or anywhere; words of Latin letters stay whole."""
        if width_em(text) <= longest_em:
            return text
        count = max(1, int(len(text) * longest_em / width_em(text)))
        start = dice.randrange(len(text) - count + 1) if dice.random() < 0.7 else 0
        start = _word_border(text, start)
        end = _word_border(text, min(len(text), start + count))
        return text[start : end if end > start else start + count].strip()

    def _has_source(self, name: str) -> bool:
        source = _SOURCES.get(name, name if name in _PROSE else None)
        return source is None or source in self.corpus.prose or source.removeprefix("words_") in self.corpus.words

    def _all_samplers(self) -> dict[str, Callable[[Random], str]]:
        prose = {name: self._prose(name) for name in _PROSE}
        return {
            **prose,
            **figures.FIGURES,
            "traditional_words": lambda dice: self._words("traditional", dice),
            "words": lambda dice: self._words("simplified", dice),
            "english_words": self._english_words,
            "capitals": lambda dice: self._prose("english")(dice).upper(),
            "rare": self._rare,
            "scattered": lambda dice: "".join(dice.choices(self.characters, k=dice.randint(1, 16))),
            "mixed": self._mixed,
            "address": self._address,
            "person": self._person,
            "organisation": lambda dice: self.corpus.line("organisations", dice),
            "labelled": self._labelled,
            "item": lambda dice: figures.list_mark(dice) + self._any_prose(dice),
            "receipt": self._receipt,
            "english_address": self._english_address,
            "web": lambda dice: figures.web_address(self.corpus.words["english"].pick(dice), dice),
        }

    def _prose(self, source: str) -> Callable[[Random], str]:
        def line(dice: Random) -> str:
            text = self.corpus.line(source, dice)
            # A line of a book ends anywhere, also inside a word.
            return text if source != "english" or dice.random() < 0.95 else re.sub(r"(\w{4})\w+$", r"\1-", text)

        return line

    def _any_prose(self, dice: Random) -> str:
        return self.corpus.line(dice.choice([name for name in _PROSE if name in self.corpus.prose]), dice)

    def _words(self, language: str, dice: Random) -> str:
        words = self.corpus.words[language]
        gap = dice.choice(("", "", "", " ", "、", "，"))
        return gap.join(words.pick(dice) for _ in range(dice.randint(1, 5)))

    def _english_words(self, dice: Random) -> str:
        text = " ".join(self.corpus.words["english"].pick(dice) for _ in range(dice.choice((1, 1, 1, 2, 3))))
        return dice.choice((str, str.upper, str.title, str.lower))(text)

    def _rare(self, dice: Random) -> str:
        """Every class equally often: each in a word that has it, by itself where no word does."""
        parts = []
        for character in dice.choices(self.characters, k=dice.randint(1, 8)):
            words = [word for words in self.corpus.words.values() for word in words.at.get(character, ())]
            word = self.fit(dice.choice(words)) if words and dice.random() < 0.8 else ""
            parts.append(word if character in word else character)
        return dice.choice(("", "", " ")).join(parts)

    def _mixed(self, dice: Random) -> str:
        """Chinese with Latin words and figures between: 因 CTeX 套装, DNA修复."""
        makers: tuple[Callable[[], str], ...] = (
            lambda: self.corpus.words["english"].pick(dice),
            lambda: figures.FIGURES[dice.choice(("date", "amount", "measure", "code"))](dice),
            lambda: "".join(dice.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ", k=dice.randint(2, 4))),
        )
        gap = dice.choice(("", "", " "))
        text = self._words("simplified", dice)
        for _ in range(dice.randint(1, 3)):
            before, after = dice.choice(
                (("", ""), ("", ""), ("（", "）"), ("(", ")"), ("“", "”"), ("《", "》"), ("【", "】"))
            )
            text += gap + before + dice.choice(makers)() + after + gap + self._words("simplified", dice)
        return text + dice.choice(("", "。", "，", "；", "：", "！", "？"))

    def _address(self, dice: Random) -> str:
        road = self.corpus.words["simplified"].pick(dice) if "simplified" in self.corpus.words else ""
        text = self.corpus.line("areas", dice) if dice.random() < 0.8 else ""
        if "streets" in self.corpus.prose and dice.random() < 0.4:
            text += self.corpus.line("streets", dice)
        text += road + dice.choice(("路", "街", "大道", "村", "小区", "花园", "大厦", "巷"))
        return text + figures.fill(
            dice.choice(("", "#号", "##号", "###号", "##号楼#单元##室", "#栋###室", "###弄##号", "B座##层")), dice
        )

    def _english_address(self, dice: Random) -> str:
        """Parts of addresses and names of firms, as they head receipts and letters."""
        one, two = (self.corpus.words["english"].pick(dice).title() for _ in range(2))
        text = figures.fill(dice.choice(_ENGLISH_ADDRESSES), dice).format(one, two)
        return text.upper() if dice.random() < 0.6 else text

    def _person(self, dice: Random) -> str:
        name = self.corpus.line("people", dice)
        return (
            name
            if dice.random() < 0.6
            else name + dice.choice(("先生", "女士", "老师", "经理", " 著", "：", "主任", "（签字）"))
        )

    def _labelled(self, dice: Random) -> str:
        """Invoice and form fields: 开票日期：2026年11月21日."""
        figure = figures.FIGURES[dice.choice(("date", "amount", "amount", "code", "phone", "measure", "time"))](dice)
        others = [name for name in ("_address", "_person") if self._has_source(name[1:])]
        value = getattr(self, dice.choice(others))(dice) if others and dice.random() < 0.25 else figure
        return (
            dice.choice(_LABELS)
            + dice.choice(("：", ":", ": ", " ", "", " : "))
            + (value if dice.random() < 0.8 else "")
        )

    def _receipt(self, dice: Random) -> str:
        """Rows of a till: goods, counts, prices, thanks."""
        shape = dice.randrange(6)
        if shape == 0:
            return dice.choice(_TILL)
        if shape == 1:
            return figures.amount(dice)
        label = dice.choice(_LABELS)
        if shape == 2:
            return f"{label.upper()}{dice.choice((' ', ': ', ' : '))}{figures.amount(dice)}"
        goods = self.corpus.words[
            "english" if "simplified" not in self.corpus.words or dice.random() < 0.5 else "simplified"
        ]
        name = " ".join(goods.pick(dice) for _ in range(dice.randint(1, 3))).upper()
        count = dice.choice((f"{dice.randint(1, 12)} x ", f"{dice.randint(1, 9)} X", f"{dice.randint(1, 20)}  ", ""))
        rows = (
            f"{name} {figures.amount(dice)}",
            f"{count}{figures.amount(dice)} {dice.choice(('SR', 'ZRL', '', 'T'))}",
            name,
        )
        return rows[shape - 3]


class _Fitting(dict[int, str]):
    """Table for str.translate: the allowed stays, what NFKC or a stand-in makes allowed too, the rest is NUL."""

    def __init__(self, allowed: frozenset[str]) -> None:
        self._allowed = allowed

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        fitted = " " if character.isspace() else self._fitted(character)
        self[code_point] = fitted
        return fitted

    def _fitted(self, character: str) -> str:
        for candidate in (character, character.translate(_STAND_INS), unicodedata.normalize("NFKC", character)):
            if self._allowed.issuperset(candidate.replace(" ", "")) and candidate.strip():
                return candidate
        return "\0"


def width_em(text: str) -> float:
    """Width of a text in the widths of a Han character, about: letters are half as wide."""
    return sum(1.0 if ord(character) >= 0x2E80 else 0.5 for character in text)


def _line_length(dice: Random) -> float:
    """Longest width of a piece of running text: many lines are short, some fill a page's width."""
    return dice.choice((dice.uniform(1.5, 8), dice.uniform(4, 14), dice.uniform(8, 24), 100.0))


def _word_border(text: str, position: int) -> int:
    """The position, or the start of the word of Latin letters or figures that it is inside of."""
    while 0 < position < len(text) and _is_latin(text[position]) and _is_latin(text[position - 1]):
        position -= 1
    return position


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()
