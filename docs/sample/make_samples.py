"""Renders docs/sample/page.jpg and the images in tests/data: invented texts, printed, then "photographed".

Run: python docs/sample/make_samples.py, with fonts-noto-cjk, fonts-wqy-zenhei, fonts-arphic-ukai, fonts-dejavu and
fonts-liberation (Debian) installed. Seeded; the images change only when a font, Pillow or OpenCV does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.float32]
"""RGB, float32 [height, width, 3], 0 to 255."""
Plane = npt.NDArray[np.float32]
"""One value per pixel, float32 [height, width]."""
Colour = tuple[int, int, int]
Corners = tuple[tuple[float, float], ...]
"""Where the sheet's corners land, clockwise from the top left, as fractions of the photograph."""

SAMPLES = Path(__file__).parent
TEST_DATA = SAMPLES.parents[1] / "tests" / "data"
SUPERSAMPLE = 2
FONTS = Path("/usr/share/fonts")
SANS = (FONTS / "opentype/noto/NotoSansCJK-Regular.ttc", 2)  # index 2 of Noto's collections: simplified Chinese
BOLD = (FONTS / "opentype/noto/NotoSansCJK-Bold.ttc", 2)
SERIF = (FONTS / "opentype/noto/NotoSerifCJK-Regular.ttc", 2)
ZENHEI = (FONTS / "truetype/wqy/wqy-zenhei.ttc", 0)
KAI = (FONTS / "truetype/arphic/ukai.ttc", 0)
ROMAN = (FONTS / "truetype/liberation/LiberationSerif-Regular.ttf", 0)
MONO = (FONTS / "truetype/dejavu/DejaVuSansMono.ttf", 0)
INK: Colour = (38, 36, 44)
PAPER: Colour = (244, 241, 232)


@dataclass(frozen=True, slots=True)
class Print:
    """One printed line. gap: pixels of paper above it; rule: a thin line drawn in that gap."""

    text: str
    size: int = 30
    font: tuple[Path, int] = SANS
    gap: int = 22
    centred: bool = False
    rule: bool = False


@dataclass(frozen=True, slots=True)
class Crop:
    """One line crop. turns: quarter turns counterclockwise after printing; vertical: characters one below another."""

    name: str
    text: str
    font: tuple[Path, int]
    ink: Colour = INK
    paper: Colour = PAPER
    size: int = 40
    tilt: float = 0.0
    turns: int = 0
    vertical: bool = False


PAGE = (
    Print("白鹭湾纸品有限公司", 40, BOLD, 66, centred=True),
    Print("Egret Bay Paper Goods Co., Ltd.", 30, ROMAN, 14, centred=True),
    Print("送货单 Delivery Note", 54, BOLD, 34, centred=True),
    Print("单号 No. BLW-2024-03871", gap=44, rule=True),
    Print("日期 Date: 2024年11月18日 14:35"),
    Print("收货单位：云汀市第三小学图书馆"),
    Print("地址：云汀市梧桐路128号3栋2层"),
    Print("Contact: Ms. Lin Yue, tel. 0400-555-0187", font=ROMAN),
    Print("货品明细 Items", 34, BOLD, 44, rule=True),
    Print("1. 复印纸 Copy paper A4 80g，20包 × 24.50元 = 490.00元", 28),
    Print("2. 彩色卡纸 Coloured card，150张 × 1.20元 = 180.00元", 28),
    Print("3. 牛皮纸信封 Kraft envelopes，300个 × 0.65元 = 195.00元", 28),
    Print("4. 方格笔记本 Grid notebooks，48本 × 6.80元 = 326.40元", 28),
    Print("5. 透明胶带 Clear tape，36卷 × 2.50元 = 90.00元", 28),
    Print("运费 Delivery: ¥20.00", 28),
    Print("合计 Total: ¥1,301.40", 38, BOLD, 40, rule=True),
    Print("人民币大写：壹仟叁佰零壹元肆角整", font=SERIF),
    Print("付款方式 Payment: 月结30天 / net 30 days"),
    Print("收货时请当面清点，如有破损请在三日内与我们联系。", 28, ZENHEI, 44, rule=True),
    Print("Please count the goods before you sign for them.", 29, ROMAN),
    Print("Claims made after more than 7 days cannot be accepted.", 29, ROMAN),
    Print("送货人：周明远（车牌后四位 7K26）", 29, KAI),
    Print("本单一式三联：白联存根，红联交客户，黄联交财务。", 23, gap=44),
    Print("Printed on recycled paper. 请勿折叠 Do not fold.", 23, gap=15),
    Print("www.egretbay.example / orders@egretbay.example", 23, gap=15),
)
SMALL_PAGE = (
    Print("阅览室 Reading Room", 44, BOLD, 72, centred=True),
    Print("开放时间：周一至周六 8:30-21:00", 27, SANS, 34, centred=True),
    Print("Please keep your voice low.", 30, ROMAN, 30, centred=True),
)
CROPS = (
    Crop("line_zh.jpg", "请在收货时当面清点数量", SERIF, tilt=0.6),
    Crop("line_zh_kai.jpg", "山重水复疑无路", KAI, (60, 40, 30), (236, 224, 196)),
    Crop("line_en.jpg", "The quick brown fox waits for the 8 o'clock train.", ROMAN, tilt=-0.4),
    Crop("line_digits.jpg", "2024-11-18 14:35:07", MONO, (70, 70, 76), (238, 238, 236)),
    Crop("line_amount.png", "合计：¥1,301.40", BOLD, (150, 30, 34), tilt=0.8, size=32),
    Crop("line_mixed.jpg", "单号 No. BLW-2024-03871，共 5 项", SANS),
    Crop("line_light_on_dark.jpg", "夜间营业至凌晨两点", ZENHEI, (250, 236, 190), (38, 44, 74), tilt=-1.0),
    Crop("line_sign.jpg", "PLATFORM 4 TO THE CITY", BOLD, (240, 246, 240), (22, 92, 64)),
    Crop("line_receipt.png", "SUBTOTAL 12.50", MONO, (96, 96, 104), (240, 240, 238), size=28),
    Crop("line_vertical.jpg", "梧桐更兼细雨", SERIF, vertical=True),
    Crop("line_sideways.jpg", "云汀市第三小学图书馆", SANS, tilt=0.5, turns=3),
    Crop("line_upside_down.jpg", "小心轻放 Handle with care", SANS, turns=2),
)

