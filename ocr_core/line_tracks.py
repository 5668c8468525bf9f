"""The lines of successive frames -> the same lines followed over time, each with the text its readings agree on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ocr_core.line_votes import Alignment, LineVotes, Reading
from ocr_core.types import Line, Polygon, StableLine, VotingOptions

_MIN_OVERLAP = 0.2
"""Intersection over union of two polygons of one line: a line may move by half its height or more between frames."""

_MIN_SIMILARITY = 0.4
"""Of two readings of one line. Low, as blurred frames are read badly; what replaces a text is rarely as like it."""

MAX_TRACKS = 1000
"""As many as a page can have lines. The first to be forgotten are those missed for longest."""


@dataclass(eq=False, slots=True)
class _Track:
    """A line that is followed. frames_alike: in how many its text has been what it is."""

    number: int
    polygon: Polygon
    votes: LineVotes = field(default_factory=LineVotes)
    frames_seen: int = 0
    frames_missed: int = 0
    frames_alike: int = 0

    def see(self, line: Line, reading: Reading, alignment: Alignment) -> None:
        before = self.votes.text
        self.votes.add(reading, alignment)
        self.polygon = line.polygon
        self.frames_seen += 1
        self.frames_missed = 0
        self.frames_alike = self.frames_alike + 1 if self.votes.text == before else 1

    def see_again(self) -> None:
        self.frames_seen += 1
        self.frames_alike += 1


class _Match(NamedTuple):
    """A track and a line that may belong together."""

    score: float
    track: int
    line: int
    alignment: Alignment


class LineTracks:
    """The lines of one stream. Not thread-safe. Memory is bounded: tracks are at most MAX_TRACKS and votes fade."""

    def __init__(self, options: VotingOptions) -> None:
        self._options = options
        self._tracks: list[_Track] = []
        self._numbers = itertools.count(1)

    @property
    def lines(self) -> tuple[StableLine, ...]:
        """All lines that are followed, in the order in which they were first seen."""
        return tuple(
            StableLine(
                track_id=track.number,
                text=track.votes.text,
                confidence=track.votes.confidence,
                polygon=track.polygon,
                frames_seen=track.frames_seen,
                frames_missed=track.frames_missed,
                is_stable=track.frames_alike >= self._options.stable_frames,
            )
            for track in self._tracks
        )

    def add(self, lines: Sequence[Line]) -> None:
        """Count the lines of the next frame. A line without text counts as missed."""
        seen = [line for line in lines if line.text]
        readings = [Reading.of(line) for line in seen]
        for track in self._tracks:
            track.frames_missed += 1
        new = dict(enumerate(seen))
        for match in self._matches(seen, readings):
            self._tracks[match.track].see(new.pop(match.line), readings[match.line], match.alignment)
        for number, line in new.items():
            track = _Track(next(self._numbers), line.polygon)
            track.see(line, readings[number], track.votes.align(readings[number]))
            self._tracks.append(track)
        self._forget()

    def see_again(self) -> None:
        """Count a frame that shows what the last one showed: its lines are seen, but no reading is added."""
        for track in self._tracks:
            if not track.frames_missed:
                track.see_again()

    def _matches(self, lines: Sequence[Line], readings: Sequence[Reading]) -> Iterator[_Match]:
        """Best first, each track and line at most once."""
        tracks: set[int] = set()
        taken: set[int] = set()
        for match in sorted(self._candidates(lines, readings), key=lambda match: -match.score):
            if match.track not in tracks and match.line not in taken:
                tracks.add(match.track)
                taken.add(match.line)
                yield match

    def _candidates(self, lines: Sequence[Line], readings: Sequence[Reading]) -> Iterator[_Match]:
        old = [_corners(track.polygon) for track in self._tracks]
        new = [_corners(line.polygon) for line in lines]
        for one, other in _touching(old, new):
            overlap = _overlap(old[one], new[other])
            if overlap < _MIN_OVERLAP:
                continue
            votes, reading = self._tracks[one].votes, readings[other]
            alignment = votes.align(reading)
            similarity = votes.similarity(reading, alignment)
            if similarity >= _MIN_SIMILARITY:
                yield _Match(overlap + similarity, one, other, alignment)

    def _forget(self) -> None:
        kept = [track for track in self._tracks if track.frames_missed <= self._options.max_missed_frames]
        if len(kept) > MAX_TRACKS:
            kept = sorted(kept, key=lambda track: track.frames_missed)[:MAX_TRACKS]
            kept.sort(key=lambda track: track.number)
        self._tracks = kept


def _corners(polygon: Polygon) -> npt.NDArray[np.float32]:
    """float32 [vertex, 2]."""
    return np.array([(vertex.x, vertex.y) for vertex in polygon.vertices], np.float32)


def _touching(
    old: Sequence[npt.NDArray[np.float32]], new: Sequence[npt.NDArray[np.float32]]
) -> Iterator[tuple[int, int]]:
    """Indices of polygons whose bounding boxes meet."""
    if old and new:
        low, high = (np.array([extreme(corners, axis=0) for corners in old]) for extreme in (np.min, np.max))
        for other, corners in enumerate(new):
            meets = (low <= corners.max(axis=0)) & (high >= corners.min(axis=0))
            yield from ((int(one), other) for one in np.flatnonzero(meets.all(axis=1)))


def _overlap(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Intersection over union of two convex polygons."""
    shared, _ = cv2.intersectConvexConvex(one, other)
    union = cv2.contourArea(one) + cv2.contourArea(other) - shared
    return shared / union if union > 0 else 0.0
