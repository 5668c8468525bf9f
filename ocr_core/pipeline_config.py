"""What a pipeline is built from, for who has it built elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ocr_core.image_limits import ImageLimits

if TYPE_CHECKING:
    from ocr_core.engine import Precision
    from ocr_core.kernels import Backend

DEFAULT_MODEL = "glyphwire-zh-en"


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """How to build a pipeline. workers: engine threads.

    language_dir: see LanguageDir; need not exist. agreement: see ModelAgreement; None for a process of its own.
    """

    models_dir: Path
    language_dir: Path = Path("language")
    default_model: str = DEFAULT_MODEL
    agreement: Path | None = None
    decoder_backend: Backend = "compiled"
    workers: int = 1
    precision: Precision = "auto"
    limits: ImageLimits = field(default_factory=ImageLimits)
