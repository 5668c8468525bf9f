"""Tests of ocr_core.page_scores."""

from ocr_core.page_scores import PageCounts, PageLine, compare_page, polygon_of


def line(text: str, left: float, right: float, top: float = 0, *, ignore: bool = False) -> PageLine:
    """20 pixels high."""
    return PageLine(text, polygon_of([(left, top), (right, top), (right, top + 20), (left, top + 20)]), ignore)


def test_a_page_read_right() -> None:
    """Everything is found, matched and read; case and white space do not count."""
    labels = [line("Hello You", 0, 100), line("再见", 0, 40, 50)]
    counts = compare_page(labels, [line("再见", 0, 41, 50), line("hello you", 2, 100)]).counts
    assert counts == PageCounts(labelled=2, found=2, matched=2, read=2, characters=10, edits=0)
    assert (counts.h_mean, counts.cer, counts.line_recall) == (1.0, 0.0, 1.0)


def test_text_does_not_depend_on_how_lines_are_cut() -> None:
    """Words of one label, and labels of one line, are compared as a whole; detection counts them as they are."""
    split = compare_page([line("hello you", 0, 100)], [line("you", 55, 100), line("hello", 0, 50)]).counts
    assert split == PageCounts(labelled=1, found=2, matched=1, read=1, characters=8, edits=0)
    merged = compare_page([line("hello", 0, 48), line("you", 52, 100)], [line("hello you", 0, 100)]).counts
    assert merged == PageCounts(labelled=2, found=1, matched=0, read=2, characters=8, edits=0)


def test_what_is_missed_and_what_is_not_labelled() -> None:
    """A missed label costs its characters; text where nothing is labelled costs precision alone."""
    counts = compare_page([line("missed", 0, 100)], [line("more", 300, 400)]).counts
    assert counts == PageCounts(labelled=1, found=1, matched=0, read=0, characters=6, edits=6)
    assert (counts.precision, counts.recall, counts.cer) == (0.0, 0.0, 1.0)


def test_ignored_labels_count_for_nothing() -> None:
    """Neither they nor what was found on them."""
    counts = compare_page([line("###", 0, 100, ignore=True)], [line("abc", 5, 95)]).counts
    assert counts == PageCounts()


def test_a_found_line_matches_one_label() -> None:
    """Two found lines in the place of one label are one match and one too many."""
    counts = compare_page([line("ab", 0, 100)], [line("ab", 0, 90), line("b", 5, 100)]).counts
    assert (counts.found, counts.matched) == (2, 1)


def test_an_empty_page() -> None:
    """No division by nothing."""
    counts = compare_page([], []).counts
    assert (counts.precision, counts.recall, counts.h_mean, counts.cer, counts.line_recall) == (0, 0, 0, 0, 0)
