"""Class indices to text."""

import pytest

from ocr_core.charset import Charset
from ocr_core.errors import BundleInvalid


@pytest.mark.parametrize(("blank_index", "labels"), [(0, [1, 2, 3]), (1, [0, 2, 3]), (3, [0, 1, 2])])
def test_labels_skip_the_blank_wherever_it_is(blank_index, labels):
    """The same text comes from the classes around a blank at the start, in the middle and at the end."""
    charset = Charset(("a", "b", "c"), blank_index)
    assert charset.text(labels) == "abc"
    assert [charset.character(label) for label in labels] == ["a", "b", "c"]


def test_counts_name_both_sides():
    """A charset is as long as its characters and has one class more."""
    charset = Charset(("a", "b"), 0)
    assert (len(charset), charset.class_count) == (2, 3)


def test_spaces_duplicates_and_several_code_points_survive():
    """Characters come out as they are in the dictionary: spaces, decomposed accents, sequences, duplicates."""
    charset = Charset((" ", "e\u0301", "ffi", "\u3000", " ", "👍🏽"), 0)
    assert charset.text([1, 2, 3, 4, 5, 6]) == " e\u0301ffi\u3000 👍🏽"


def test_no_labels_are_no_text():
    """The text of no labels is empty."""
    assert Charset(("a",), 1).text([]) == ""


@pytest.mark.parametrize("label", [1, -1, 3])
def test_blank_and_foreign_classes_have_no_character(label):
    """Blank and indices outside the class axis raise IndexError instead of yielding a neighbour."""
    with pytest.raises(IndexError, match="no label"):
        Charset(("a", "b"), 1).character(label)


@pytest.mark.parametrize(
    ("characters", "blank_index", "message"),
    [
        ((), 0, "no characters"),
        (("a", ""), 0, "empty character at position 1"),
        (("a", "b"), 3, "blank_index is 3, must be from 0 to 2"),
        (("a", "b"), -1, "blank_index is -1"),
    ],
)
def test_charsets_that_do_not_fit_are_refused(characters, blank_index, message):
    """Empty charsets, empty characters and a blank outside the class axis raise BundleInvalid."""
    with pytest.raises(BundleInvalid, match=message):
        Charset(characters, blank_index)
