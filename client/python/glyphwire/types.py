"""What goes into the client and comes out of it. All frozen. The contract, ocr.proto, has the fine print."""

from __future__ import annotations

import datetime
import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from glyphwire.errors import OcrError
from glyphwire.preparation import AppliedStep, Preparation
from glyphwire.rules import RuleOptions

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from typing_extensions import Buffer

    from glyphwire.rules import Correction, Field
    from glyphwire.structure import Structure


class Mode(enum.Enum):
    """What an image shows: one line of text, or any number of lines that are found first."""

    LINE = "line"
    PAGE = "page"


class Decoder(enum.Enum):
    """How scores become text: best path is fastest, prefix beam search ranks whole readings."""

    BEST_PATH = "best_path"
    PREFIX_BEAM = "prefix_beam"


class Priority(enum.Enum):
    """How urgent an answer is: somebody waits for it, or nobody does and interactive work goes first."""

    INTERACTIVE = "interactive"
    BULK = "bulk"


class PixelFormat(enum.Enum):
    """Layout of one raw pixel, one byte per channel. The value lists the channels."""

    GRAY8 = "L"
    RGB24 = "RGB"
    BGR24 = "BGR"
    RGBA32 = "RGBA"
    BGRA32 = "BGRA"


_FORMAT_OF_CHANNELS = {1: PixelFormat.GRAY8, 3: PixelFormat.RGB24, 4: PixelFormat.RGBA32}


@dataclass(frozen=True)
class RawImage:
    """Uncompressed pixels, rows from top to bottom. stride: bytes per row, 0 for rows without padding."""

    pixels: bytes
    width: int
    height: int
    pixel_format: PixelFormat
    stride: int = 0

    @classmethod
    def from_array(cls, array: Buffer, pixel_format: PixelFormat | None = None) -> RawImage:
        """From a NumPy array, or anything with its buffer: uint8 [height, width] or [height, width, channel].

        pixel_format: how the channels are to be read; default GRAY8, RGB24 or RGBA32, by the number of channels. Arrays
        of OpenCV need PixelFormat.BGR24. Raises ValueError for another type or shape.
        """
        view = memoryview(array)
        shape = view.shape or ()
        channels = shape[2] if len(shape) == 3 else 1
        if view.format != "B" or len(shape) not in {2, 3} or channels not in _FORMAT_OF_CHANNELS:
            raise ValueError(
                f"an image array is uint8 [height, width] or [height, width, 1, 3 or 4], not "
                f"{view.format!r} {list(shape)}"
            )
        chosen = pixel_format or _FORMAT_OF_CHANNELS[channels]
        if len(chosen.value) != channels:
            raise ValueError(f"{chosen.name} has {len(chosen.value)} channels, the array has {channels}")
        return cls(view.tobytes(), width=shape[1], height=shape[0], pixel_format=chosen)


@dataclass(frozen=True)
class Tls:
    """TLS to the server, from PEM files.

    ca: the authorities that may have signed the server's certificate; None for those that gRPC brings along.
    cert, key: certificate chain and private key of the caller, for servers that ask for them.
    server_name: the name in the server's certificate, when it is not the host of the target.
    """

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    server_name: str = ""


if TYPE_CHECKING:
    # A path is a str or os.PathLike; bytes and one-dimensional buffers are the bytes of a file, others are pixels.
    ImageSource: TypeAlias = str | os.PathLike[str] | RawImage | Buffer


@dataclass(frozen=True)
class LanguageOptions:
    """What is known of the text; all of it holds at once. All but the whitelist needs Decoder.PREFIX_BEAM.

    pattern: regular expression that a line must match as a whole.
    whitelist: characters that may be read.
    hot_words: texts and by how many nats they are likelier (or less likely) than elsewhere.
    lexicon: words that a line consists of, with lexicon_separators (default: spaces) between them; with lexicon_bonus
    words that are so many nats likelier than other text.
    hot_words_name, lexicon_name, language_model: what the server has under that name.
    """

    pattern: str = ""
    whitelist: str = ""
    hot_words: Mapping[str, float] = field(default_factory=dict)
    hot_words_name: str = ""
    lexicon: Sequence[str] = ()
    lexicon_name: str = ""
    lexicon_bonus: float | None = None
    lexicon_separators: str | None = None
    language_model: str = ""
    language_model_weight: float | None = None
    language_model_bonus: float = 0.0


@dataclass(frozen=True)
class RecognizeOptions:
    """How to read an image. None leaves the choice to the server; ocr.proto gives ranges and defaults.

    model: name or "name/version", empty for the server's default.
    beam_width, prune_top_k, prune_min_prob, prune_cum_prob, alternatives, character_alternatives: for
    Decoder.PREFIX_BEAM.
    language: what is known of the text.
    preparation: what is done to the pixels first.
    include_characters: adds Line.characters.
    include_structure: adds Recognition.structure.
    min_confidence: lines with less are left out.
    rules: what is done to the text once it was read.
    """

    model: str = ""
    mode: Mode = Mode.PAGE
    decoder: Decoder = Decoder.BEST_PATH
    beam_width: int | None = None
    prune_top_k: int | None = None
    prune_min_prob: float | None = None
    alternatives: int = 0
    apply_exif_orientation: bool | None = None
    rotate_vertical: bool | None = None
    classify_orientation: bool | None = None
    detector_max_side: int | None = None
    include_characters: bool = False
    min_confidence: float = 0.0
    prune_cum_prob: float | None = None
    character_alternatives: int = 0
    language: LanguageOptions = field(default_factory=LanguageOptions)
    priority: Priority = Priority.INTERACTIVE
    include_structure: bool = False
    preparation: Preparation = field(default_factory=Preparation)
    rules: RuleOptions = field(default_factory=RuleOptions)


