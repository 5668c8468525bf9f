"""The pipeline as a server sees it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from ocr_core.frame_change import FrameSketch
from ocr_core.rules.options import RuleOptions
from ocr_core.rules.rules import Rules
from ocr_core.types import LineCrop, ModelInfo, PreparedImage, RawImage, ReadLine, Recognition, RecognizeOptions


class Stages(Protocol):
    """What a server needs of the pipeline.

    Every method blocks, may run in any thread, and raises OcrError subclasses.
    """

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> PreparedImage:
        """Load the image and find its lines."""

    def sketch(self, image: bytes | RawImage, options: RecognizeOptions) -> FrameSketch:
        """Load the image to compare it with others, whether it will be read or not."""

    def batch_key(self, crop: LineCrop, options: RecognizeOptions) -> Hashable:
        """Crops with equal keys may share a batch: same model, same padded width."""

    def read_lines(self, crops: Sequence[LineCrop], options: Sequence[RecognizeOptions]) -> list[ReadLine]:
        """Read crops of one batch key, each with its own options. Returns one ReadLine per crop, in order."""

    def assemble(self, prepared: PreparedImage, lines: Sequence[ReadLine], options: RecognizeOptions) -> Recognition:
        """Put the lines of one image together: filter by confidence, add up timings."""

    def rules(self, options: RuleOptions) -> Rules | None:
        """What is done to the text of lines, also of those that come from elsewhere; None for nothing."""

    def models(self) -> tuple[ModelInfo, ...]:
        """Recognisers that requests can name, sorted by name."""
