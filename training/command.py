"""How the commands of this package end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from ocr_core.errors import OcrError


def run_command(main: Callable[[], int | None]) -> NoReturn:
    """Exit with the status that `main` returns; with 1 and one line about what is wrong with arguments or files."""
    try:
        sys.exit(main())
    except (OcrError, OSError) as error:
        sys.exit(str(error))