class FramePolicy(enum.Enum):
    """Which frames of a stream are read: all, or of those that wait the newest alone."""

    EVERY = "every"
    LATEST = "latest"


@dataclass(frozen=True)
class UnchangedOptions:
    """Frames that look like the last one that was read are answered with what was read there.

    threshold: grey levels by which a spot of 2 x 2 pixels must differ for the frame to count as changed.
    """

    threshold: float | None = None


@dataclass(frozen=True)
class VotingOptions:
    """Readings of a line are merged over frames.

    stable_frames: in how many the merged text has to be the same to be stable. max_missed_frames: how many frames in a
    row a line may be missing before it is forgotten.
    """

    stable_frames: int | None = None
    max_missed_frames: int | None = None


@dataclass(frozen=True)
class StreamOptions:
    """What becomes of the frames of a stream. unchanged, voting: None for neither."""

    frame_policy: FramePolicy = FramePolicy.EVERY
    unchanged: UnchangedOptions | None = None
    voting: VotingOptions | None = None


@dataclass(frozen=True)
class Point:
    """A place in the source image, in pixels: origin at the top left corner, x to the right, y down."""

    x: float
    y: float


@dataclass(frozen=True)
class Polygon:
    """Vertices clockwise from the corner where reading starts, in source pixels; more than four for a curved line."""

    vertices: tuple[Point, ...]


@dataclass(frozen=True)
class CharacterAlternative:
    """Another character in the place of one. posterior: as Character.posterior."""

    text: str
    posterior: float


@dataclass(frozen=True)
class Character:
    """One emitted element. x_start, x_end: source pixels along the polygon's first edge.

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


@dataclass(frozen=True)
class Alternative:
    """Another reading of a line. score: by what readings are ranked, log_prob and what is known of the text."""

    text: str
    confidence: float
    log_prob: float
    score: float


@dataclass(frozen=True)
class Line:
    """One line of text. confidence: mean probability of the characters at their peaks, 0 for empty text.

    raw_text: what was read, where rules have made something else of it; corrections: how, in the order of the rules.
    """

    text: str
    confidence: float
    polygon: Polygon
    characters: tuple[Character, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    raw_text: str | None = None
    corrections: tuple[Correction, ...] = ()


@dataclass(frozen=True)
class Timings:
    """Where the server's time went, in milliseconds."""

    queue_ms: float = 0.0
    load_image_ms: float = 0.0
    find_lines_ms: float = 0.0
    preprocess_ms: float = 0.0
    infer_ms: float = 0.0
    decode_ms: float = 0.0
    postprocess_ms: float = 0.0
    total_ms: float = 0.0


@dataclass(frozen=True)
class Recognition:
    """Everything that was read in one image, lines in reading order. structure: when it was asked for.

    fields: what rules have found.
    """

    lines: tuple[Line, ...]
    image_width: int
    image_height: int
    model_name: str
    model_version: str
    timings: Timings
    structure: Structure | None = None
    applied_steps: tuple[AppliedStep, ...] = ()
    fields: tuple[Field, ...] = ()

    @property
    def text(self) -> str:
        """The lines' texts, one per row."""
        return "\n".join(line.text for line in self.lines)


@dataclass(frozen=True)
class Model:
    """A recogniser that RecognizeOptions.model can name."""

    name: str
    version: str
    is_default: bool
    charset_size: int
    input_height: int
    origin: str
    licence: str


class ModelState(enum.Enum):
    """What becomes of a model. The values are those of the contract, admin.proto, where each is explained."""

    UNSPECIFIED = 0
    LOADING = 1
    READY = 2
    UNLOADING = 3
    FAILED = 4


@dataclass(frozen=True)
class ModelStatus:
    """State of one version of a recogniser. images: how many are being read with it; reason: why it failed."""

    name: str
    version: str
    state: ModelState
    is_default: bool
    images: int
    reason: str


@dataclass(frozen=True)
class Frame:
    """One image of a stream. frame_id and capture_time come back with its result."""

    image: ImageSource
    frame_id: int
    capture_time: datetime.datetime | None = None


@dataclass(frozen=True)
class FrameDropped:
    """A frame that was not read, as a newer one took its place. replaced_by: frame_id of that one."""

    replaced_by: int


@dataclass(frozen=True)
class StableLine:
    """A line merged from its readings in several frames. track_id: names it as long as it is followed, in one call.

    confidence: mean over the characters of their votes, against the votes that they could have had at most.
    polygon: where it was seen last. frames_missed: frames read since then.
    """

    track_id: int
    text: str
    confidence: float
    polygon: Polygon
    frames_seen: int
    frames_missed: int
    is_stable: bool


@dataclass(frozen=True)
class FrameResult:
    """What became of one frame: what was read, why it could not be read, or what took its place.

    unchanged_from: frame_id of the frame from which the outcome was taken, as this one looks the same.
    stable_lines: lines that are followed over frames; with VotingOptions.
    """

    frame_id: int
    outcome: Recognition | OcrError | FrameDropped
    capture_time: datetime.datetime | None = None
    unchanged_from: int | None = None
    stable_lines: tuple[StableLine, ...] = ()
