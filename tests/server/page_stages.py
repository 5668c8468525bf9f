"""FakeStages for documents."""

from __future__ import annotations

import threading

from ocr_core.types import PreparedImage, RawImage, RecognizeOptions
from tests.server.fake_stages import FakeStages


class PageStages(FakeStages):
    """Reads in rendered pages how large they are: "100x200". Any image file says "file".

    Pages 13 wide are bugs, those 17 wide wait for may_read_narrow.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        self.may_read_narrow = threading.Event()

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> PreparedImage:
        """As FakeStages, with the size in the place of pixels."""
        size = f"{image.width}x{image.height}" if isinstance(image, RawImage) else "file"
        if size.startswith("17x"):
            assert self.may_read_narrow.wait(30)
        return super().prepare(b"!bug" if size.startswith("13x") else size.encode(), options)
