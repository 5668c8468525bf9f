"""hOCR 1.2: pages, paragraphs, lines and words as XHTML, with their boxes and confidences in the titles."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from ocr_core.page_output import Box, OutputPage, TextLine, TextPage, blocks, box, line_box, lines_box, words, xml_text

HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml">
<head>
<title></title>
<meta http-equiv="Content-Type" content="text/html; charset=utf-8"/>
<meta name="ocr-system" content="glyphwire"/>
<meta name="ocr-capabilities" content="ocr_page ocr_carea ocr_par ocr_table ocr_line ocrx_word ocrp_wconf"/>
</head>
<body>
"""
TAIL = "</body>\n</html>\n"

_ELEMENTS = {"area": ("div", "ocr_carea"), "paragraph": ("p", "ocr_par"), "table": ("div", "ocr_table")}
"""Element and class of each kind of block."""

_LEVEL_WITHIN = 0.5
"""Degrees."""


def page(output: OutputPage) -> str:
    """One page, to be put between HEAD and TAIL."""
    return "".join(_rows(output))


def _rows(output: OutputPage) -> Iterator[str]:
    text, place = output.text, output.position
    file = xml_text(output.file).replace('"', "'")
    resolution = f"; scan_res {output.dpi:.0f} {output.dpi:.0f}" if output.dpi else ""
    title = f'image "{file}"; bbox 0 0 {text.image_width} {text.image_height}; ppageno {output.number - 1}{resolution}'
    yield f'<div class="ocr_page" id="page_{place}" title={quoteattr(title)}>\n'
    for number, block in enumerate(blocks(text), 1):
        element, kind = _ELEMENTS[block.kind]
        around = lines_box([text.lines[line] for line in block.lines], text)
        yield f'<{element} class="{kind}" id="block_{place}_{number}" title="{_bbox(around)}">\n'
        for line in block.lines:
            yield from _line_rows(text.lines[line], text, f"{place}_{line + 1}")
        yield f"</{element}>\n"
    yield "</div>\n"


def _line_rows(line: TextLine, text: TextPage, name: str) -> Iterator[str]:
    yield f'<span class="ocr_line" id="line_{name}" title="{_bbox(line_box(line, text))}{_angle(line)}">\n'
    for number, word in enumerate(words(line), 1):
        title = f"{_bbox(box(word.corners, text))}; x_wconf {100 * word.confidence:.0f}"
        start = f'<span class="ocrx_word" id="word_{name}_{number}" title="{title}">'
        yield f"{start}{escape(xml_text(word.text))}</span>\n"
    yield "</span>\n"


def _bbox(around: Box) -> str:
    return f"bbox {around.left} {around.top} {around.right} {around.bottom}"


def _angle(line: TextLine) -> str:
    """By how much the line is turned against the horizontal, anticlockwise; nothing for level lines."""
    vertices = line.polygon.vertices
    first, last = vertices[0], vertices[len(vertices) // 2 - 1]
    degrees = -math.degrees(math.atan2(last.y - first.y, last.x - first.x))
    return f"; textangle {degrees:.1f}" if abs(degrees) > _LEVEL_WITHIN else ""
