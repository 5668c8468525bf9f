"""The header by which a caller says to which trace its call belongs: W3C Trace Context, traceparent."""

from __future__ import annotations

import re
from dataclasses import dataclass

HEADER = "traceparent"

_PATTERN = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-([0-9a-f]{2})(?:-.*)?")


@dataclass(frozen=True, slots=True)
class Traceparent:
    """trace_id: 32 hexadecimal digits; sampled: the caller records the trace."""

    trace_id: str
    sampled: bool


def parse_traceparent(text: object) -> Traceparent | None:
    """None for what is no traceparent: the call then counts as one without."""
    found = _PATTERN.fullmatch(text) if isinstance(text, str) else None
    return Traceparent(found[1], bool(int(found[2], 16) & 1)) if found else None
