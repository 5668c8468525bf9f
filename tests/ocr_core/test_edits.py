"""Tests of ocr_core.edits."""

from rapidfuzz.distance import Levenshtein

from ocr_core.edits import Confusion, confusions, edits_of
from ocr_core.page_scores import normalise


def test_each_character_is_right_or_wrong() -> None:
    """One read for another, one missing, one too many; white space does not count, nor do case and width."""
    edits = edits_of("Ｔotal 10.5", "tota1 10,5x")
    assert edits.pairs == (("l", "1"), (".", ","), ("", "x"))
    assert edits.label_right == (True, True, True, True, False, None, True, True, False, True)
    assert edits.read_right == (True, True, True, True, False, None, True, True, False, True, False)
    assert edits_of("abc", "ac").pairs == (("b", ""),)


def test_elements_may_be_several_characters() -> None:
    """A character that stands for three is right when all of them are."""
    edits = edits_of("office", ["o", "ﬃ", "c", "e"])
    assert (edits.pairs, edits.read_right) == ((), (True, True, True, True))
    assert edits_of("offlce", ["o", "ﬃ", "c", "e"]).read_right == (True, False, True, True)


def test_there_are_as_many_pairs_as_edits() -> None:
    """The pairs are what the character error rate counts."""
    label, read = "发票号码 No.12345678", "发栗号No:1234S678 "
    assert len(edits_of(label, read).pairs) == Levenshtein.distance(normalise(label), normalise(read)) == 4


def test_confusions_are_counted_over_all_texts() -> None:
    """The most frequent first, each with how often labels have its character."""
    found = confusions([edits_of("O0O", "000"), edits_of("Oh", "0h"), edits_of("ab", "a"), edits_of("ab", "abb")])
    assert found == [Confusion("o", "0", 3, 3), Confusion("", "b", 1, 0), Confusion("b", "", 1, 2)]
