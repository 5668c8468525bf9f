"""Votes over the readings of one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr_core.line_votes import LineVotes, Reading
from ocr_core.types import Character, Line, Polygon

NOWHERE = Polygon(())


def reading(text: str, *confidences: float) -> Reading:
    """Characters with these confidences, or 0.9 each."""
    given = confidences or (0.9,) * len(text)
    return Reading(tuple(text), given, sum(given) / len(given) if given else 0.0)


def votes(*readings: Reading) -> LineVotes:
    """Of readings that came in this order."""
    made = LineVotes()
    for one in readings:
        made.add(one, made.align(one))
    return made


TEXTS = st.text("abc", max_size=8)
READINGS = st.builds(
    lambda text, confidences: reading(text, *confidences[: len(text)]),
    TEXTS,
    st.lists(st.floats(0.0, 1.0), min_size=8, max_size=8),
)


@pytest.mark.parametrize(
    ("texts", "merged"),
    [
        (["total", "t0tal", "tota1"], "total"),
        (["total", "tota", "otal"], "total"),
        (["total", "to tal", "totall"], "total"),
        (["tal", "total", "total"], "total"),
        (["", "total", "total"], "total"),
    ],
)
def test_most_readings_win(texts, merged):
    """Wrong, lost and invented characters are outvoted, each in its place, though no two readings may be equal."""
    assert votes(*map(reading, texts)).text == merged


def test_confidence_is_the_weight_of_a_vote():
    """One certain reading outvotes two doubtful ones."""
    assert votes(reading("8", 0.3), reading("B", 0.95), reading("8", 0.3)).text == "B"


def test_a_text_that_changes_in_its_place_wins_in_the_end():
    """However often the old text was read, the new one takes over within a dozen frames."""
    old, new = [reading("12:01")] * 500, [reading("12:02")] * 12
    assert votes(*old, *new[:3]).text == "12:01"
    assert votes(*old, *new).text == "12:02"


def test_a_line_without_characters_votes_with_its_own_confidence():
    """Characters that the line does not tell are those of its text."""
    assert Reading.of(Line("ab", 0.5, NOWHERE)) == Reading(("a", "b"), (0.5, 0.5), 0.5)


def test_a_line_votes_with_the_confidence_of_each_character():
    """What the model emitted as one counts as one."""
    characters = (Character("fi", 0.9, 0, 0, 1, 0, 1), Character("x", 0.4, 1, 1, 2, 1, 2))
    assert Reading.of(Line("fix", 0.65, NOWHERE, characters)) == Reading(("fi", "x"), (0.9, 0.4), 0.65)


@given(READINGS.filter(lambda one: min(one.confidences, default=1) > 0.05), st.integers(1, 30))
def test_equal_readings_agree(one, times):
    """Whatever the number of readings, the merged text and confidence are those of each."""
    merged = votes(*[one] * times)
    assert merged.text == "".join(one.characters)
    assert merged.confidence == pytest.approx(one.confidence)


@given(st.lists(READINGS, max_size=20))
def test_confidence_is_a_share(readings):
    """Always in [0, 1], and 0 without text."""
    merged = votes(*readings)
    assert 0.0 <= merged.confidence <= 1.0
    assert merged.text or merged.confidence == 0.0


@given(READINGS, READINGS)
def test_an_alignment_has_every_character_and_place_once(one, other):
    """In their order, and matched where both are equal."""
    made = votes(one)
    places = sum(confidence >= 0.02 for confidence in one.confidences)
    alignment = made.align(other)
    assert [position for _, position in alignment if position is not None] == list(range(len(other.characters)))
    assert [place for place, _ in alignment if place is not None] == list(range(places))


@given(READINGS, READINGS)
def test_similarity_is_that_of_the_texts(one, other):
    """1 for equal texts that are not empty, 0 for texts without a common character, and never out of [0, 1]."""
    made = votes(one)
    similarity = made.similarity(other, made.align(other))
    assert 0.0 <= similarity <= 1.0
    if made.text == "".join(other.characters):
        assert similarity == bool(made.text)
    if not set(made.text) & set(other.characters):
        assert similarity == 0.0


@given(st.lists(st.text("abcdefgh", min_size=20, max_size=30), min_size=150, max_size=150))
def test_what_is_kept_is_bounded(texts):
    """After readings that never agree, a line keeps no more than the recent ones could have brought."""
    made = votes(*map(reading, texts))
    assert sum(len(place) for place in made._places) < 30 * 60
