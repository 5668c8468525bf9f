"""Values that travel through the pipeline. All frozen; options travel with each item."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from ocr_core.errors import OptionInvalid
from ocr_core.option_checks import check_range, check_words
from ocr_core.prepare.steps import AppliedStep, Preparation
from ocr_core.rules.options import NO_RULES, RuleOptions

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ocr_core.layout.page import PageLayout
    from ocr_core.model_shelf import Lease
    from ocr_core.rules.findings import Correction, Field
    from ocr_core.rules.rules import Rules
    from ocr_core.shared_pixels import SharedPixels
    from ocr_core.structure import Structure

Image: TypeAlias = "npt.NDArray[np.uint8]"
"""RGB, uint8 [height, width, 3]."""

Probs: TypeAlias = "npt.NDArray[np.float32]"
"""Softmax of the recogniser, float32 [time, class] or [batch, time, class]."""


class Mode(Enum):
    """What an image shows."""

    LINE = "line"
    PAGE = "page"


class DecodeMethod(Enum):
    """CTC decoders."""

    BEST_PATH = "best_path"
    PREFIX_BEAM = "prefix_beam"


class PixelFormat(Enum):
    """Layout of one raw pixel, one byte per channel. The value lists the channels."""

    GRAY8 = "L"
    RGB24 = "RGB"
    BGR24 = "BGR"
    RGBA32 = "RGBA"
    BGRA32 = "BGRA"

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes of one pixel."""
        return len(self.value)


@dataclass(frozen=True, slots=True)
class RawImage:
    """Uncompressed pixels, rows from top to bottom. stride: bytes per row, 0 for rows without padding."""

    pixels: bytes | memoryview | SharedPixels
    width: int
    height: int
    pixel_format: PixelFormat
    stride: int = 0