LOOKALIKES = {"alike_old.png": "未土己日天大入", "alike_new.png": "末士已曰夭太人"}
"""Characters in pairs that differ in a stroke's length or place, for what compares frames."""


def main() -> None:
    """Write every sample."""
    TEST_DATA.mkdir(parents=True, exist_ok=True)
    corners = ((0.062, 0.043), (0.948, 0.030), (0.962, 0.968), (0.034, 0.957))
    page = photograph(print_page(PAGE, (1100, 1530), 92), (1200, 1600), corners, np.random.default_rng(1))
    page.save(SAMPLES / "page.jpg", quality=78)
    write_lines(SAMPLES / "page.txt", PAGE)

    corners = ((0.068, 0.088), (0.940, 0.050), (0.956, 0.930), (0.050, 0.948))
    small = photograph(print_page(SMALL_PAGE, (540, 340), 40), (600, 400), corners, np.random.default_rng(2))
    small.save(TEST_DATA / "page_small.jpg", quality=80)
    write_lines(TEST_DATA / "page_small.txt", SMALL_PAGE)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be shown turned by 90 degrees clockwise
    small.transpose(Image.Transpose.ROTATE_90).save(TEST_DATA / "page_rotated.jpg", quality=80, exif=exif)

    for seed, crop in enumerate(CROPS, start=3):
        photograph_crop(crop, np.random.default_rng(seed)).save(TEST_DATA / crop.name, quality=82)
    for name, text in LOOKALIKES.items():
        print_cells(text).save(TEST_DATA / name)
    labels = "".join(f"{crop.name}\t{crop.text}\n" for crop in CROPS)
    (TEST_DATA / "labels.tsv").write_text(labels, encoding="utf-8")


def print_cells(text: str) -> Image.Image:
    """Small characters, black on white as on a screen, each in a cell of 16 x 16 pixels."""
    cells = Image.new("L", (16 * len(text), 16), 255)
    for number, character in enumerate(text):
        ImageDraw.Draw(cells).text((16 * number + 2, 8), character, 0, ImageFont.truetype(SANS[0], 12, SANS[1]), "lm")
    return cells


def write_lines(path: Path, prints: tuple[Print, ...]) -> None:
    """Write the true lines in reading order."""
    path.write_text("".join(f"{line.text}\n" for line in prints), encoding="utf-8")


def print_page(prints: tuple[Print, ...], size: tuple[int, int], margin: int) -> Pixels:
    """A printed sheet. size: width and height of the sheet in pixels before supersampling."""
    width, height = (side * SUPERSAMPLE for side in size)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    left, y = margin * SUPERSAMPLE, 0
    for line in prints:
        y += line.gap * SUPERSAMPLE
        if line.rule:
            rule_y = y - line.gap * SUPERSAMPLE * 5 // 12
            draw.line(((left, rule_y), (width - left, rule_y)), (150, 148, 150), 3)
        font = load_font(line.font, line.size)
        x = (width - round(font.getlength(line.text))) // 2 if line.centred else left
        draw.text((x, y), line.text, INK, font, anchor="lt")
        y += line.size * SUPERSAMPLE
    return np.asarray(sheet, np.float32)


