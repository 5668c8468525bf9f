"""Client of the Glyphwire OCR server: images in, text with confidences and positions out."""

from glyphwire.aio import AsyncOcrClient
from glyphwire.client import OcrClient
from glyphwire.errors import ErrorReason, OcrError
from glyphwire.types import (
    Alternative,
    Character,
    CharacterAlternative,
    Decoder,
    Frame,
    FrameResult,
    LanguageOptions,
    Line,
    Mode,
    Model,
    PixelFormat,
    Point,
    Polygon,
    Priority,
    RawImage,
    Recognition,
    RecognizeOptions,
    Timings,
    Tls,
)

__all__ = [
    "Alternative",
    "AsyncOcrClient",
    "Character",
    "CharacterAlternative",
    "Decoder",
    "ErrorReason",
    "Frame",
    "FrameResult",
    "LanguageOptions",
    "Line",
    "Mode",
    "Model",
    "OcrClient",
    "OcrError",
    "PixelFormat",
    "Point",
    "Polygon",
    "Priority",
    "RawImage",
    "Recognition",
    "RecognizeOptions",
    "Timings",
    "Tls",
]
