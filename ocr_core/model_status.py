"""What becomes of recognisers that are loaded, replaced and unloaded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ModelState(Enum):
    """What becomes of a recogniser. UNLOADING: found by no request, still needed by images that began with it."""

    LOADING = "loading"
    READY = "ready"
    UNLOADING = "unloading"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """State of one version of a recogniser. reason: why it failed; images: how many are being read with it."""

    name: str
    version: str
    state: ModelState
    is_default: bool = False
    images: int = 0
    reason: str = ""