@dataclass(frozen=True, slots=True)
class LanguageOptions:
    """What is known of the text. Raises OptionInvalid when a value is out of its range.

    hot_words: (text, nats) pairs. Names are those of files that the pipeline can read, empty for none.
    """

    pattern: str = ""
    whitelist: str = ""
    hot_words: tuple[tuple[str, float], ...] = ()
    hot_words_name: str = ""
    lexicon: tuple[str, ...] = ()
    lexicon_name: str = ""
    lexicon_bonus: float | None = None
    lexicon_separators: str = " "
    language_model: str = ""
    language_model_weight: float = 0.5
    language_model_bonus: float = 0.0

    def __post_init__(self) -> None:
        check_range("decode.language.pattern", len(self.pattern), 0, 1000, "'s length")
        check_range("decode.language.whitelist", len(self.whitelist), 0, 8192, "'s length")
        check_words("decode.language.hot_words", [text for text, _ in self.hot_words], 1000)
        for _, weight in self.hot_words:
            check_range("decode.language.hot_words", weight, -20.0, 20.0, ": a weight")
        check_words("decode.language.lexicon", self.lexicon, 10_000)
        check_range("decode.language.lexicon_bonus", self.lexicon_bonus or 0.0, -20.0, 20.0)
        check_range("decode.language.lexicon_separators", len(self.lexicon_separators), 0, 64, "' length")
        check_range("decode.language.language_model_weight", self.language_model_weight, 0.0, 10.0)
        check_range("decode.language.language_model_bonus", self.language_model_bonus, -10.0, 10.0)

    @property
    def prefix_beam_only(self) -> str:
        """Name of a field that is set and that best path cannot heed; empty when there is none."""
        names = ("pattern", "hot_words", "hot_words_name", "lexicon", "lexicon_name", "language_model")
        return next((name for name in names if getattr(self, name)), "")


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How probabilities become text. Raises OptionInvalid when a value is out of its range."""

    decoder: DecodeMethod = DecodeMethod.BEST_PATH
    beam_width: int = 10
    prune_top_k: int = 40
    prune_min_prob: float = 0.001
    alternatives: int = 0
    prune_cum_prob: float = 1.0
    character_alternatives: int = 0
    language: LanguageOptions = field(default_factory=LanguageOptions)

    def __post_init__(self) -> None:
        check_range("decode.beam_width", self.beam_width, 1, 256)
        check_range("decode.prune_top_k", self.prune_top_k, 1, 1024)
        check_range("decode.prune_min_prob", self.prune_min_prob, 0.0, 1.0)
        if self.prune_min_prob == 1.0:
            raise OptionInvalid("decode.prune_min_prob must be below 1", "options.decode.prune_min_prob")
        check_range("decode.prune_cum_prob", self.prune_cum_prob, 0.0, 1.0)
        if self.prune_cum_prob == 0.0:
            raise OptionInvalid("decode.prune_cum_prob must be above 0", "options.decode.prune_cum_prob")
        check_range("decode.alternatives", self.alternatives, 0, 32)
        check_range("decode.character_alternatives", self.character_alternatives, 0, 16)
        if self.decoder is not DecodeMethod.PREFIX_BEAM:
            self._check_best_path()
        if self.alternatives and self.alternatives >= self.beam_width:
            raise OptionInvalid(
                f"alternatives is {self.alternatives}, must be below beam_width, {self.beam_width}",
                "options.decode.alternatives",
            )

    def _check_best_path(self) -> None:
        asked = (
            ("alternatives", self.alternatives),
            ("character_alternatives", self.character_alternatives),
            (f"language.{self.language.prefix_beam_only}", self.language.prefix_beam_only),
        )
        for name, value in asked:
            if value:
                raise OptionInvalid(f"{name} needs the prefix beam decoder", f"options.decode.{name}")


@dataclass(frozen=True, slots=True)
class PreprocessOptions:
    """What is done to an image before it is read.

    classify_orientation None: in page mode only. detector_max_side None: chosen from the height of the text.
    """

    apply_exif_orientation: bool = True
    rotate_vertical: bool = True
    classify_orientation: bool | None = None
    detector_max_side: int | None = None
    preparation: Preparation = field(default_factory=Preparation)

    def __post_init__(self) -> None:
        if self.detector_max_side is not None:
            check_range("preprocess.detector_max_side", self.detector_max_side, 320, 2560)


@dataclass(frozen=True, slots=True)
class RecognizeOptions:
    """How to read an image. model: name or "name/version", empty for the default."""

    model: str = ""
    mode: Mode = Mode.PAGE
    decode: DecodeOptions = field(default_factory=DecodeOptions)
    preprocess: PreprocessOptions = field(default_factory=PreprocessOptions)
    include_characters: bool = False
    min_confidence: float = 0.0
    include_structure: bool = False
    rules: RuleOptions = field(default_factory=RuleOptions)

    def __post_init__(self) -> None:
        check_range("min_confidence", self.min_confidence, 0.0, 1.0)

    @property
    def needs_characters(self) -> bool:
        """Whether lines are to be read with their characters: rules look at them, asked for or not."""
        return self.include_characters or self.rules != NO_RULES


@dataclass(frozen=True, slots=True)
class UnchangedOptions:
    """When a frame counts as unchanged. threshold: grey levels by which it may differ, as frame_change measures it."""

    threshold: float = 12.0

    def __post_init__(self) -> None:
        check_range("unchanged.threshold", self.threshold, 0.0, 255.0, root="config")


@dataclass(frozen=True, slots=True)
class VotingOptions:
    """How readings of a line are merged over frames.

    stable_frames: in how many the text has to be the same. max_missed_frames: without a line before it is forgotten.
    """

    stable_frames: int = 3
    max_missed_frames: int = 5

    def __post_init__(self) -> None:
        check_range("voting.stable_frames", self.stable_frames, 1, 100, root="config")
        check_range("voting.max_missed_frames", self.max_missed_frames, 0, 100, root="config")


@dataclass(frozen=True, slots=True)
class Point:
    """A place in the source image: origin at the top left corner of the top left pixel, x right, y down."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Polygon:
    """Vertices clockwise from the corner where reading starts, in source pixels; more than four for a curved line."""

    vertices: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class LineCrop:
    """Image of one text line, upright, and where it stands in the source image.

    lease: of the recogniser that the image was prepared for. is_vertical: whether it was turned, as it was high.
    """

    image: Image
    polygon: Polygon
    lease: Lease | None = None
    is_vertical: bool = False

    @property
    def nbytes(self) -> int:
        """Of its pixels."""
        return self.image.nbytes


