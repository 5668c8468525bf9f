"""FakeStages for documents."""

from __future__ import annotations

from ocr_core.types import PreparedImage, RawImage, RecognizeOptions
from tests.server.fake_stages import FakeStages


class PageStages(FakeStages):
    """Reads in rendered pages how large they are: "100x200". Any image file says "file"; pages 13 wide are bugs."""

    def prepare(self, image: bytes | RawImage, options: RecognizeOptions) -> PreparedImage:
        """As FakeStages, with the size in the place of pixels."""
        size = f"{image.width}x{image.height}" if isinstance(image, RawImage) else "file"
        return super().prepare(b"!bug" if size.startswith("13x") else size.encode(), options)
