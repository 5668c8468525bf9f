"""Where lines come from in the world: each scene has its texts, fonts, paper and odds of what happens to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# All that can happen to a line, in the order in which it does. Drawing:
DRAWING = (
    "spacing",
    "wide_gap",
    "small_caps",
    "jitter",
    "oblique",
    "bold",
    "thin",
    "dots",
    "fading",
    "neighbours",
    "pen",
)
INKING = ("gradient", "outline", "cast_shadow", "underline", "rules", "box", "stamp", "strike")
CUTTING = ("tight", "loose", "tilt", "perspective", "curve", "wobble", "stretch")
LIGHT = ("uneven", "shadow", "glare", "texture", "low_contrast")
OPTICS = ("low_resolution", "blur", "motion", "sharpen", "noise", "grey", "bilevel", "jpeg", "upscale")
ODDS = frozenset((*DRAWING, *INKING, *CUTTING, *LIGHT, *OPTICS))

_PAPER_PRINT = {"news": 9, "reviews": 4, "manual": 9, "verse": 3, "words": 4, "mixed": 7, "rare": 12, "scattered": 3}
_LATIN_PRINT = {"english": 12, "english_words": 4, "capitals": 3, "code": 3, "web": 2}
_TRADITIONAL = {"traditional": 7, "traditional_words": 6}
_FORM = {
    "labelled": 10,
    "amount": 5,
    "date": 4,
    "time": 1,
    "measure": 3,
    "phone": 2,
    "address": 4,
    "english_address": 2,
    "person": 2,
    "organisation": 3,
}
_SIGN = {
    "english_words": 16,
    "words": 8,
    "organisation": 3,
    "capitals": 3,
    "person": 1,
    "amount": 2,
    "rare": 9,
    "phone": 2,
    "web": 1,
}


@dataclass(frozen=True, slots=True)
class Scene:
    """One kind of place where text is found.

    share: how often, relative to the others; kinds: weights of text.KINDS; styles: weights of fonts.STYLES; size_px:
    font sizes, drawn with even odds on their logarithm; paper: one of paper.PAPERS; odds: probability of each of ODDS,
    0 when it is not there.
    """

    name: str
    share: float
    kinds: Mapping[str, float]
    styles: Mapping[str, float]
    size_px: tuple[float, float]
    paper: Mapping[str, float]
    odds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        unknown = self.odds.keys() - ODDS
        if unknown:
            raise ValueError(f"scene {self.name} has odds of {sorted(unknown)}, known are {sorted(ODDS)}")


SCENES = (
    Scene(
        "screen",
        14,
        {**_PAPER_PRINT, **_LATIN_PRINT, **_FORM, "item": 4, "symbols": 2, "formula": 2},
        {"print": 12, "mono": 2, "display": 0.5},
        (12, 44),
        {"white": 6, "flat": 3, "dark": 1},
        {"spacing": 0.06, "bold": 0.08, "oblique": 0.04, "underline": 0.04, "rules": 0.03, "tight": 0.25, "loose": 0.2}
        | {"low_resolution": 0.12, "blur": 0.08, "jpeg": 0.2, "stretch": 0.15, "grey": 0.05, "upscale": 0.1},
    ),
    Scene(
        "book",
        16,
        {**_PAPER_PRINT, **_LATIN_PRINT, "item": 3, "labelled": 2, "person": 1, "formula": 2},
        {"print": 12, "mono": 0.4},
        (20, 52),
        {"white": 5, "aged": 4},
        {
            "spacing": 0.12,
            "small_caps": 0.05,
            "oblique": 0.05,
            "bold": 0.12,
            "thin": 0.12,
            "fading": 0.1,
            "neighbours": 0.22,
        }
        | {"underline": 0.04, "rules": 0.05, "stamp": 0.02, "tight": 0.35, "loose": 0.15, "tilt": 0.3, "curve": 0.06}
        | {
            "stretch": 0.35,
            "uneven": 0.15,
            "texture": 0.25,
            "low_resolution": 0.2,
            "blur": 0.35,
            "sharpen": 0.12,
            "noise": 0.3,
        }
        | {"grey": 0.4, "bilevel": 0.3, "jpeg": 0.35, "upscale": 0.15},
    ),
    Scene(
        "traditional_book",
        8,
        {**_TRADITIONAL, "rare": 2, "mixed": 1, "date": 0.5},
        {"print": 12},
        (20, 52),
        {"white": 6, "aged": 3},
        {
            "spacing": 0.12,
            "bold": 0.12,
            "thin": 0.15,
            "fading": 0.1,
            "neighbours": 0.2,
            "underline": 0.03,
            "rules": 0.03,
        }
        | {"tight": 0.4, "loose": 0.15, "tilt": 0.3, "curve": 0.06, "stretch": 0.4, "uneven": 0.1, "texture": 0.2}
        | {
            "low_resolution": 0.25,
            "blur": 0.35,
            "sharpen": 0.1,
            "noise": 0.25,
            "grey": 0.5,
            "bilevel": 0.45,
            "jpeg": 0.3,
        },
    ),
    Scene(
        "camera_page",
        14,
        {**_PAPER_PRINT, **_LATIN_PRINT, **_FORM, "traditional": 2, "item": 4, "formula": 2},
        {"print": 12, "mono": 0.6, "display": 0.6},
        (20, 50),
        {"white": 3, "aged": 3, "tinted": 4, "dark": 1},
        {
            "spacing": 0.1,
            "bold": 0.12,
            "thin": 0.08,
            "oblique": 0.03,
            "fading": 0.08,
            "neighbours": 0.2,
            "underline": 0.06,
        }
        | {"rules": 0.08, "stamp": 0.05, "strike": 0.01, "tight": 0.25, "loose": 0.25, "tilt": 0.5, "perspective": 0.45}
        | {"curve": 0.18, "wobble": 0.12, "stretch": 0.3, "uneven": 0.55, "shadow": 0.25, "glare": 0.1, "texture": 0.45}
        | {
            "low_contrast": 0.2,
            "low_resolution": 0.3,
            "blur": 0.45,
            "motion": 0.14,
            "sharpen": 0.15,
            "noise": 0.5,
            "jpeg": 0.55,
        }
        | {"grey": 0.08},
    ),
    Scene(
        "form",
        7,
        {**_FORM, "code": 4, "organisation": 4, "address": 6, "rare": 2},
        {"print": 9, "mono": 2, "dots": 0.6, "hand": 0.6},
        (18, 44),
        {"white": 5, "tinted": 3, "aged": 1},
        {"spacing": 0.12, "wide_gap": 0.1, "bold": 0.1, "thin": 0.1, "dots": 0.08, "fading": 0.15, "neighbours": 0.12}
        | {"underline": 0.16, "rules": 0.28, "box": 0.1, "stamp": 0.22, "tight": 0.25, "loose": 0.25, "tilt": 0.4}
        | {"perspective": 0.2, "stretch": 0.3, "uneven": 0.3, "shadow": 0.1, "texture": 0.3, "low_contrast": 0.12}
        | {"low_resolution": 0.25, "blur": 0.4, "noise": 0.3, "grey": 0.15, "bilevel": 0.05, "jpeg": 0.45},
    ),
    Scene(
        "receipt",
        9,
        {
            "receipt": 14,
            "labelled": 6,
            "amount": 9,
            "code": 5,
            "date": 4,
            "time": 2,
            "phone": 2,
            "capitals": 3,
            "english_words": 5,
        }
        | {
            "address": 2,
            "english_address": 5,
            "organisation": 2,
            "measure": 1,
            "web": 1,
            "words": 2,
            "rare": 3,
            "english": 1,
        },
        {"mono": 10, "print": 6, "dots": 2},
        (16, 44),
        {"thermal": 6, "white": 3, "aged": 1},
        {
            "spacing": 0.15,
            "wide_gap": 0.2,
            "bold": 0.12,
            "thin": 0.2,
            "dots": 0.16,
            "fading": 0.45,
            "neighbours": 0.2,
            "rules": 0.05,
        }
        | {"stamp": 0.03, "tight": 0.35, "loose": 0.15, "tilt": 0.4, "perspective": 0.12, "curve": 0.12, "stretch": 0.5}
        | {
            "uneven": 0.25,
            "shadow": 0.03,
            "texture": 0.2,
            "low_contrast": 0.2,
            "low_resolution": 0.3,
            "blur": 0.4,
            "sharpen": 0.15,
        }
        | {"noise": 0.25, "grey": 0.4, "bilevel": 0.3, "jpeg": 0.4, "strike": 0.02},
    ),
    Scene(
        "sign",
        14,
        _SIGN,
        {"display": 8, "print": 7, "hand": 2},
        (18, 52),
        {"scene": 8, "dark": 2, "flat": 2},
        {
            "spacing": 0.22,
            "oblique": 0.1,
            "bold": 0.2,
            "fading": 0.05,
            "neighbours": 0.1,
            "gradient": 0.15,
            "outline": 0.16,
        }
        | {
            "cast_shadow": 0.2,
            "box": 0.05,
            "underline": 0.02,
            "tight": 0.45,
            "loose": 0.15,
            "tilt": 0.5,
            "perspective": 0.55,
        }
        | {"curve": 0.14, "stretch": 0.45, "uneven": 0.45, "shadow": 0.3, "glare": 0.2, "low_contrast": 0.15}
        | {"low_resolution": 0.45, "blur": 0.5, "motion": 0.2, "sharpen": 0.2, "noise": 0.45, "jpeg": 0.6},
    ),
    Scene(
        "subtitle",
        6,
        {"speech": 14, "reviews": 3, "rare": 3, "english": 2, "address": 0.5, "person": 1, "traditional": 1},
        {"print": 10, "display": 1},
        (18, 46),
        {"photo": 8, "dark": 2},
        {
            "spacing": 0.12,
            "bold": 0.3,
            "outline": 0.9,
            "cast_shadow": 0.3,
            "gradient": 0.05,
            "tight": 0.35,
            "loose": 0.2,
        }
        | {
            "low_resolution": 0.45,
            "blur": 0.35,
            "motion": 0.06,
            "noise": 0.15,
            "jpeg": 0.8,
            "stretch": 0.2,
            "low_contrast": 0.08,
        },
    ),
    Scene(
        "handwriting",
        7,
        {
            "scattered": 7,
            "rare": 7,
            "words": 4,
            "news": 3,
            "speech": 3,
            "person": 2,
            "address": 2,
            "amount": 1,
            "date": 1,
        }
        | {"phone": 0.5, "english": 2, "verse": 2, "traditional_words": 2, "english_words": 1},
        {"hand": 10, "print": 0.8},
        (22, 54),
        {"white": 6, "aged": 3, "tinted": 1},
        {
            "spacing": 0.35,
            "jitter": 0.8,
            "oblique": 0.1,
            "bold": 0.2,
            "thin": 0.3,
            "fading": 0.3,
            "neighbours": 0.12,
            "rules": 0.12,
        }
        | {"underline": 0.08, "box": 0.04, "tight": 0.35, "loose": 0.2, "tilt": 0.5, "perspective": 0.15, "wobble": 0.5}
        | {"stretch": 0.4, "uneven": 0.25, "shadow": 0.1, "texture": 0.25, "low_contrast": 0.15, "low_resolution": 0.25}
        | {"blur": 0.35, "noise": 0.3, "grey": 0.45, "bilevel": 0.08, "jpeg": 0.4},
    ),
    Scene(
        "plate",
        2.5,
        {"plate": 10},
        {"print": 6, "display": 3},
        (20, 48),
        {"plate": 1},
        {
            "spacing": 0.7,
            "bold": 0.5,
            "box": 0.75,
            "tight": 0.4,
            "loose": 0.4,
            "tilt": 0.75,
            "perspective": 0.7,
            "stretch": 0.5,
        }
        | {
            "uneven": 0.5,
            "shadow": 0.3,
            "glare": 0.2,
            "low_contrast": 0.35,
            "low_resolution": 0.6,
            "blur": 0.6,
            "motion": 0.3,
        }
        | {"noise": 0.5, "jpeg": 0.6},
    ),
    Scene(
        "mark",
        4,
        {"code": 14, "measure": 2, "date": 2, "symbols": 1},
        {"print": 8, "mono": 5, "dots": 2, "display": 1},
        (18, 48),
        {"sleeve": 6, "dark": 1, "scene": 2},
        {
            "spacing": 0.5,
            "bold": 0.25,
            "dots": 0.1,
            "fading": 0.15,
            "tight": 0.45,
            "loose": 0.15,
            "tilt": 0.5,
            "perspective": 0.4,
        }
        | {
            "stretch": 0.5,
            "uneven": 0.4,
            "shadow": 0.15,
            "glare": 0.2,
            "low_contrast": 0.35,
            "low_resolution": 0.5,
            "blur": 0.6,
        }
        | {"motion": 0.2, "noise": 0.5, "jpeg": 0.5, "grey": 0.25},
    ),
)
