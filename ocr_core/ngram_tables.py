"""Tables of character n-grams, and the files they are read from: our own, ARPA, and KenLM's through KenLM."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ocr_core.errors import LanguageInvalid
from ocr_core.trie import Trie, trie_of

Float32 = npt.NDArray[np.float32]

UNKNOWN, BEGIN, END = 0, 1, 2
"""Symbols of every character that the model does not know, of the begin and of the end of a line."""
FIRST_CHARACTER = 3

_FORMAT = 1
_SPECIAL = {"<unk>": UNKNOWN, "<UNK>": UNKNOWN, "<s>": BEGIN, "</s>": END}
_SPACES = ("<space>", "▁", "|")
"""How a space is written where spaces part tokens; the first of these that a model has is its space."""
_NEVER = -98.0
"""log10 probabilities from here down say that something is not in the model: -99 in SRILM's files, -100 in KenLM."""


class NGrams(NamedTuple):
    """N-grams with backoff (Katz 1987); node i + 1 of the trie is n-gram i.

    What is not listed has its probability after the shorter context, times the backoff weight of the longer.
    """

    characters: tuple[str, ...]
    """Symbols from FIRST_CHARACTER on, one code point each."""
    trie: Trie
    log_probs: Float32
    """[n-grams] nats. All symbols are unigrams; that of BEGIN says nothing."""
    backoffs: Float32
    """[n-grams] nats; 0 for those that are no context."""


