"""The decoders of one model, by what requests say is known of the text."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ocr_core.decode import Decoder, LanguageModel
from ocr_core.errors import OptionInvalid
from ocr_core.language import HotWords, Lexicon, Pattern, Whitelist
from ocr_core.language_dir import LanguageDir
from ocr_core.types import LanguageOptions

CAPACITY = 32
"""Decoders kept; of 10 000 words one takes about 2 MB."""

_NOTHING = LanguageOptions()


@dataclass(frozen=True, slots=True)
class _Shelved:
    """files: what the named files held when the decoder was made."""

    decoder: Decoder
    files: tuple[object, ...]

    def is_current(self, files: tuple[object, ...]) -> bool:
        return all(old is new for old, new in zip(self.files, files, strict=True))


class DecoderShelf:
    """Makes decoders and keeps those that were used last. May be shared by threads.

    plain: knows nothing; the others are it with something added.
    """

    def __init__(self, plain: Decoder, language_dir: LanguageDir, capacity: int = CAPACITY) -> None:
        self._plain = plain
        self._dir = language_dir
        self._capacity = capacity
        self._shelf: OrderedDict[LanguageOptions, _Shelved] = OrderedDict()
        self._lock = threading.Lock()
        self._making = threading.RLock()

    def find(self, options: LanguageOptions) -> Decoder:
        """The decoder that knows what options say, and what the files they name hold now.

        Raises OptionInvalid for a name that there is not and for what does not suit the model, LanguageInvalid for a
        file that cannot be understood.
        """
        if options == _NOTHING:
            return self._plain
        files = self._files(options)
        if decoder := self._kept(options, files):
            return decoder
        # Nobody else makes the same one at the same time; who finds theirs does not wait.
        with self._making:
            decoder = self._kept(options, files) or self._made(options)
            with self._lock:
                self._shelf[options] = _Shelved(decoder, files)
                self._shelf.move_to_end(options)
                while len(self._shelf) > self._capacity:
                    self._shelf.popitem(last=False)
            return decoder

    def _kept(self, options: LanguageOptions, files: tuple[object, ...]) -> Decoder | None:
        with self._lock:
            shelved = self._shelf.get(options)
            if shelved is None or not shelved.is_current(files):
                return None
            self._shelf.move_to_end(options)
            return shelved.decoder

    def _files(self, options: LanguageOptions) -> tuple[object, ...]:
        return (
            self._dir.language_model(options.language_model) if options.language_model else None,
            self._dir.lexicon(options.lexicon_name) if options.lexicon_name else None,
            self._dir.hot_words(options.hot_words_name) if options.hot_words_name else None,
        )

    def _made(self, options: LanguageOptions) -> Decoder:
        """From the decoder that knows the language model alone: dear to compile, it is shared by all that name it."""
        model_only = LanguageOptions(
            language_model=options.language_model,
            language_model_weight=options.language_model_weight,
            language_model_bonus=options.language_model_bonus,
        )
        if options == model_only:
            return self._plain.with_(lm=self._language_model(options))
        decoder = self.find(model_only)
        with _naming("lexicon"):
            decoder = decoder.with_(lexicon=self._lexicon(options))
        with _naming("hot_words"):
            decoder = decoder.with_(hotwords=self._hot_words(options))
        whitelists = [Whitelist(options.whitelist)] if options.whitelist else []
        with _naming("whitelist"):
            decoder = decoder.with_(mask=whitelists)
        with _naming("pattern"):
            patterns = [Pattern(options.pattern)] if options.pattern else []
            return decoder.with_(mask=[*whitelists, *patterns])

    def _language_model(self, options: LanguageOptions) -> LanguageModel | None:
        if not options.language_model:
            return None
        model = self._dir.language_model(options.language_model)
        return LanguageModel(model, options.language_model_weight, options.language_model_bonus)

    def _lexicon(self, options: LanguageOptions) -> Lexicon | None:
        named = self._dir.lexicon(options.lexicon_name) if options.lexicon_name else ()
        words = (*named, *options.lexicon)
        return Lexicon(words, options.lexicon_bonus, options.lexicon_separators) if words else None

    def _hot_words(self, options: LanguageOptions) -> HotWords | None:
        named = self._dir.hot_words(options.hot_words_name) if options.hot_words_name else {}
        weights = {**named, **dict(options.hot_words)}
        return HotWords(weights) if weights else None


@contextmanager
def _naming(field: str) -> Iterator[None]:
    """What does not suit was asked for in that field."""
    try:
        yield
    except OptionInvalid as error:
        raise OptionInvalid(error.message, f"options.decode.language.{field}") from error
