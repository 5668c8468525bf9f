"""Tests of ocr_core.postprocess."""

from collections.abc import Sequence

import numpy as np
import pytest

from ext.readings import Readings
from ocr_core.hypotheses import Hypothesis, Lines
from ocr_core.postprocess import make_line
from ocr_core.types import CharacterAlternative, Line, Point, Polygon

TEXTS = ("", "a", "b", "ffi")
LEVEL = Polygon((Point(10, 5), Point(110, 5), Point(110, 25), Point(10, 25)))
SLANTED = Polygon((Point(0, 0), Point(60, 80), Point(50, 90), Point(-10, 10)))


def line_of(*hypotheses: Hypothesis, polygon: Polygon = LEVEL, share: float = 0.05, characters: bool = True) -> Line:
    return make_line(hypotheses, polygon, timestep_share=share, include_characters=characters)


def reading(
    labels: Sequence[int],
    timesteps: Sequence[int],
    confidences: Sequence[float],
    log_prob: float,
    weighed: bool = False,
) -> Hypothesis:
    """A hypothesis whose characters take two timesteps each; weighed: against label 3, of which they have 0.75."""
    count = len(labels)
    readings = Readings(
        labels=np.array(labels, np.int32),
        timesteps=np.array(timesteps, np.int32),
        starts=np.array(timesteps, np.int32),
        ends=np.array(timesteps, np.int32) + 2,
        confidences=np.array(confidences, np.float32),
        offsets=np.array([0, count], np.int32),
        log_probs=np.array([log_prob]),
        scores=np.array([log_prob + 0.5]),
        lines=np.array([0, 1], np.int32),
        posteriors=np.full(count if weighed else 0, 0.75, np.float32),
        alternative_labels=np.tile(np.array([[3, -1]], np.int32), (count, 1)),
        alternative_posteriors=np.tile(np.array([[0.25, 0.0]], np.float32), (count, 1)),
        normalisers=np.empty((2, 0)),
    )
    return Lines(readings, TEXTS)[0][0]


def test_confidence_is_the_mean_over_characters() -> None:
    """Blanks do not count."""
    assert line_of(reading((1, 2), (3, 8), (0.5, 0.9), -1.0)).confidence == pytest.approx(0.7)


def test_a_temperature_calibrates_each_character() -> None:
    """A line has the mean of its calibrated characters, as its alternatives have of theirs; all else stays."""
    readings = reading((1, 2), (3, 8), (0.9, 0.5), -1.0), reading((2,), (3,), (0.1,), -1.5)
    plain, cooler = (
        make_line(readings, LEVEL, timestep_share=0.05, include_characters=True, temperature=temperature)
        for temperature in (1.0, 2.0)
    )
    assert [character.confidence for character in cooler.characters] == [pytest.approx(0.75), pytest.approx(0.5)]
    assert cooler.confidence == pytest.approx(0.625)
    assert cooler.alternatives[0].confidence == pytest.approx(0.25)
    assert (cooler.text, cooler.alternatives[0].score) == (plain.text, plain.alternatives[0].score)


def test_an_empty_reading_has_no_confidence_and_no_characters() -> None:
    """0, not the probability of the blanks."""
    line = line_of(reading((), (), (), 0.0))
    assert (line.text, line.confidence, line.characters) == ("", 0.0, ())


def test_characters_share_the_space_between_their_peaks() -> None:
    """Borders lie half way between peaks, in source pixels from the polygon's first vertex."""
    line = line_of(reading((1, 3, 2), (3, 7, 13), (0.9, 0.8, 0.7), -1.0))
    assert [(c.text, c.timestep) for c in line.characters] == [("a", 3), ("ffi", 7), ("b", 13)]
    borders = [pytest.approx(value) for value in (7.5, 27.5, 52.5, 82.5)]
    assert [c.x_start for c in line.characters] == borders[:-1]
    assert [c.x_end for c in line.characters] == borders[1:]


def test_a_lone_character_has_the_line() -> None:
    """With nothing beside it there is no other border."""
    (character,) = line_of(reading((1,), (9,), (0.9,), -1.0)).characters
    assert (character.x_start, character.x_end) == (0.0, 100.0)


def test_positions_run_along_a_slanted_polygon() -> None:
    """The first edge is 100 long though it is 60 wide."""
    (character,) = line_of(reading((1,), (9,), (0.9,), -1.0), polygon=SLANTED).characters
    assert character.x_end == pytest.approx(100.0)


def test_positions_stay_on_the_line_when_a_peak_lies_in_the_padding() -> None:
    """A padded batch has timesteps beyond the crop."""
    line = line_of(reading((1, 2), (18, 39), (0.9, 0.9), -1.0))
    assert 0 <= line.characters[0].x_start < line.characters[1].x_end <= 100


def test_further_hypotheses_become_alternatives() -> None:
    """Best first, with their own confidences."""
    line = line_of(reading((1,), (3,), (0.6,), -0.5), reading((2,), (3,), (0.4,), -1.5), characters=False)
    assert line.characters == ()
    (other,) = line.alternatives
    assert (other.text, other.confidence, other.log_prob, other.score) == ("b", pytest.approx(0.4), -1.5, -1.0)


def test_no_hypothesis_is_an_empty_line() -> None:
    """Where nothing fits what is known of the text, there is none, with no confidence."""
    assert line_of() == Line("", 0.0, LEVEL)


def test_characters_bring_what_the_decoder_found() -> None:
    """First and last timestep, share and rivals; neither share nor rivals where none were weighed."""
    (weighed,) = line_of(reading((1,), (9,), (0.9,), -1.0, weighed=True)).characters
    assert (weighed.start_timestep, weighed.timestep, weighed.end_timestep) == (9, 9, 11)
    assert (weighed.posterior, weighed.alternatives) == (0.75, (CharacterAlternative("ffi", 0.25),))
    (plain,) = line_of(reading((1,), (9,), (0.9,), -1.0)).characters
    assert (plain.posterior, plain.alternatives) == (None, ())
