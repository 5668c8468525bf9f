"""Draws what the pipeline reads in an image: each line's polygon, and beside the image its text and confidence.

Run from the repository's root: python docs/sample/draw_polygons.py IMAGE OUTPUT --font FONT, with a font that has the
texts' characters. page_polygons.jpg is page.jpg with NotoSansCJK-Regular.ttc and --font-index 2, simplified Chinese.
"""

from __future__ import annotations

import argparse
from functools import partial
from itertools import pairwise
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from ocr_core.pipeline import Pipeline
from ocr_core.pipeline_config import PipelineConfig
from ocr_core.types import Recognition

SUPERSAMPLE = 2
IMAGE_WIDTH, PANEL_WIDTH, MARGIN = 680 * SUPERSAMPLE, 720 * SUPERSAMPLE, 22 * SUPERSAMPLE
LOWEST_ROW, HIGHEST_ROW, RADIUS = 17 * SUPERSAMPLE, 36 * SUPERSAMPLE, 9.5 * SUPERSAMPLE
INK, HAIRLINE = (30, 32, 38), (233, 235, 239)
RED, AMBER, GREEN = (196, 30, 46), (206, 118, 0), (0, 128, 100)
COLOURS = ((0.0, RED), (0.6, RED), (0.86, AMBER), (0.96, GREEN), (1.0, GREEN))  # by confidence, mixed in between


def confidence_colour(confidence: float) -> tuple[int, ...]:
    """Colour, RGB, of a confidence."""
    (low, first), (high, second) = next(pair for pair in pairwise(COLOURS) if confidence <= pair[1][0])
    share = (confidence - low) / (high - low)
    return tuple(round(a + share * (b - a)) for a, b in zip(first, second, strict=True))


def draw(image: Image.Image, recognition: Recognition, font_file: Path, font_index: int) -> Image.Image:
    """The image with polygons and, at its right, the panel of texts."""
    font = partial(ImageFont.truetype, str(font_file), index=font_index)
    lines, scale = recognition.lines, IMAGE_WIDTH / image.width
    height = round(image.height * scale)
    row = min(HIGHEST_ROW, max(LOWEST_ROW, (height - 2 * MARGIN) / max(1, len(lines))))
    bottom = max(height, round(row * len(lines)) + 2 * MARGIN)
    canvas = Image.new("RGB", (IMAGE_WIDTH + PANEL_WIDTH, bottom), "white")
    canvas.paste(image.resize((IMAGE_WIDTH, height)))
    pen = ImageDraw.Draw(canvas, "RGBA")
    left, right = IMAGE_WIDTH + MARGIN, canvas.width - MARGIN

    for line in lines:
        corners = [(point.x * scale, point.y * scale) for point in line.polygon.vertices]
        colour = confidence_colour(line.confidence)
        pen.polygon(corners, fill=(*colour, 24))
        pen.line([*corners, *corners[:2]], fill=colour, width=round(1.6 * SUPERSAMPLE), joint="curve")
    for number, line in enumerate(lines, start=1):
        colour = confidence_colour(line.confidence)
        start, middle = line.polygon.vertices[0], MARGIN + (number - 0.5) * row
        in_image = max(RADIUS, start.x * scale - RADIUS), max(RADIUS, start.y * scale)
        for centre, radius in ((in_image, RADIUS), ((left + 0.4 * row, middle), 0.36 * row)):
            pen.circle(centre, radius, fill=colour)
            pen.text(centre, str(number), "white", font(size=round(1.25 * radius)), anchor="mm")
        size = int(0.56 * row)
        while size > 8 and font(size=size).getlength(line.text) > right - left - 3.3 * row:
            size -= 1
        pen.text((left + 1.3 * row, middle + 0.2 * row), line.text, INK, font(size=size), anchor="ls")
        pen.text((right, middle + 0.2 * row), f"{line.confidence:.3f}", colour, font(size=row // 2), anchor="rs")
        pen.line([(left, middle + row / 2), (right, middle + row / 2)], HAIRLINE, SUPERSAMPLE)
    return canvas.reduce(SUPERSAMPLE)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--font", type=Path, required=True)
    parser.add_argument("--font-index", type=int, default=0, help="which font of a collection (.ttc)")
    args = parser.parse_args()
    pipeline = Pipeline(PipelineConfig(models_dir=Path("models"), workers=2))
    pipeline.start()
    found = pipeline.recognize(args.image.read_bytes())
    pipeline.close()
    shown = ImageOps.exif_transpose(Image.open(args.image)).convert("RGB")
    draw(shown, found, args.font, args.font_index).save(args.output, quality=78, optimize=True, progressive=True)
