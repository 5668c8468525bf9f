"""Texts that lines are cut from."""

from __future__ import annotations

from random import Random

import pytest

from training.synth.corpus import Corpus, load_corpus


def test_the_bundled_corpus_has_prose_and_words():
    """Without a build there is enough to test with: prose and words of two languages."""
    corpus = load_corpus(None)
    assert {"english", "news"} <= corpus.prose.keys()
    assert {"english", "simplified"} <= corpus.words.keys()


def test_lines_are_whole_lines_of_their_source():
    """A line is never part of one or two of them."""
    corpus = Corpus({"verse": "one\ntwo two\nthree"}, {})
    assert {corpus.line("verse", Random(seed)) for seed in range(60)} == {"one", "two two", "three"}


def test_words_come_by_their_frequency_and_are_found_by_character():
    """Frequent words come more often, rare ones still come, and each is listed under its characters."""
    words = load_corpus(None).words["simplified"]
    dice = Random(1)
    picked = [words.pick(dice) for _ in range(2000)]
    assert picked.count("中国") > picked.count("麒麟") > 0
    assert words.at["麒"] == ("麒麟",)


def test_a_folder_without_texts_is_an_error(tmp_path):
    """An empty folder is not an empty corpus."""
    with pytest.raises(FileNotFoundError, match=r"training\.synth build"):
        load_corpus(tmp_path)
