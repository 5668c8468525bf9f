"""A pipeline without models: it reads what the test wrote into the image, and can be held at a gate."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ocr_core import errors
from ocr_core.frame_change import FrameSketch
from ocr_core.language_dir import LanguageDir
from ocr_core.prepare.steps import AppliedStep, Step
from ocr_core.rules.options import RuleOptions
from ocr_core.rules.rule_shelf import RuleShelf
from ocr_core.rules.rules import Rules, ruled
from ocr_core.shared_pixels import SharedPixels
from ocr_core.types import (
    Alternative,
    Character,
    CharacterAlternative,
    Line,
    LineCrop,
    ModelInfo,
    Point,
    Polygon,
    PreparedImage,
    RawImage,
    ReadLine,
    Recognition,
    RecognizeOptions,
    Timings,
)

APPLIED = (AppliedStep(Step.CONTRAST, 2.5), AppliedStep(Step.ORIENTATION, 90.0))
MODEL = ModelInfo("fake", "1", True, 95, 48, "nowhere", "Apache-2.0")
OTHER_MODEL = ModelInfo("other", "2", False, 10, 32, "elsewhere", "MIT")

RAISES: dict[bytes, Exception] = {
    b"!empty": errors.ImageEmpty("the image has no bytes", "image"),
    b"!undecodable": errors.ImageUndecodable("no image", "image.encoded"),
    b"!large": errors.ImageTooLarge("too large", "image"),
    b"!small": errors.ImageTooSmall("too small", "image"),
    b"!raw": errors.RawImageInvalid("wrong stride", "image.raw.stride"),
    b"!bug": ZeroDivisionError("a secret of ours"),
}
"""Images that cannot be prepared."""


@dataclass
class FakeStages:
    """Each row of an image is a line with that text; "poison" and "shortfall" break the batch they are in.

    gate, read_gate: open at first; while they are closed, workers that prepare, or read lines, stop there. Each worker
    that comes to one releases `reached`.
    may_start: set at first; start() waits for it. start_error: what start() raises.
    prepared, options: images that prepare got, and how to read them. batches: texts of the batches that read_lines got.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    read_gate: threading.Event = field(default_factory=threading.Event)
    reached: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    may_start: threading.Event = field(default_factory=threading.Event)
    prepared: list[bytes] = field(default_factory=list)
    options: list[RecognizeOptions] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)
    started: bool = False
    closed: bool = False
    start_error: Exception | None = None
    language_dir: Path = Path("nowhere")

    def __post_init__(self) -> None:
        self.open_gates()
        self.may_start.set()

    def start(self) -> None:
        """As the real one."""
        assert self.may_start.wait(30)
        if self.start_error:
            raise self.start_error
        self.started = True

    def close(self) -> None:
        """As the real one."""
        self.closed = True

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> PreparedImage:
        """One crop per row, or the error that RAISES has for the image."""
        content = content_of(image)
        self.prepared.append(content)
        self.options.append(options)
        self._stop_at(self.gate)
        if content in RAISES:
            raise RAISES[content]
        if not content:
            raise RAISES[b"!empty"]
        if options.model not in {"", "fake", "fake/1", "other", "other/2"}:
            raise errors.ModelNotFound(f"no model {options.model!r} is loaded", "options.model")
        crops = tuple(_crop(row) for row in content.split(b"\n") if row)
        return PreparedImage(100, 50, crops, Timings(load_image_ms=1.0), rules=self.rules(options.rules))

    def sketch(self, image: bytes | RawImage, options: RecognizeOptions) -> FrameSketch:
        """The first row of the image, or the error that RAISES has for it."""
        content = content_of(image)
        if content in RAISES:
            raise RAISES[content]
        return np.frombuffer(content.split(b"\n")[0], np.uint8)[None, :]

    def batch_key(self, crop: LineCrop, options: RecognizeOptions) -> Hashable:
        """Model and length, in hundreds of characters."""
        return options.model, crop.image.shape[1] // 100

    def read_lines(self, crops: Sequence[LineCrop], options: Sequence[RecognizeOptions]) -> list[ReadLine]:
        """The crops' texts; confidence 0.25 for "faint", else 0.75."""
        texts = [crop.image.tobytes().decode() for crop in crops]
        self.batches.append(texts)
        self._stop_at(self.read_gate)
        if "poison" in texts:
            raise ZeroDivisionError("a secret of ours")
        if "shortfall" in texts:
            return []
        return [
            ReadLine(_line(text, crop, chosen), Timings(infer_ms=2.0), 1.0)
            for text, crop, chosen in zip(texts, crops, options, strict=True)
        ]

    def assemble(self, prepared: PreparedImage, lines: Sequence[ReadLine], options: RecognizeOptions) -> Recognition:
        """As the real one."""
        kept = [read.line for read in lines if read.line.confidence >= options.min_confidence]
        found = ruled(prepared.rules, kept, include_characters=options.include_characters)
        model = OTHER_MODEL if options.model.startswith("other") else MODEL
        timings = sum((read.timings for read in lines), prepared.timings)
        return Recognition(
            found.lines,
            prepared.width,
            prepared.height,
            model.name,
            model.version,
            timings,
            applied_steps=APPLIED,
            fields=found.fields,
        )

    def rules(self, options: RuleOptions) -> Rules | None:
        """As the real one, with the files of language_dir."""
        return RuleShelf(LanguageDir(self.language_dir)).find(options)

    def models(self) -> tuple[ModelInfo, ...]:
        """Two."""
        assert self.started
        return MODEL, OTHER_MODEL

    def wait_until_reached(self, times: int = 1) -> None:
        """Block until workers have come to the gate so often, counted since the last wait."""
        for _ in range(times):
            assert self.reached.acquire(timeout=30)

    def open_gates(self) -> None:
        """Let everybody pass."""
        self.gate.set()
        self.read_gate.set()

    def _stop_at(self, gate: threading.Event) -> None:
        self.reached.release()
        assert gate.wait(30)


def _crop(row: bytes) -> LineCrop:
    corners = (Point(1.5, 2.0), Point(99.0, 2.0), Point(99.0, 40.0), Point(1.5, 40.0))
    return LineCrop(np.frombuffer(row, np.uint8)[None, :, None], Polygon(corners))


def _line(text: str, crop: LineCrop, options: RecognizeOptions) -> Line:
    letters = text if options.needs_characters else ""
    rivals = tuple(CharacterAlternative("?", 0.125) for _ in range(options.decode.character_alternatives))
    posterior = 0.875 if rivals else None
    characters = tuple(
        Character(letter, 0.5, i, float(i), i + 1.0, i, i + 1, posterior, rivals) for i, letter in enumerate(letters)
    )
    alternatives = tuple(Alternative(f"{text}{i}", 0.25, -1.5, -1.25) for i in range(options.decode.alternatives))
    confidence = 0.25 if text.startswith("faint") else 0.75
    return Line(text, confidence, crop.polygon, characters, alternatives)


def content_of(image: bytes | RawImage) -> bytes:
    """What the test has written, in whatever buffer."""
    if not isinstance(image, RawImage):
        return image
    return bytes(image.pixels.view() if isinstance(image.pixels, SharedPixels) else image.pixels)
