"""A TrueType font whose glyphs show nothing: text in it is found and copied, and never seen.

Glyph 1 is as wide as a letter, glyph 2 as a Chinese character. Which characters are which glyph, and what they are in
Unicode, is said by the PDF that embeds the font.
"""

from __future__ import annotations

import struct

NARROW, WIDE = 1, 2
"""Glyphs."""

ADVANCES = {NARROW: 0.5, WIDE: 1.0}
"""In em."""

DESCENT = 0.2
"""In em, as is the ascent: 1 - DESCENT."""

_EM = 1000
_GLYPHS = 3


def glyphless_font() -> bytes:
    """The font file."""
    ascent, descent = round((1 - DESCENT) * _EM), round(-DESCENT * _EM)
    narrow, wide = (round(ADVANCES[glyph] * _EM) for glyph in (NARROW, WIDE))
    narrow_glyph = _stroke(narrow, descent, ascent)
    tables = {
        # version, revision, checksum adjustment, magic number, flags, em, created, modified, bounds, style, smallest
        # size, direction, format of loca, format of glyf
        b"head": struct.pack(
            ">IIIIHHQQhhhhHHhhh",
            *(0x00010000, 0x00010000, 0, 0x5F0F3CF5, 0, _EM, 0, 0),
            *(0, descent, wide, ascent, 0, 8, 2, 0, 0),
        ),
        b"hhea": struct.pack(
            ">IhhhHhhhhhhhhhhhH", 0x00010000, ascent, descent, 0, wide, 0, 0, wide, 1, 0, 0, 0, 0, 0, 0, 0, _GLYPHS
        ),
        b"hmtx": struct.pack(">HhHhHh", narrow, 0, narrow, 0, wide, 0),
        # Where the glyphs begin, and the last one ends, in pairs of bytes.
        b"loca": struct.pack(f">{_GLYPHS + 1}H", *(len(narrow_glyph) // 2 * index for index in range(_GLYPHS + 1))),
        b"glyf": narrow_glyph * 2 + _stroke(wide, descent, ascent),
        b"maxp": struct.pack(">IHHH11H", 0x00010000, _GLYPHS, 3, 1, *[0] * 11),
    }
    return _file(tables)


def _stroke(advance: int, descent: int, ascent: int) -> bytes:
    """A glyph that is a line from corner to corner and back: no ink, but a size. Readers skip text that has none."""
    header = struct.pack(">hhhhh", 1, 0, descent, advance, ascent)
    # Last point of the outline, length of the program, three points on it, and their steps to the right and up.
    points = struct.pack(">HH3B3h3hx", 2, 0, 1, 1, 1, 0, advance, -advance, descent, ascent - descent, descent - ascent)
    return header + points


def _file(tables: dict[bytes, bytes]) -> bytes:
    """Header, directory and tables, each table at a multiple of four."""
    power = len(tables).bit_length() - 1
    directory = struct.pack(">IHHHH", 0x00010000, len(tables), 16 << power, power, 16 * (len(tables) - (1 << power)))
    offset = len(directory) + 16 * len(tables)
    body = b""
    for name, table in sorted(tables.items()):
        padded = table + bytes(-len(table) % 4)
        checksum = sum(struct.unpack(f">{len(padded) // 4}I", padded)) & 0xFFFFFFFF
        directory += struct.pack(">4sIII", name, checksum, offset + len(body), len(table))
        body += padded
    return directory + body
