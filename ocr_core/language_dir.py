"""Language knowledge and rules that requests name: files that may be replaced while they are in use."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from ocr_core.errors import LanguageInvalid, OptionInvalid
from ocr_core.ngram import CharacterModel
from ocr_core.rules.options import RuleOptions
from ocr_core.rules.profiles import read_profile

_NAME = re.compile(r"\w[\w.-]{,59}")
_LANGUAGE = "options.decode.language"

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class _Read:
    """What a file held when it had that stamp."""

    value: Any
    stamp: tuple[int, ...]
    checked_at: float


class LanguageDir:
    """A folder of language models, lexicons, hot words and rules. May be shared by threads.

    models/NAME.lm: an n-gram model in any format that CharacterModel.load reads. lexicons/NAME.txt: a word per row.
    hot_words/NAME.txt: a text per row, a tab and its weight in nats. rules/NAME.toml: a profile, see read_profile. All
    text is UTF-8. A file is read when it is asked for, and again when it has changed. That is looked up no oftener than
    every recheck_s seconds; replace it by renaming, so that it is never seen half written.

    Methods raise OptionInvalid when there is no file of that name, and LanguageInvalid when it cannot be understood.
    They return the same object as long as the file stays the same.
    """

    def __init__(self, folder: Path, recheck_s: float = 1.0) -> None:
        self._folder = folder
        self._recheck_s = recheck_s
        self._files: dict[Path, _Read] = {}
        self._lock = threading.Lock()

    def language_model(self, name: str) -> CharacterModel:
        """The model of that name."""
        return self._current(f"{_LANGUAGE}.language_model", f"models/{name}.lm", name, CharacterModel.load)

    def lexicon(self, name: str, field: str = f"{_LANGUAGE}.lexicon_name") -> tuple[str, ...]:
        """Words of that list. field: that names it."""
        return self._current(field, f"lexicons/{name}.txt", name, _read_words)

    def hot_words(self, name: str) -> Mapping[str, float]:
        """Texts of that list and their weights in nats."""
        return self._current(f"{_LANGUAGE}.hot_words_name", f"hot_words/{name}.txt", name, _read_hot_words)

    def profile(self, name: str) -> RuleOptions:
        """Rules of that profile."""
        return self._current("options.rules.profile", f"rules/{name}.toml", name, read_profile)

    def _current(self, field: str, file: str, name: str, load: Callable[[Path], _Value]) -> _Value:
        path = self._folder / file
        with self._lock:
            known, now = self._files.get(path), time.monotonic()
            if known and now < known.checked_at + self._recheck_s:
                return cast(_Value, known.value)
            stamp = _stamp(path) if _NAME.fullmatch(name) else None
            if stamp is None:
                raise OptionInvalid(f"there is no {field.rpartition('.')[2]} {name!r}", field)
            value = known.value if known and known.stamp == stamp else _loaded(path, load)
            self._files[path] = _Read(value, stamp, now)
            return cast(_Value, value)


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Changes when the file does; None when there is no file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _loaded(path: Path, load: Callable[[Path], _Value]) -> _Value:
    try:
        return load(path)
    except (OSError, ValueError) as error:
        raise LanguageInvalid(f"{path}: {error}") from error


def _read_words(path: Path) -> tuple[str, ...]:
    return tuple(_rows(path))


def _read_hot_words(path: Path) -> Mapping[str, float]:
    pairs = (row.rpartition("\t") for row in _rows(path))
    return {text: float(weight) for text, _, weight in pairs}


def _rows(path: Path) -> Iterator[str]:
    """Rows that are not empty, without what ends them."""
    return filter(None, path.read_text(encoding="utf-8-sig").splitlines())