def read_ngrams(path: Path) -> NGrams:
    """Reads what `write_ngrams` wrote, an ARPA file, gzipped or not, or a binary file of KenLM.

    Raises LanguageInvalid when the file is not there, damaged, or no model of characters.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(16)
        if magic.startswith(b"PK"):
            return _read_own(path)
        if magic.startswith(b"mmap lm http"):
            return _read_kenlm(path)
        opened = gzip.open if magic.startswith(b"\x1f\x8b") else open
        with opened(path, "rt", encoding="utf-8", newline="\n") as lines:
            return _read_arpa(lines)
    except LanguageInvalid as error:
        raise LanguageInvalid(f"{path}: {error.message}") from None
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise LanguageInvalid(f"{path} is no language model that can be read: {error}") from error


def write_ngrams(ngrams: NGrams, path: Path) -> None:
    """Writes the compact format: a compressed .npz of the arrays that docs/language.md lists."""
    children = np.bincount(ngrams.trie.parents, minlength=len(ngrams.trie))
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            format=np.int32(_FORMAT),
            characters=np.array([ord(character) for character in ngrams.characters], np.uint32),
            children=children.astype(np.uint32),
            symbols=ngrams.trie.symbols.astype(np.uint32),
            log_probs=ngrams.log_probs.astype(np.float16),
            backoffs=ngrams.backoffs.astype(np.float16),
        )


def _read_own(path: Path) -> NGrams:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        if int(arrays["format"]) != _FORMAT:
            raise LanguageInvalid(f"has format {int(arrays['format'])}, can read {_FORMAT}")
        characters = tuple(map(chr, arrays["characters"].tolist()))
        children, symbols = arrays["children"].astype(np.int64), arrays["symbols"].astype(np.int64)
        log_probs, backoffs = arrays["log_probs"].astype(np.float32), arrays["backoffs"].astype(np.float32)
    parents = np.repeat(np.arange(len(children)), children)
    width = FIRST_CHARACTER + len(characters)
    if not len(symbols) == len(parents) == len(children) - 1 == len(log_probs) == len(backoffs):
        raise LanguageInvalid("its arrays do not fit together")
    trie = Trie(parents * width + symbols, width)
    rising = (np.diff(trie.keys) > 0).all() and (parents <= np.arange(len(parents))).all()
    if not rising or (symbols >= width).any() or not np.array_equal(symbols[:width], np.arange(width)):
        raise LanguageInvalid("its n-grams are not in order")
    return _checked(NGrams(characters, trie, log_probs, backoffs))


class Listing:
    """N-grams as they are found, in any order."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        """Of symbols from FIRST_CHARACTER on."""
        self._symbols, self._lengths = array("q"), array("q")
        self._log_probs, self._backoffs = array("d"), array("d")

    def add(self, symbols: Sequence[int], log10_prob: float, log10_backoff: float) -> None:
        """One n-gram."""
        self._symbols.extend(symbols)
        self._lengths.append(len(symbols))
        self._log_probs.append(log10_prob)
        self._backoffs.append(log10_backoff)

    def table(self) -> NGrams:
        """Raises LanguageInvalid when n-grams are missing, listed twice, or no numbers."""
        symbols, lengths = np.array(self._symbols, np.int64), np.array(self._lengths, np.int64)
        width = FIRST_CHARACTER + len(self.tokens)
        trie, nodes = trie_of(symbols, lengths, width)
        listed = np.bincount(nodes, minlength=len(trie))[1:]
        if not np.array_equal(trie.keys[:width], np.arange(width)):
            raise LanguageInvalid("lacks <s> or </s>")
        if not (listed == 1).all():
            raise LanguageInvalid("lists an n-gram twice, or one whose beginning it does not list")
        order = np.argsort(nodes)
        log_probs, backoffs = (np.array(values)[order] for values in (self._log_probs, self._backoffs))
        if log_probs[UNKNOWN] <= _NEVER:
            # A character that the model does not know is no likelier than the rarest that it knows, but not excluded.
            known = log_probs[:width]
            log_probs[UNKNOWN] = known[known > _NEVER].min(initial=0.0)
        to_nats = math.log(10.0)
        return _checked(
            NGrams(
                _characters(self.tokens),
                trie,
                (log_probs * to_nats).astype(np.float32),
                (backoffs * to_nats).astype(np.float32),
            )
        )


def _characters(tokens: Sequence[str]) -> tuple[str, ...]:
    space = next((token for token in _SPACES if token in tokens), None)
    characters = tuple(" " if token == space else token for token in tokens)
    longer = next((character for character in characters if len(character) > 1), None)
    if longer is not None:
        raise LanguageInvalid(f"is no model of characters: it lists {longer!r}")
    return characters


def _checked(ngrams: NGrams) -> NGrams:
    if not (np.isfinite(ngrams.log_probs).all() and np.isfinite(ngrams.backoffs).all()):
        raise LanguageInvalid("has weights that are no numbers")
    return ngrams


def _read_arpa(lines: Iterable[str]) -> NGrams:
    listing = Listing()
    symbols = dict(_SPECIAL)
    listed, expected = 0, 0
    has_unknown = False
    for order, fields in _arpa_fields(lines):
        if not order:
            expected += int(fields[0])
            continue
        if not order + 1 <= len(fields) <= order + 2:
            raise LanguageInvalid(f"lists {' '.join(fields)!r} among {order}-grams")
        if order == 1 and fields[1] not in symbols:
            symbols[fields[1]] = FIRST_CHARACTER + len(listing.tokens)
            listing.tokens.append(fields[1])
        ngram = [symbols.get(token, -1) for token in fields[1 : order + 1]]
        if -1 in ngram:
            raise LanguageInvalid(f"has no unigram for a character of {' '.join(fields)!r}")
        has_unknown = has_unknown or ngram == [UNKNOWN]
        listing.add(
            ngram, max(float(fields[0]), _NEVER - 1), float(fields[order + 1]) if order + 2 == len(fields) else 0.0
        )
        listed += 1
    if listed != expected:
        raise LanguageInvalid(f"has {listed} n-grams where its head says {expected}")
    if not has_unknown:
        listing.add([UNKNOWN], _NEVER, 0.0)
    return listing.table()


def _arpa_fields(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    r"""Order and fields of each n-gram, and order 0 with the count of each line in the head. Raises without \end\."""
    order = -1
    for line in lines:
        # Not split(): characters such as the ideographic space are tokens.
        fields = [field for field in line.strip("\r\n\t ").replace("\t", " ").split(" ") if field]
        if fields == ["\\end\\"]:
            return
        if fields == ["\\data\\"]:
            order = 0
        elif len(fields) == 1 and fields[0].startswith("\\") and fields[0].endswith("-grams:"):
            order = int(fields[0][1 : -len("-grams:")])
        elif fields and not order:
            yield 0, [line.rpartition("=")[2]]
        elif fields and order > 0:
            yield order, fields
    raise LanguageInvalid("is cut short, or no ARPA file: it has no \\end\\")


def _read_kenlm(path: Path) -> NGrams:
    try:
        import kenlm
    except ModuleNotFoundError:
        raise LanguageInvalid("is KenLM's; pip install 'glyphwire-server[kenlm]', or use its ARPA file") from None
    return list_kenlm(kenlm, kenlm.Model(str(path))).table()


def list_kenlm(kenlm: Any, model: Any) -> Listing:  # noqa: ANN401 - the package has no types
    """All n-grams of a model of characters that the package `kenlm` has read.

    KenLM lists none, but says how long the n-gram is that it found. Where one is, so is the one without its first
    character: only what follows the shorter context is looked for after the longer. Raises LanguageInvalid when
    characters have less than nine tenths of the probability.
    """
    listing = Listing()
    every_character = (chr(code) for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000)
    listing.tokens = [token for token in (*every_character, _SPACES[0]) if token in model]
    words = ["<unk>", "<s>", "</s>", *listing.tokens]
    unigrams = [symbol for symbol in range(len(words)) if symbol != BEGIN]

    def score(state: Any, symbol: int) -> tuple[Any, float, int]:  # noqa: ANN401
        """State behind the symbol, log10 probability, length of the n-gram found."""
        after = kenlm.State()
        found = model.BaseFullScore(state, words[symbol], after)
        return after, found.log_prob, found.ngram_length

    empty, begin = kenlm.State(), kenlm.State()
    model.NullContextWrite(empty)
    model.BeginSentenceWrite(begin)
    level: dict[tuple[int, ...], tuple[Any, float]] = {(symbol,): score(empty, symbol)[:2] for symbol in unigrams}
    if sum(10.0**log10_prob for _, log10_prob in level.values()) < 0.9:
        raise LanguageInvalid("is no model of characters: they have little of the probability")
    level[BEGIN,] = (begin, _NEVER)
    following: dict[tuple[int, ...], list[int]] = {(): unigrams}
    shorter: dict[tuple[int, ...], Any] = {(): empty}
    while level:
        longer: dict[tuple[int, ...], tuple[Any, float]] = {}
        for ngram, (state, log10_prob) in level.items():
            tried = following[ngram[1:]] if len(ngram) < model.order else []
            scored = {symbol: score(state, symbol) for symbol in tried}
            found = {symbol: result for symbol, result in scored.items() if result[2] > len(ngram)}
            backoff = 0.0
            if tried:
                # Whatever backs off tells the weight; where nothing does, none is needed.
                other = next((symbol for symbol in unigrams if symbol not in found), END)
                backoff = score(state, other)[1] - score(shorter[ngram[1:]], other)[1]
            listing.add(ngram, log10_prob, backoff)
            following[ngram] = list(found)
            longer |= {(*ngram, symbol): result[:2] for symbol, result in found.items()}
        shorter = {ngram: state for ngram, (state, _) in level.items()}
        level = longer
    return listing
