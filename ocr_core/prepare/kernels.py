"""The compiled measures of images. Raises BackendMissing when imported without them: there are no others."""

from ocr_core.errors import BackendMissing

try:
    from ext.measures import slope, strokes
except ImportError as error:
    raise BackendMissing(f"compiled measures cannot be imported ({error}): build them, `make build`") from error

__all__ = ["slope", "strokes"]