@dataclass(frozen=True, slots=True)
class CharacterAlternative:
    """Another character in the place of one. posterior: as Character.posterior."""

    text: str
    posterior: float


@dataclass(frozen=True, slots=True)
class Character:
    """One emitted element. x_start, x_end: source pixels along the polygon's first edge.

    confidence: probability at its peak, calibrated by the temperature of the model's bundle.
    start_timestep, end_timestep: first of the timesteps that emit it, and one past the last. posterior: its share among
    itself, its alternatives and no character at all; None where none were asked for.
    """

    text: str
    confidence: float
    timestep: int
    x_start: float
    x_end: float
    start_timestep: int
    end_timestep: int
    posterior: float | None = None
    alternatives: tuple[CharacterAlternative, ...] = ()


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another reading of a line. score: by what readings are ranked, log_prob and what is known of the text."""

    text: str
    confidence: float
    log_prob: float
    score: float


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text. confidence: mean of its characters' confidences, 0 for empty text.

    raw_text: what was read, where rules have made something else of it; corrections: how, in the order of the rules.
    """

    text: str
    confidence: float
    polygon: Polygon
    characters: tuple[Character, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    raw_text: str | None = None
    corrections: tuple[Correction, ...] = ()


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds per stage. Adding two adds each stage."""

    queue_ms: float = 0.0
    load_image_ms: float = 0.0
    find_lines_ms: float = 0.0
    preprocess_ms: float = 0.0
    infer_ms: float = 0.0
    decode_ms: float = 0.0
    postprocess_ms: float = 0.0
    total_ms: float = 0.0

    def __add__(self, other: Timings) -> Timings:
        return Timings(*(getattr(self, name) + getattr(other, name) for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image whose lines have been found and cropped, ready to be read. lease: as its crops have it.

    layout: of its crops, when structure was asked for. rules: for its text, when there are any.
    """

    width: int
    height: int
    crops: tuple[LineCrop, ...]
    timings: Timings
    lease: Lease | None = None
    layout: PageLayout | None = None
    applied_steps: tuple[AppliedStep, ...] = ()
    rules: Rules | None = None


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line that has been read, and its share of the stages' time.

    sureness: mean probability of the characters as the model emitted them, before calibration, 0 for empty text. What
    is done next depends on it and not on line.confidence, so that no temperature changes a text.
    """

    line: Line
    timings: Timings
    sureness: float


@dataclass(frozen=True, slots=True)
class Recognition:
    """Everything that was read in one image, lines in reading order. structure: when it was asked for."""

    lines: tuple[Line, ...]
    image_width: int
    image_height: int
    model_name: str
    model_version: str
    timings: Timings
    structure: Structure | None = None
    applied_steps: tuple[AppliedStep, ...] = ()
    fields: tuple[Field, ...] = ()


@dataclass(frozen=True, slots=True)
class StableLine:
    """A line of text merged from its readings in several frames.

    track_id: names it as long as it is followed, from 1. confidence: mean over the characters of their votes, against
    the votes that they could have had at most. polygon: where it was seen last. frames_missed: since then.
    """

    track_id: int
    text: str
    confidence: float
    polygon: Polygon
    frames_seen: int
    frames_missed: int
    is_stable: bool


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A recogniser that requests can name."""

    name: str
    version: str
    is_default: bool
    charset_size: int
    input_height: int
    origin: str
    licence: str

    @property
    def names(self) -> tuple[str, str]:
        """By which requests can name it; of several versions one answers to the bare name."""
        return self.name, f"{self.name}/{self.version}"
