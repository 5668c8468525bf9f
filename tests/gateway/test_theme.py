"""The colours of the web page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

STYLE = (Path(__file__).parents[2] / "gateway" / "web" / "style.css").read_text(encoding="utf-8")
MODES = ("light", "dark")
TEXT, GRAPHIC = 4.5, 3.0
"""What WCAG 2.2 AA asks for: 1.4.3 of text, 1.4.11 of what is needed to see a control."""

PAIRS = [
    ("ink", "paper", TEXT),
    ("ink", "card", TEXT),
    ("ink", "wash", TEXT),
    ("soft", "paper", TEXT),
    ("soft", "card", TEXT),
    ("soft", "wash", TEXT),
    ("bad", "card", TEXT),
    ("accent", "card", TEXT),
    ("accent", "wash", TEXT),
    ("on-accent", "accent", TEXT),
    ("doubt-ink", "doubt", TEXT),
    ("accent", "paper", GRAPHIC),
]


def colours() -> dict[str, tuple[str, str]]:
    """Name of each colour of the theme: #rrggbb in light and in dark mode."""
    return {
        name: (light, dark)
        for name, light, dark in re.findall(r"--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", STYLE)
    }


def luminance(colour: str) -> float:
    """Relative luminance by WCAG."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """From 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_the_standard():
    """Black on white has 21, and the grey of its examples 4.54."""
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("front", "back", "least"), PAIRS)
def test_colours_of_the_theme_have_contrast(mode, front, back, least):
    """Enough for WCAG AA, in either mode."""
    known, at = colours(), MODES.index(mode)
    assert contrast(known[front][at], known[back][at]) >= least


def test_every_colour_is_checked():
    """But for the rule, which only decorates."""
    assert set(colours()) == {name for pair in PAIRS for name in pair[:2]} | {"rule"}
