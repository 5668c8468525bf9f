"""Notices that files have changed, without threads: whoever needs their content asks."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

_LOOK_EVERY_S = 1.0

_Stamp = tuple[int, int, int] | None


class FileWatch:
    """Files whose changes matter. Looks at most once a second, so that asking is cheap."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._seen = self._stamps()
        self._look_at = 0.0

    def has_changed(self) -> bool:
        """Whether a file is another one than at the last True, or at the beginning."""
        now = time.monotonic()
        if now < self._look_at:
            return False
        self._look_at = now + _LOOK_EVERY_S
        seen, self._seen = self._seen, self._stamps()
        return seen != self._seen

    def _stamps(self) -> list[_Stamp]:
        return [_stamp(path) for path in self._paths]


def _stamp(path: Path) -> _Stamp:
    """None for a file that is not there: while it is being replaced, for example."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
