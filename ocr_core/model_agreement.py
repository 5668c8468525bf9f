"""A file by which processes agree which models they have."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from ocr_core.errors import SetupError


class WantedModels(BaseModel):
    """Models that every process shall have. default: as in Shelf; contents: content_hash of each "name/version"."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: str
    contents: Mapping[str, str]


class ModelAgreement:
    """The file, which need not be there; path None: a process of its own, which agrees with itself."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    @contextmanager
    def held(self) -> Iterator[None]:
        """No other process changes models, or reads the agreement, meanwhile. Blocks. Raises OSError."""
        if self._path is None:
            yield
            return
        with _beside(self._path, ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def read(self) -> WantedModels | None:
        """What was agreed; None when nothing was. Raises SetupError for a file that cannot be understood."""
        if self._path is None or not self._path.exists():
            return None
        try:
            return WantedModels.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError) as error:
            raise SetupError(f"{self._path}: {error}") from error

    def write(self, wanted: WantedModels) -> None:
        """Agree on something else. Raises OSError."""
        if self._path is not None:
            draft = _beside(self._path, ".draft")
            draft.write_text(wanted.model_dump_json(indent=1), encoding="utf-8")
            draft.replace(self._path)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
