"""Tests of ocr_core.layout.export."""

from ocr_core.layout.export import to_html, to_markdown, to_tsv
from ocr_core.structure import Cell, Paragraph, Structure, Table
from ocr_core.types import Point, Polygon

NOWHERE = Polygon((Point(0, 0),) * 4)


def cell(row: int, column: int, text: str, *lines: int, spans: tuple[int, int] = (1, 1)) -> Cell:
    return Cell(row, column, *spans, text, lines, NOWHERE)


TABLE = Table(2, 2, True, (cell(0, 0, "a|b\tc", 1, spans=(1, 2)), cell(1, 0, "1 < 2", 2), cell(1, 1, "", *())), NOWHERE)
PAGE = Structure((Paragraph("# First *line*", (0,)), Paragraph("3. 最后", (3,))), (), (TABLE,))


def test_markdown() -> None:
    """Parts in the order of their lines; what Markdown would take for markup is text."""
    table = "| a\\|b c |  |\n| --- | --- |\n| 1 \\< 2 |  |"
    assert to_markdown(PAGE) == f"\\# First \\*line\\*\n\n{table}\n\n3\\. 最后"


def test_html() -> None:
    """Spans are attributes, and nothing of the text is markup."""
    table = '<table>\n<tr><td colspan="2">a|b\tc</td></tr>\n<tr><td>1 &lt; 2</td><td></td></tr>\n</table>'
    assert to_html(PAGE) == f"<p># First *line*</p>\n{table}\n<p>3. 最后</p>"


def test_tsv() -> None:
    """A row per paragraph and per row of a table, between empty rows; as many columns as the table has."""
    assert to_tsv(PAGE) == "# First *line*\n\na|b c\t\n1 < 2\t\n\n3. 最后"


def test_nothing() -> None:
    """A page without text is empty in every format."""
    assert [export(Structure()) for export in (to_markdown, to_html, to_tsv)] == ["", "", ""]
