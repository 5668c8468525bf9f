"""The font that shows nothing."""

import io

from PIL import ImageFont

from ocr_core.glyphless_font import glyphless_font


def test_it_is_a_font():
    """FreeType opens it; its glyph is half as wide as the text is high, and has no ink."""
    font = ImageFont.truetype(io.BytesIO(glyphless_font()), 100)
    assert font.getlength("ab") == 100
    assert font.getmetrics() == (80, 20)
    assert font.getmask("ab").getbbox() is None
