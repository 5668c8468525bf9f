"""What can go wrong when models are compressed."""

from ocr_core.errors import SetupError


class CompressionFailed(SetupError):
    """A model cannot be compressed as asked for; the message says why."""
