"""Files of language knowledge that change while they are used."""

from __future__ import annotations

import os

import pytest

from ocr_core.errors import LanguageInvalid, OptionInvalid
from ocr_core.language_dir import LanguageDir


@pytest.fixture
def folder(tmp_path):
    """A folder with a lexicon and hot words."""
    (tmp_path / "lexicons").mkdir()
    (tmp_path / "hot_words").mkdir()
    write(tmp_path / "lexicons" / "cities.txt", "京都\n\nNew York\r\n")
    write(tmp_path / "hot_words" / "names.txt", "Glyphwire\t2.5\na\tb\t-1\n")
    return tmp_path


def write(path, text):
    """Replace a file as an operator should: by renaming."""
    new = path.with_suffix(".new")
    new.write_bytes(text.encode())
    os.replace(new, path)


def test_words_and_weights_are_read(folder):
    """A word per row and a text with its weight per row; empty rows are none."""
    found = LanguageDir(folder)
    assert found.lexicon("cities") == ("京都", "New York")
    assert found.hot_words("names") == {"Glyphwire": 2.5, "a\tb": -1.0}


def test_a_changed_file_is_read_again(folder):
    """What a file holds now is what is found, and the same object as long as it stays."""
    found = LanguageDir(folder, recheck_s=0.0)
    first = found.lexicon("cities")
    assert found.lexicon("cities") is first
    write(folder / "lexicons" / "cities.txt", "Kyoto\n")
    assert found.lexicon("cities") == ("Kyoto",)
    (folder / "lexicons" / "cities.txt").unlink()
    with pytest.raises(OptionInvalid):
        found.lexicon("cities")


def test_files_are_not_looked_at_all_the_time(folder):
    """Until recheck_s have passed, what was read is taken as it is."""
    found = LanguageDir(folder, recheck_s=3600.0)
    first = found.lexicon("cities")
    write(folder / "lexicons" / "cities.txt", "Kyoto\n")
    assert found.lexicon("cities") is first


@pytest.mark.parametrize("name", ["nowhere", "../lexicons/cities", "cities.txt", ".cities", "", "a/b", "x" * 400, "\0"])
def test_only_names_of_files_are_found(folder, name):
    """A name that is none of a file in its folder is the caller's fault, and leads nowhere else."""
    found = LanguageDir(folder)
    with pytest.raises(OptionInvalid) as caught:
        found.lexicon(name)
    assert caught.value.field == "options.decode.language.lexicon_name"
    with pytest.raises(OptionInvalid) as caught:
        found.hot_words(name)
    assert caught.value.field == "options.decode.language.hot_words_name"
    with pytest.raises(OptionInvalid) as caught:
        found.language_model(name)
    assert caught.value.field == "options.decode.language.language_model"


@pytest.mark.parametrize("content", [b"Glyphwire", b"Glyphwire\tmuch\n", b"\xff\xfe\n"])
def test_a_file_that_makes_no_sense_is_our_fault(folder, content):
    """A row without a weight, a weight that is no number and bytes that are no UTF-8 name the file."""
    (folder / "hot_words" / "names.txt").write_bytes(content)
    with pytest.raises(LanguageInvalid, match=r"names\.txt"):
        LanguageDir(folder).hot_words("names")
