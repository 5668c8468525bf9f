"""Files of n-gram models."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest

from ocr_core.errors import LanguageInvalid
from ocr_core.ngram import CharacterModel
from ocr_core.ngram_tables import list_kenlm
from tests.ocr_core.arpa import arpa

LINES = ["ab cab", "abba　ab", "ab 日本", "cab | cab", "a\u0301b", "日本 ab"] * 2
MODEL = CharacterModel.train([line.replace("|", "") for line in LINES], order=3, min_count=1)
TEXTS = ["ab cab", "abx", "　日本", "", "bab ba"]

SMALL = """\
Written by hand.

\\data\\
ngram 1=5
ngram 2=3

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.2
-0.5\t</s>
-0.6\ta\t-0.3
-0.7\tb

\\2-grams:
-0.1\t<s> a
-0.4\ta b
-0.2\ta </s>

\\end\\
"""


@pytest.fixture
def load(tmp_path):
    """Loads a model from the contents of a file."""

    def load(contents: str | bytes) -> CharacterModel:
        path = tmp_path / "model"
        path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
        return CharacterModel.load(path)

    return load


def same(one: CharacterModel, other: CharacterModel, tolerance: float) -> bool:
    return np.allclose(one.log_probs(TEXTS), other.log_probs(TEXTS), atol=tolerance)


@pytest.mark.parametrize(
    ("text", "log10_probs"),
    [
        ("ab", [-0.1, -0.4, -0.5]),
        ("ba", [-0.2 - 0.7, -0.6, -0.2]),
        ("aa", [-0.1, -0.3 - 0.6, -0.2]),
        ("?", [-0.2 - 1.0, -0.5]),
    ],
)
def test_an_arpa_file_means_what_katz_says(load, text, log10_probs):
    """Listed n-grams have their probability, others that after the shorter context and the backoff weight."""
    assert load(SMALL).log_probs([text]) == pytest.approx([math.log(10) * log10 for log10 in log10_probs])


@pytest.mark.parametrize("space", ["<space>", "▁", "|"])
def test_an_arpa_file_is_read_whatever_it_calls_a_space(load, space):
    """Spaces have one of three names; the ideographic space is a character like others."""
    assert same(load(arpa(MODEL, space)), MODEL, 1e-5)
    assert same(load(gzip.compress(arpa(MODEL, space).encode())), MODEL, 1e-5)
    assert same(load(arpa(MODEL, space).replace("\n", "\r\n").replace("\t", " ")), MODEL, 1e-5)


def test_a_bar_is_a_bar_where_spaces_have_another_name(load):
    """Of the names of a space only the first that occurs is one."""
    model = CharacterModel.train(LINES, order=2)
    assert load(arpa(model)).log_prob("cab | cab") == pytest.approx(model.log_prob("cab | cab"), abs=1e-4)


def test_a_model_without_unknown_takes_the_rarest_character(load):
    """What it does not know is as likely as the rarest of its characters, listed as impossible or not at all."""
    for contents in (
        SMALL.replace("-1.0\t<unk>", "-100\t<unk>"),
        SMALL.replace("-1.0\t<unk>\n", "").replace("=5", "=4"),
    ):
        assert load(contents).log_probs(["?"])[0] == pytest.approx(math.log(10) * (-0.2 - 0.7))


def test_a_saved_model_is_the_same_to_float16(tmp_path):
    """Saving keeps n-grams and characters, and rounds weights."""
    MODEL.save(tmp_path / "saved")
    saved = CharacterModel.load(tmp_path / "saved")
    assert saved.ngrams.characters == MODEL.ngrams.characters
    assert np.array_equal(saved.ngrams.trie.keys, MODEL.ngrams.trie.keys)
    assert same(saved, MODEL, 0.01)
    saved.save(tmp_path / "again")
    assert np.array_equal(CharacterModel.load(tmp_path / "again").ngrams.log_probs, saved.ngrams.log_probs)


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "cut short"),
        (b"\xff\xfe\x00", "no language model"),
        (b"PK\x03\x04 cut", "no language model"),
        (b"\x1f\x8b cut", "no language model"),
        (SMALL[:-7], "cut short"),
        (SMALL.replace("-0.4\ta b\n", ""), "7 n-grams where its head says 8"),
        (SMALL.replace("a b", "b b\t1\t2"), "among 2-grams"),
        (SMALL.replace("a b", "a c"), "no unigram"),
        (SMALL.replace("a b", "<s> a"), "twice"),
        (SMALL.replace("2=3", "2=2\nngram 3=1").replace("-0.2\ta </s>", "\\3-grams:\n-0.2\tb a </s>"), "beginning"),
        (SMALL.replace("-0.4", "nan"), "no numbers"),
        (SMALL.replace("-0.4", "x"), "no language model"),
        (SMALL.replace("\tb\n", "\tbe\n").replace("a b", "a be"), "no model of characters: it lists 'be'"),
        (
            SMALL.replace("-0.5\t</s>\n", "").replace("-0.2\ta </s>\n", "").replace("1=5", "1=4").replace("2=3", "2=2"),
            "lacks",
        ),
        (b"mmap lm http://kheafield.com/code format version 5\n\0", "KenLM|ARPA"),
    ],
)
def test_a_bad_file_is_named_with_the_reason(load, contents, reason):
    """Damaged files and models of words raise LanguageInvalid."""
    with pytest.raises(LanguageInvalid, match=reason) as caught:
        load(contents)
    assert "model" in caught.value.message


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("format", lambda values: values + 1),
        ("children", lambda values: values[:-1]),
        ("symbols", lambda values: values[::-1]),
        ("symbols", lambda values: values + 1),
        ("log_probs", lambda values: values[:-1]),
        ("backoffs", lambda values: values * np.nan),
        ("characters", lambda values: values[:-1]),
    ],
)
def test_a_tampered_binary_is_refused(tmp_path, name, change):
    """Arrays that do not fit together are LanguageInvalid and never an index error later."""
    MODEL.save(tmp_path / "saved")
    with np.load(tmp_path / "saved") as arrays:
        changed = {**arrays, name: change(arrays[name])}
    with (tmp_path / "saved").open("wb") as file:
        np.savez(file, **changed)
    with pytest.raises(LanguageInvalid, match="saved"):
        CharacterModel.load(tmp_path / "saved")


def test_a_model_that_is_not_there_is_named(tmp_path):
    """A missing file is LanguageInvalid too."""
    with pytest.raises(LanguageInvalid, match="nowhere"):
        CharacterModel.load(tmp_path / "nowhere")


def test_kenlm_tells_all_it_knows(tmp_path):
    """Every n-gram is found by asking KenLM, which lists none."""
    kenlm = pytest.importorskip("kenlm")
    path = tmp_path / "model.arpa"
    path.write_text(arpa(MODEL), encoding="utf-8")
    found = CharacterModel(list_kenlm(kenlm, kenlm.Model(str(path))).table())
    assert found.counts == MODEL.counts
    assert same(found, MODEL, 1e-4)


def test_kenlm_models_of_words_are_refused(tmp_path):
    """A model whose probability is not in single characters is no model of characters."""
    kenlm = pytest.importorskip("kenlm")
    path = tmp_path / "model.arpa"
    path.write_text(arpa(MODEL).replace("b", "be"), encoding="utf-8")
    with pytest.raises(LanguageInvalid, match="characters"):
        list_kenlm(kenlm, kenlm.Model(str(path)))
