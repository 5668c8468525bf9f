"""Lines as a recogniser would have read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ocr_core.types import Character, CharacterAlternative, Line, Point, Polygon

CORNERS = Polygon((Point(0, 0), Point(100, 0), Point(100, 10), Point(0, 10)))


def read_line(
    text: str,
    confidences: Mapping[int, float] | float = 0.5,
    alternatives: Mapping[int, Sequence[tuple[str, float]]] | None = None,
) -> Line:
    """Each character as wide as the others. confidences, alternatives: by place; 0.99 and none elsewhere."""
    width = 100 / max(len(text), 1)
    characters = tuple(
        Character(
            text=character,
            confidence=confidences if isinstance(confidences, float) else confidences.get(place, 0.99),
            timestep=place,
            x_start=place * width,
            x_end=(place + 1) * width,
            start_timestep=place,
            end_timestep=place + 1,
            alternatives=tuple(CharacterAlternative(*each) for each in (alternatives or {}).get(place, ())),
        )
        for place, character in enumerate(text)
    )
    return Line(text, 0.5, CORNERS, characters)
