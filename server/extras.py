"""What comes with an extra of the distribution, and the word for it when it is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ocr_core.errors import SetupError


@contextmanager
def needing(extra: str) -> Iterator[None]:
    """Around imports, or what imports. Raises SetupError that names the extra which has what cannot be imported."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise SetupError(f"{error.name} is not installed; pip install 'glyphwire-server[{extra}]'") from None