def print_line(crop: Crop) -> Pixels:
    """The crop's text on its paper, with a margin that the photograph cuts."""
    font = load_font(crop.font, crop.size)
    step = crop.size * SUPERSAMPLE
    length = step * len(crop.text) if crop.vertical else round(font.getlength(crop.text))
    size = (step * 2, length + step) if crop.vertical else (length + step, step * 2)
    sheet = Image.new("RGB", size, crop.paper)
    draw = ImageDraw.Draw(sheet)
    if crop.vertical:
        for index, character in enumerate(crop.text):
            draw.text((step, step * (index + 1)), character, crop.ink, font, anchor="mm")
    else:
        draw.text((step // 2, step), crop.text, crop.ink, font, anchor="lm")
    return np.asarray(sheet, np.float32)


def photograph_crop(crop: Crop, rng: np.random.Generator) -> Image.Image:
    """A tightly framed photograph of one printed line, slightly tilted by crop.tilt degrees."""
    sheet = print_line(crop)
    trim = crop.size * SUPERSAMPLE
    full_height, full_width = sheet.shape[:2]
    cut_along, cut_across = trim // 4, trim * 7 // 10
    width = full_width - (cut_across if crop.vertical else cut_along)
    height = full_height - (cut_along if crop.vertical else cut_across)
    left, top = (1 - full_width / width) / 2, (1 - full_height / height) / 2
    lift = float(np.tan(np.radians(crop.tilt))) * width / height / 2
    right, bottom = 1 - left, 1 - top
    corners = ((left, top - lift), (right, top + lift), (right, bottom + lift), (left, bottom - lift))
    image = photograph(sheet, (width // SUPERSAMPLE, height // SUPERSAMPLE), corners, rng)
    return image.rotate(90 * crop.turns, expand=True)


def photograph(sheet: Pixels, size: tuple[int, int], corners: Corners, rng: np.random.Generator) -> Image.Image:
    """The sheet on a desk, seen by a hand-held camera. size: width and height of the photograph."""
    width, height = (side * SUPERSAMPLE for side in size)
    target = np.asarray(corners, np.float32) * np.asarray((width, height), np.float32)
    sheet_height, sheet_width = sheet.shape[:2]
    source = np.asarray(((0, 0), (sheet_width, 0), (sheet_width, sheet_height), (0, sheet_height)), np.float32)
    view = cv2.getPerspectiveTransform(source, target)
    paper = cv2.warpPerspective(age(sheet, rng), view, (width, height), borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.warpPerspective(np.ones((sheet_height, sheet_width), np.float32), view, (width, height))
    shade = np.roll(cv2.GaussianBlur(cover, (0, 0), 14 * SUPERSAMPLE), (16 * SUPERSAMPLE, 10 * SUPERSAMPLE), (0, 1))
    desk = wood(height, width, rng) * (1 - 0.6 * shade)[..., None]
    light = daylight(height, width)[..., None] * np.asarray((1.02, 1.0, 0.95), np.float32)
    scene = (paper * cover[..., None] + desk * (1 - cover)[..., None]) * light
    seen = cv2.resize(cv2.GaussianBlur(scene, (0, 0), 0.55 * SUPERSAMPLE), size, interpolation=cv2.INTER_AREA)
    grain = rng.normal(0, 2.6, (*seen.shape[:2], 1)) + rng.normal(0, 1.2, seen.shape)
    return Image.fromarray(np.clip(seen + grain, 0, 255).astype(np.uint8))


def age(sheet: Pixels, rng: np.random.Generator) -> Pixels:
    """Fibres, uneven ink, a slight wave and a fold across the middle."""
    height, width = sheet.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    wave = np.float32(0.0025 * min(height, width)) * np.sin(x / width * 5 + y / height * 2)
    worn = cv2.remap(sheet, x, y + wave.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    fibres = 1 + 0.012 * noise(height, width, (3, 5), rng) + 0.012 * noise(height, width, (90, 120), rng)
    fade = 10 * noise(height, width, (60, 60), rng) * (worn.mean(axis=2) < 128)
    distance = (y - height * 0.52) / SUPERSAMPLE
    fold = 1 - 0.0016 * distance * np.exp(-((distance / 22) ** 2))
    return np.asarray((worn + fade[..., None]) * (fibres * fold)[..., None], np.float32)


def wood(height: int, width: int, rng: np.random.Generator) -> Pixels:
    """A dark wooden desk with its grain across the picture."""
    grain = 12 * noise(height, width, (70, 1300), rng) + 7 * noise(height, width, (9, 500), rng)
    grain += 4 * noise(height, width, (3, 90), rng)
    return np.asarray((116, 82, 58), np.float32) + grain[..., None] * np.asarray((1, 0.85, 0.7), np.float32)


def daylight(height: int, width: int) -> Plane:
    """Light from a window at the top left, and the soft shadow of someone at the bottom right."""
    x, y = np.linspace(0, 1, width)[None, :], np.linspace(0, 1, height)[:, None]
    shadow = 0.22 / (1 + np.exp((1.28 - x - 0.55 * y) / 0.07))
    return np.asarray((1.07 - 0.16 * x - 0.12 * y) * (1 - shadow), np.float32)


def noise(height: int, width: int, cell: tuple[int, int], rng: np.random.Generator) -> Plane:
    """Normal noise, smooth over cells of so many rows and columns."""
    coarse = rng.normal(0, 1, (height // cell[0] + 2, width // cell[1] + 2)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


def load_font(font: tuple[Path, int], size: int) -> ImageFont.FreeTypeFont:
    """The font at a size in pixels before supersampling."""
    return ImageFont.truetype(font[0], size * SUPERSAMPLE, font[1])


if __name__ == "__main__":
    main()
