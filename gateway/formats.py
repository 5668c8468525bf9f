"""Answers that are no JSON: the output formats of the command line, as responses."""

from __future__ import annotations

from collections.abc import Sequence

import glyphwire
from fastapi import Response

from gateway.options import OutputFormat
from gateway.problems import ProblemError, problem_of
from gateway.reading import ReadPage
from server.reports import TSV_HEADER, report

_MEDIA_TYPES = {
    OutputFormat.TEXT: "text/plain; charset=utf-8",
    OutputFormat.TSV: "text/tab-separated-values; charset=utf-8",
}


def formatted(pages: Sequence[ReadPage], form: OutputFormat) -> Response:
    """All pages in one file. Raises ProblemError when one could not be read: the formats have no place for that."""
    rows = [TSV_HEADER] if form is OutputFormat.TSV else []
    for page in pages:
        if isinstance(page.outcome, glyphwire.OcrError):
            raise ProblemError(problem_of(page.outcome))
        source = page.file or "image"
        name = source if page.count == 1 else f"{source}#{page.number}"
        rows += report(form.value, name, page.outcome, titled=len(pages) > 1)
    return Response("\n".join(rows) + "\n", media_type=_MEDIA_TYPES[form])
