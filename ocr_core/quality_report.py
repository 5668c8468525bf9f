"""Sets that were read, as one HTML file: figures, confusions, calibration, the worst lines and pages."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

import cv2

from ocr_core.calibration import Reliability
from ocr_core.edits import Confusion, edits_of
from ocr_core.errors import InputError
from ocr_core.evaluation import LineReading, LineScore, LineSet, PageReading, PageScore, PageSet
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.page_scores import Fate, PageComparison, PageLine
from ocr_core.quality import HEADER, Quality, quality_of

_STYLE = Path(__file__).with_name("quality_report.css")

_CONFUSIONS = 40
"""Of each kind that are shown."""
_WORST_PAGES = 3
_WORST_GROUPS = 12

_LINE_SIDES = (900, 64)
_PAGE_SIDES = (900, 1000)
"""Width and height in pixels that pictures have at most."""

_JPEG_QUALITY = 75

_PLOT = 300
_MARGIN = 36


def quality_report(title: str, sets: Sequence[LineSet | PageSet], *, worst: int) -> str:
    """HTML of the report. title: what was read by what. worst: lines of each set that are shown, those that went worst.

    The images are read from where they were.
    """
    return "\n".join(_document(title, sets, worst)) + "\n"


def _document(title: str, sets: Sequence[LineSet | PageSet], worst: int) -> Iterator[str]:
    lines = [each for each in sets if isinstance(each, LineSet)]
    pages = [each for each in sets if isinstance(each, PageSet)]
    quality = quality_of(sets)
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width">\n<meta name="color-scheme" content="light dark">'
    yield f"<title>{escape(title)}</title>\n<style>\n{_STYLE.read_text(encoding='utf-8')}</style>\n</head>"
    yield f"<body>\n<main>\n<h1>Quality report</h1>\n<p>{escape(title)}</p>"
    if lines:
        yield from _line_totals([each.score for each in lines])
    if pages:
        yield from _page_totals([each.score for each in pages])
    yield from _confusions(quality.confusions)
    if lines:
        yield from _calibration(quality)
        yield "<h2>Worst lines</h2>"
        yield "<p>Of each set those with most edits for their length; <mark>marked</mark> is what differs.</p>"
        for each in lines:
            yield from _worst_lines(each, worst)
    for some_pages in pages:
        yield from _pages(some_pages)
    yield "</main>\n</body>\n</html>"


def _line_totals(scores: Sequence[LineScore]) -> Iterator[str]:
    yield "<h2>Lines</h2>"
    yield (
        "<p>exact: share of lines fully right. cer: edits per character of the label. norm: after NFKC, without white "
        "space and case. The last row is the mean of the sets.</p>"
    )
    figures = ("exact", "exact_norm", "cer", "cer_norm")
    mean = ["mean", sum(score.lines for score in scores), sum(score.failed for score in scores)]
    yield _table(
        ("set", "lines", "failed", "exact", "exact norm", "cer", "cer norm"),
        [list(asdict(score).values()) for score in scores]
        + [[*mean, *(sum(getattr(score, name) for score in scores) / len(scores) for name in figures)]],
    )


def _page_totals(scores: Sequence[PageScore]) -> Iterator[str]:
    yield "<h2>Pages</h2>"
    yield (
        "<p>precision, recall, h mean: of the lines found, at an intersection over union of 0.5. cer, line recall: of "
        "their text, normalised, however lines were cut.</p>"
    )
    names = ("set", "pages", "lines", "failed", "precision", "recall", "h mean", "cer", "line recall")
    yield _table(names, [list(asdict(score).values()) for score in scores])


def _confusions(found: Sequence[Confusion]) -> Iterator[str]:
    yield "<h2>Confusions</h2>"
    yield (
        f"<p>{sum(one.count for one in found)} edits in all, after NFKC, without white space and case: what is there, "
        "what was read, how often, out of how many.</p>"
    )
    yield from _confusion_list("Read for others", [one for one in found if one.expected and one.read])
    yield from _confusion_list("Missing", [one for one in found if not one.read])
    yield from _confusion_list("Too many", [one for one in found if not one.expected])


def _confusion_list(title: str, found: Sequence[Confusion]) -> Iterator[str]:
    if found:
        yield f'<h3>{title}: {sum(one.count for one in found)}</h3>\n<ul class="columns">'
        for one in found[:_CONFUSIONS]:
            texts = "→".join(f"<b>{escape(text)}</b>" for text in (one.expected, one.read) if text)
            yield f"<li>{texts}<i>{one.count}{f' of {one.of}' if one.of else ''}</i></li>"
        yield "</ul>"


def _calibration(quality: Quality) -> Iterator[str]:
    yield "<h2>Confidence</h2>"
    yield (
        "<p>Of what has a confidence, how much is right; on the dashed line it means what it says. Expected "
        f"calibration error: {quality.characters.error:.2%} for characters, {quality.lines.error:.2%} for the share of "
        "a line's characters that is right. A whole line is right less often than its confidence says.</p>"
    )
    yield '<div class="side">'
    yield _diagram("Characters", {"right": quality.characters})
    yield _diagram("Lines", {"characters right": quality.lines, "whole line right": quality.whole_lines})
    yield _table(HEADER, quality.rows)
    yield "</div>"


def _diagram(title: str, curves: Mapping[str, Reliability]) -> str:
    """Share that is right against confidence, by names of what is right; at most two.

    The area of a point is the share of all that it stands for.
    """
    size, end = _PLOT + 2 * _MARGIN, _PLOT + _MARGIN
    parts = [f'<svg class="diagram" viewBox="0 0 {size} {size}" width="{size}" role="img" aria-label="{title}">']
    for share in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        x, y = _at(share, share)
        parts.append(f'<path class="axis" d="M{x:.1f} {_MARGIN}V{end}M{_MARGIN} {y:.1f}H{end}"/>')
        parts.append(f'<text x="{x:.1f}" y="{end + 15}" text-anchor="middle">{share:g}</text>')
        parts.append(f'<text x="{_MARGIN - 6}" y="{y + 4:.1f}" text-anchor="end">{share:g}</text>')
    parts.append(f'<path class="even" d="M{_MARGIN} {end}L{end} {_MARGIN}"/>')
    keys = []
    for kind, (name, curve) in zip(("first", "second"), curves.items(), strict=False):
        parts += _curve(kind, name, curve)
        keys.append(f'<span class="key {kind}">{name}</span>')
    parts.append(f'<text x="{size / 2}" y="{end + 32}" text-anchor="middle">confidence</text></svg>')
    return f"<figure>{''.join(parts)}<figcaption>{title}: {''.join(keys)}</figcaption></figure>"


def _curve(kind: str, name: str, curve: Reliability) -> Iterator[str]:
    filled = [each for each in curve.bins if each.count]
    places = [_at(each.confidence, each.right) for each in filled]
    if places:
        yield f'<path class="{kind}" d="M{"L".join(f"{x:.1f} {y:.1f}" for x, y in places)}"/>'
    for (x, y), each in zip(places, filled, strict=True):
        radius = 2.5 + 12 * (each.count / curve.count) ** 0.5
        told = f"{each.count} with {each.confidence:.3f}: {each.right:.3f} {name}"
        yield f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{told}</title></circle>'


def _at(x: float, y: float) -> tuple[float, float]:
    """Place of a pair of shares in the diagram."""
    return _MARGIN + _PLOT * x, _MARGIN + _PLOT * (1 - y)


def _worst_lines(lines: LineSet, worst: int) -> Iterator[str]:
    wrong = sorted(((_badness(reading), reading) for reading in lines.readings), key=lambda pair: -pair[0])
    shown = [reading for badness, reading in wrong if badness][:worst]
    if not shown:
        return
    yield f'<h3>{escape(lines.name)}</h3>\n<div class="lines">'
    for reading in shown:
        edits = reading.edits
        read = _marked([text for text, _ in reading.characters], edits.read_right)
        yield f'<div class="line">{_picture(reading.path)}<dl>'
        yield f"<dt>label</dt><dd>{_marked(reading.label, edits.label_right)}</dd>"
        yield f"<dt>read</dt><dd>{'cannot be read' if reading.is_failed else read or '<em>nothing</em>'}</dd></dl>"
        told = f"edits: {len(edits.pairs)}, confidence: {reading.confidence:.2f}, {reading.path.name}"
        yield f"<small>{escape(told)}</small></div>"
    yield "</div>"


def _badness(reading: LineReading) -> float:
    """Edits per character of the label."""
    edits = reading.edits
    return len(edits.pairs) / max(len(edits.label), 1)


def _marked(elements: Iterable[str], right: Iterable[bool | None]) -> str:
    marked = "".join(
        f"<mark>{escape(text)}</mark>" if is_right is False else escape(text)
        for text, is_right in zip(elements, right, strict=True)
    )
    return marked.replace("</mark><mark>", "")


def _pages(pages: PageSet) -> Iterator[str]:
    yield f"<h2>Pages of {escape(pages.name)}</h2>"
    readings = sorted(pages.readings, key=lambda reading: -reading.comparison.counts.cer)
    rows = []
    for reading in readings:
        counts = reading.comparison.counts
        figures = [counts.precision, counts.recall, counts.h_mean, counts.cer, counts.line_recall]
        rows.append([reading.path.name, counts.labelled, counts.found, *figures])
    yield _table(("page", "labelled", "found", "precision", "recall", "h mean", "cer", "line recall"), rows)
    for reading in readings[:_WORST_PAGES]:
        yield from _worst_page(reading)


def _worst_page(reading: PageReading) -> Iterator[str]:
    yield f"<h3>{escape(reading.path.name)}</h3>"
    yield _page_picture(reading)
    rows = []
    for group in reading.comparison.groups:
        label, read = " ".join(group.labels), " ".join(group.found)
        edits = edits_of(label, read)
        rows.append((len(edits.pairs), _marked(label, edits.label_right), _marked(read, edits.read_right)))
    worst = sorted((row for row in rows if row[0]), key=lambda row: -row[0])[:_WORST_GROUPS]
    if worst:
        cells = "".join(
            f'<tr><td>{count}</td><td class="text">{label}</td><td class="text">{read}</td></tr>'
            for count, label, read in worst
        )
        head = '<tr><th>edits</th><th class="text">label</th><th class="text">read</th></tr>'
        yield f'<div class="scroll"><table>{head}{cells}</table></div>'


def _page_picture(reading: PageReading) -> str:
    """The page with the outlines of its lines: what was found, and of the labels those that were missed or ignored."""
    loaded = _jpeg(reading.path, _PAGE_SIDES)
    if loaded is None:
        return "<p>The image cannot be read.</p>"
    address, (width, height) = loaded
    parts = [f'<image href="{address}" width="{width}" height="{height}"/>']
    for line, fate in _outlined(reading.comparison):
        points = " ".join(f"{vertex.x:.0f},{vertex.y:.0f}" for vertex in line.polygon.vertices)
        parts.append(
            f'<polygon class="box {fate.value}" points="{points}"><title>{escape(line.text)}</title></polygon>'
        )
    keys = "".join(f'<span class="key {fate.value}">{fate.value}</span>' for fate in Fate)
    shown = _fitted(width, height, _PAGE_SIDES)[0]
    drawing = f'<svg viewBox="0 0 {width} {height}" width="{shown}">{"".join(parts)}</svg>'
    return f"<figure>{drawing}<figcaption>Lines: {keys}</figcaption></figure>"


def _outlined(comparison: PageComparison) -> Iterator[tuple[PageLine, Fate]]:
    yield from comparison.found
    for label, fate in comparison.labels:
        if fate is not Fate.MATCHED:
            yield label, fate


def _picture(path: Path) -> str:
    loaded = _jpeg(path, _LINE_SIDES)
    return "" if loaded is None else f'<img alt="" src="{loaded[0]}">'


def _jpeg(path: Path, sides: tuple[int, int]) -> tuple[str, tuple[int, int]] | None:
    """An image no larger than sides as an address that holds it, and its own width and height; None if it is none."""
    try:
        image = load_image(path.read_bytes(), ImageLimits())
    except InputError:
        return None
    height, width = image.shape[:2]
    fitted = cv2.resize(image, _fitted(width, height, sides), interpolation=cv2.INTER_AREA)
    smaller = cv2.cvtColor(fitted, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode(), (width, height)


def _fitted(width: int, height: int, sides: tuple[int, int]) -> tuple[int, int]:
    """Width and height at which both sides are within limits."""
    scale = min(1.0, sides[0] / width, sides[1] / height)
    return max(1, round(scale * width)), max(1, round(scale * height))


def _table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{_cell(value)}</td>' for value in row)}</tr>\n" for row in rows)
    return f'<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>'


def _cell(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float) else escape(str(value))
