"""The lines of one stream, followed from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from glyphwire.v1 import ocr_pb2

from ocr_core.types import Line, Recognition, RecognizeOptions, StableLine, VotingOptions
from server import convert
from server.batcher import Batcher

if TYPE_CHECKING:
    from ocr_core.line_tracks import LineTracks


class FrameVotes:
    """Adds stable lines to the responses of one stream, in the order of its frames.

    options: how the frames are to be read, as votes need the confidence of each character.
    """

    def __init__(self, batcher: Batcher, voting: VotingOptions, asked: RecognizeOptions) -> None:
        self._batcher = batcher
        self._voting = voting
        self._asked = asked
        self.options = replace(asked, include_characters=True)

    async def add(self, response: ocr_pb2.StreamRecognizeResponse, recognition: Recognition) -> None:
        """Count a frame's lines; complete its response, and leave out what was not asked for."""
        lines = None if response.HasField("unchanged_from") else recognition.lines
        stable = await self._batcher.aside(lambda: self._count(lines))
        response.stable_lines.extend(map(convert.stable_line, stable))
        if not self._asked.include_characters:
            for line in response.recognition.lines:
                line.ClearField("characters")

    @cached_property
    def _tracks(self) -> LineTracks:
        # Here and not above: where a process of its own reads, only streams that vote need OpenCV.
        from ocr_core.line_tracks import LineTracks

        return LineTracks(self._voting)

    def _count(self, lines: Sequence[Line] | None) -> tuple[StableLine, ...]:
        """None: those of the last frame again."""
        if lines is None:
            self._tracks.see_again()
        else:
            self._tracks.add(lines)
        return self._tracks.lines
