"""Decoders by what is known of the text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ocr_core.charset import Charset
from ocr_core.decode import Decoder
from ocr_core.decoder_shelf import DecoderShelf
from ocr_core.errors import OptionInvalid
from ocr_core.language_dir import LanguageDir
from ocr_core.ngram import CharacterModel
from ocr_core.types import LanguageOptions
from tests.ocr_core.test_language_dir import write

CHARSET = Charset(tuple("0123456789ab "), blank_index=0)


@pytest.fixture
def folder(tmp_path):
    """A folder with the lexicon "words", the hot words "hot" and the language model "twos"."""
    for name in ("lexicons", "hot_words", "models"):
        (tmp_path / name).mkdir()
    write(tmp_path / "lexicons" / "words.txt", "1\n")
    write(tmp_path / "hot_words" / "hot.txt", "2\t1\na\t9\n")
    CharacterModel.train(["2", "22", "2"], order=2, min_count=1).save(tmp_path / "models" / "twos.lm")
    return tmp_path


@pytest.fixture
def shelf(folder):
    """A shelf of two decoders, for files that are looked at every time."""
    return DecoderShelf(Decoder(CHARSET), LanguageDir(folder, recheck_s=0.0), capacity=2)


def read(decoder):
    """What a decoder makes of one timestep at which "1", "2" and "a" are likely, in this order."""
    row = np.full((1, CHARSET.class_count), 0.01, np.float32)
    row[0, [2, 3, 11]] = 0.4, 0.3, 0.19
    return decoder.beam(row).best_texts[0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (LanguageOptions(), "1"),
        (LanguageOptions(pattern="[2-9]"), "2"),
        (LanguageOptions(whitelist="ab"), "a"),
        (LanguageOptions(whitelist="2a", pattern="[a-b]"), "a"),
        (LanguageOptions(hot_words=(("2", 1.0),)), "2"),
        (LanguageOptions(lexicon=("2", "22")), "2"),
        (LanguageOptions(lexicon=("a",), lexicon_bonus=2.0), "a"),
        (LanguageOptions(hot_words_name="hot"), "a"),
        (LanguageOptions(hot_words_name="hot", hot_words=(("a", 0.0),)), "2"),
        (LanguageOptions(language_model="twos"), "2"),
        (LanguageOptions(language_model="twos", language_model_weight=0.0), "1"),
        (LanguageOptions(language_model="twos", whitelist="1a"), "1"),
        (LanguageOptions(lexicon_name="words", lexicon=("2",)), "1"),
        (LanguageOptions(lexicon_name="words", lexicon=("2",), hot_words=(("2", 1.0), ("a", 9.0))), "2"),
    ],
)
def test_what_is_known_decides(shelf, options, text):
    """Each option does what it says, alone and with others."""
    assert read(shelf.find(options)) == text


def test_decoders_are_kept_while_they_are_used(shelf):
    """Equal options find the same decoder; of more than fit, the one that was used least recently goes."""
    one, two, three = (LanguageOptions(whitelist=letter) for letter in "12a")
    kept, dropped = shelf.find(one), shelf.find(two)
    assert shelf.find(LanguageOptions(whitelist="1")) is kept
    shelf.find(three)
    assert shelf.find(one) is kept
    assert shelf.find(two) is not dropped


def test_a_language_model_is_shared(shelf):
    """Requests that differ in anything else have the same compiled model, not one each."""
    one, two = (shelf.find(LanguageOptions(language_model="twos", whitelist=letter)) for letter in "12")
    assert one.lm is two.lm is shelf.find(LanguageOptions(language_model="twos")).lm


def test_threads_that_ask_at_once_get_the_same(shelf):
    """Of several threads that need a decoder which is not there, one makes it for all."""
    options = LanguageOptions(pattern="[0-9]{1,50}")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: shelf.find(options), range(8)))
    assert all(decoder is found[0] for decoder in found)


def test_words_change_while_the_server_runs(shelf, folder):
    """A lexicon that has changed on disk counts from the next request on; what a request holds stays as it was."""
    options = LanguageOptions(lexicon_name="words")
    before = shelf.find(options)
    write(folder / "lexicons" / "words.txt", "2\n")
    assert [read(decoder) for decoder in (before, shelf.find(options), shelf.find(options))] == ["1", "2", "2"]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (LanguageOptions(pattern="[a"), "pattern"),
        (LanguageOptions(pattern="Ω"), "pattern"),
        (LanguageOptions(pattern="1", whitelist="2"), "pattern"),
        (LanguageOptions(whitelist="Ω"), "whitelist"),
        (LanguageOptions(lexicon=("Ω",)), "lexicon"),
        (LanguageOptions(lexicon=("a b",)), "lexicon"),
        (LanguageOptions(lexicon_name="nowhere"), "lexicon_name"),
        (LanguageOptions(hot_words_name="nowhere"), "hot_words_name"),
        (LanguageOptions(language_model="nowhere"), "language_model"),
    ],
)
def test_what_does_not_suit_names_its_field(shelf, options, field):
    """A pattern that does not parse, and words and characters that the model does not have, are the caller's fault."""
    with pytest.raises(OptionInvalid) as caught:
        shelf.find(options)
    assert caught.value.field == f"options.decode.language.{field}"
