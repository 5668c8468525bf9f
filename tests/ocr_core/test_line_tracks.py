"""Lines followed from frame to frame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr_core import line_tracks
from ocr_core.errors import OptionInvalid
from ocr_core.line_tracks import LineTracks
from ocr_core.types import Line, Point, Polygon, VotingOptions


def line(text: str, x: float = 0, y: float = 0, width: float = 200, confidence: float = 0.9, tilt: float = 0) -> Line:
    """20 pixels high. tilt: how much lower its right end is."""
    low = y + tilt
    corners = (Point(x, y), Point(x + width, low), Point(x + width, low + 20), Point(x, y + 20))
    return Line(text, confidence, Polygon(corners))


def tracks(*frames: list[Line], **options: int) -> LineTracks:
    """After these frames."""
    made = LineTracks(VotingOptions(**options))
    for lines in frames:
        made.add(lines)
    return made


def summary(made: LineTracks) -> list[tuple[int, str, int, int]]:
    """track_id, text, frames_seen and frames_missed of each line."""
    return [(found.track_id, found.text, found.frames_seen, found.frames_missed) for found in made.lines]


def test_a_line_that_moves_keeps_its_track():
    """Lines that shift by a quarter of their height per frame are the same lines, and have the last place."""
    made = tracks(*([line("first row", y=5 * n), line("second row", y=30 + 5 * n)] for n in range(4)))
    assert summary(made) == [(1, "first row", 4, 0), (2, "second row", 4, 0)]
    assert made.lines[0].polygon == line("first row", y=15).polygon


def test_tilted_neighbours_are_told_apart():
    """Lines whose bounding boxes overlap but whose polygons do not are different lines, even with like texts."""
    lines = [line(f"row {n} of many", y=26 * n, tilt=120) for n in range(4)]
    assert summary(tracks(lines, lines[::-1])) == [(n + 1, f"row {n} of many", 2, 0) for n in range(4)]


def test_another_text_in_the_same_place_is_another_line():
    """A subtitle that replaces another has a track and votes of its own."""
    made = tracks([line("Good morning")], [line("xyz 12345 q")])
    assert summary(made) == [(1, "Good morning", 1, 1), (2, "xyz 12345 q", 1, 0)]


def test_a_like_text_elsewhere_is_another_line():
    """Two rows of a table may have equal texts."""
    made = tracks([line("0.00", y=0), line("0.00", y=40)], [line("0.00", y=40)])
    assert summary(made) == [(1, "0.00", 1, 1), (2, "0.00", 2, 0)]


def test_a_line_belongs_to_the_track_that_suits_it_best():
    """Of two tracks in one place the one with the more similar text goes on."""
    made = tracks([line("abcd efgh"), line("abcd xxxx")], [line("abcd xxxy")])
    assert [(found.track_id, found.frames_seen) for found in made.lines] == [(1, 1), (2, 2)]


def test_readings_are_merged():
    """Misread frames are outvoted; confidence falls with the share of votes."""
    made = tracks([line("total")], [line("t0tal")], [line("total")])
    (found,) = made.lines
    assert found.text == "total"
    assert 0.6 < found.confidence < 0.9


def test_a_line_is_stable_when_its_text_has_not_changed():
    """stable_frames frames in which it was seen with one text make it stable; a change starts anew."""
    made = tracks(stable_frames=2)
    states = []
    for text in ["total", "total", "total", *["tonal"] * 5]:
        made.add([line(text)])
        states.append((made.lines[0].text, made.lines[0].is_stable))
    before, after = states[:3], states[3:]
    assert before == [("total", False), ("total", True), ("total", True)]
    first = next(number for number, (text, _) in enumerate(after) if text == "tonal")
    assert [stable for _, stable in after[first : first + 2]] == [False, True]


def test_a_missed_line_is_forgotten_in_time():
    """It stays for max_missed_frames frames, and gets another track when it comes later."""
    made = tracks([line("here")], [], [line("here")], [], [], max_missed_frames=2)
    assert summary(made) == [(1, "here", 2, 2)]
    made.add([])
    assert made.lines == ()
    made.add([line("here")])
    assert summary(made) == [(2, "here", 1, 0)]


def test_an_empty_line_counts_as_missed():
    """A line image in which nothing was read adds no vote and no track."""
    made = tracks([line("here")], [line("", confidence=0)])
    assert summary(made) == [(1, "here", 1, 1)]


def test_unchanged_frames_count_but_do_not_vote():
    """The lines of the last frame are seen again; those missed in it are not."""
    made = tracks([line("a a a"), line("b b b", y=40)], [line("a a a")], stable_frames=3)
    made.see_again()
    assert summary(made) == [(1, "a a a", 3, 0), (2, "b b b", 1, 1)]
    assert [found.is_stable for found in made.lines] == [True, False]


def test_tracks_are_bounded(monkeypatch):
    """When there are too many, those missed for longest go first."""
    monkeypatch.setattr(line_tracks, "MAX_TRACKS", 2)
    made = tracks([line("old")], [line("newer", y=50)], [line("newest", y=100)])
    assert [found.text for found in made.lines] == ["newer", "newest"]


def test_lines_without_area_are_followed_nowhere():
    """A degenerate polygon overlaps nothing, itself included, and disturbs nobody."""
    flat = Line("flat", 0.9, Polygon((Point(1, 1),) * 4))
    made = tracks([flat, line("row")], [flat, line("row")])
    assert (2, "row", 2, 0) in summary(made)


@pytest.mark.parametrize(("name", "value"), [("stable_frames", 0), ("stable_frames", 101), ("max_missed_frames", -1)])
def test_options_have_ranges(name, value):
    """The error names the field of the stream's configuration."""
    with pytest.raises(OptionInvalid) as caught:
        VotingOptions(**{name: value})
    assert caught.value.field == f"config.voting.{name}"


LINES = st.lists(
    st.builds(line, st.text("ab ", max_size=5), st.integers(0, 40), st.integers(0, 60), st.integers(1, 200)), max_size=6
)


@given(st.lists(LINES, max_size=8), st.integers(0, 3))
def test_every_line_is_in_one_track(frames, max_missed):
    """Track ids are unique and rise; each line with text is seen in just one track; none is missed for too long."""
    made = LineTracks(VotingOptions(max_missed_frames=max_missed))
    for lines in frames:
        made.add(lines)
        numbers = [found.track_id for found in made.lines]
        assert numbers == sorted(set(numbers))
        assert sum(found.frames_missed == 0 for found in made.lines) == sum(bool(one.text) for one in lines)
        assert all(found.frames_missed <= max_missed for found in made.lines)
