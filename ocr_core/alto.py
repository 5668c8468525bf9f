"""ALTO 4: pages, paragraphs, cells of tables, lines and words as XML, in pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from xml.sax.saxutils import quoteattr

from ocr_core.page_output import Box, OutputPage, TextLine, TextPage, blocks, box, line_box, lines_box, words, xml_text

HEAD = """\
<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://www.loc.gov/standards/alto/ns-v4# http://www.loc.gov/standards/alto/v4/alto-4-4.xsd">
<Description>
<MeasurementUnit>pixel</MeasurementUnit>
<Processing ID="OCR_1"><processingSoftware><softwareName>glyphwire</softwareName></processingSoftware></Processing>
</Description>
<Layout>
"""
TAIL = "</Layout>\n</alto>\n"


def page(output: OutputPage) -> str:
    """One page, to be put between HEAD and TAIL."""
    return "".join(_rows(output))


def _rows(output: OutputPage) -> Iterator[str]:
    text, name = output.text, f"{output.position}"
    size = _place(Box(0, 0, text.image_width, text.image_height))
    mean = sum(line.confidence for line in text.lines) / len(text.lines) if text.lines else 0.0
    yield f'<Page ID="page_{name}" PHYSICAL_IMG_NR="{output.number}" WIDTH="{text.image_width}"'
    yield f' HEIGHT="{text.image_height}" PC="{mean:.4f}" PROCESSINGREFS="OCR_1">\n<PrintSpace {size}>\n'
    for number, block in enumerate(blocks(text), 1):
        if block.kind == "table":
            around = _place(lines_box([text.lines[line] for line in block.lines], text))
            yield f'<ComposedBlock ID="table_{name}_{number}" {around} TYPE="table">\n'
        for part, lines in enumerate(block.parts, 1):
            yield from _block_rows(lines, text, name, f"{number}_{part}")
        if block.kind == "table":
            yield "</ComposedBlock>\n"
    yield "</PrintSpace>\n</Page>\n"


def _block_rows(lines: Sequence[int], text: TextPage, name: str, number: str) -> Iterator[str]:
    around = lines_box([text.lines[line] for line in lines], text)
    yield f'<TextBlock ID="block_{name}_{number}" {_place(around)}>\n'
    for line in lines:
        yield from _line_rows(text.lines[line], text, f"{name}_{line + 1}")
    yield "</TextBlock>\n"


def _line_rows(line: TextLine, text: TextPage, name: str) -> Iterator[str]:
    points = " ".join(f"{vertex.x:.1f},{vertex.y:.1f}" for vertex in line.polygon.vertices)
    yield f'<TextLine ID="line_{name}" {_place(line_box(line, text))}>\n'
    yield f'<Shape><Polygon POINTS="{points}"/></Shape>\n'
    for number, word in enumerate(words(line), 1):
        around = box(word.corners, text)
        if number > 1:
            yield "<SP/>\n"
        content = quoteattr(xml_text(word.text))
        yield f'<String ID="word_{name}_{number}" {_place(around)} WC="{word.confidence:.4f}" CONTENT={content}/>\n'
    yield "</TextLine>\n"


def _place(around: Box) -> str:
    width, height = around.right - around.left, around.bottom - around.top
    return f'HPOS="{around.left}" VPOS="{around.top}" WIDTH="{width}" HEIGHT="{height}"'
