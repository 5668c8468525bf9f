"""Regular expressions that callers bring, run in time linear in the text, whatever they are.

Python's own engine takes years for some expressions of a few characters. RE2 does not, and its automata have a limit on
their memory; what it lacks for that is look-around and references.
"""

from __future__ import annotations

from collections.abc import Iterator

from ocr_core.errors import OptionInvalid
from ocr_core.rules.options import Extractor

try:
    import re2
except ModuleNotFoundError:
    re2 = None

_MAX_MEMORY = 2**20
"""Bytes of the automata of one expression."""

_VALUE = "value"
_PER_LINE = "(?m)"
"""Flags: ^ and $ are the ends of a line, not of its row."""


class CompiledExtractor:
    """An extractor that is ready. Raises OptionInvalid. place: of the extractor in the request."""

    def __init__(self, extractor: Extractor, place: str) -> None:
        if re2 is None:
            raise OptionInvalid("extractors need the package google-re2, which the server lacks", place)
        options = re2.Options()
        options.max_mem = _MAX_MEMORY
        options.log_errors = False
        try:
            self._pattern = re2.compile(_PER_LINE + extractor.pattern, options)
        except re2.error as error:
            reason = error.args[0].decode() if isinstance(error.args[0], bytes) else error.args[0]
            raise OptionInvalid(f"the pattern of {extractor.name!r}: {reason}", f"{place}.pattern") from None
        self._group = self._pattern.groupindex.get(_VALUE, min(self._pattern.groups, 1))
        self.name = extractor.name

    def spans(self, text: str, begin_before: int | None = None) -> Iterator[tuple[int, int]]:
        """Where the values start and end, but for empty ones. begin_before: of the matches, not of the values."""
        for match in self._pattern.finditer(text):
            if begin_before is not None and match.start() >= begin_before:
                return
            start, end = match.span(self._group)
            if start < end:
                yield start, end
