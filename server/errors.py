"""What can go wrong in the server besides the pipeline.

OcrError (ocr_core.errors)
├── InputError
│   ├── RequestInvalid          a required part is missing, or parts exclude each other
│   └── BatchTooLarge           more items than the server accepts
├── Unavailable                 not our fault, not the caller's: try again later
│   ├── QueueFull               as much work is held as is accepted
│   ├── ClientLimitReached      the caller's token has all it is allowed at the moment
│   ├── EngineLost              the process that was reading has ended; another one takes its place
│   └── Draining                the server is stopping
├── TokenInvalid                no token, or an unknown one
├── CallForbidden               the token does not allow the call
├── DeadlineExpired             the deadline passed while the work was queued
└── SetupError
    ├── SettingsInvalid         a flag, a variable or the file of settings
    ├── ProcessesFailed           no process gets as far as serving, or reading
    └── ListenFailed            the address cannot be bound
"""

from __future__ import annotations

from ocr_core.errors import InputError, OcrError, SetupError


class RequestInvalid(InputError):
    """The request lacks a required part or has parts that exclude each other."""


class BatchTooLarge(InputError):
    """The batch has more items than the server accepts."""


class Unavailable(OcrError):
    """Try again. retry_after_s: how long to wait before."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class QueueFull(Unavailable):
    """The server holds as much work as it accepts."""


class ClientLimitReached(Unavailable):
    """The calls of one token are too many at once, or too many per second."""


class EngineLost(Unavailable):
    """The process that was reading has ended, and with it the image, which may or may not be to blame."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s)


class Draining(Unavailable):
    """The server is stopping."""


class TokenInvalid(OcrError):
    """The call has no token, or one that is not in the token file."""


class CallForbidden(OcrError):
    """The token does not allow the call."""


class DeadlineExpired(OcrError):
    """The deadline passed while the work was queued."""


class SettingsInvalid(SetupError):
    """A setting is unknown or out of its range."""


class ProcessesFailed(SetupError):
    """None of the server's processes gets as far as serving, or reading."""


class ListenFailed(SetupError):
    """The server cannot listen at its address."""
