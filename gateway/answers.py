"""What callers get: results of the service as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import glyphwire
from glyphwire import PageSource
from pydantic import BaseModel, ConfigDict, Field

from gateway.problems import Problem, problem_of
from gateway.reading import ReadPage
from gateway.structure_answers import Corners, StructureAnswer, corners, structure_answer


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True)


class CharacterAnswer(_Answer):
    """One character. x_start, x_end: pixels along the first edge of its line's polygon."""

    text: str
    confidence: float
    x_start: float
    x_end: float
    alternatives: list[tuple[str, float]] = Field(default=[], description="other characters and their shares")


class CorrectionAnswer(_Answer):
    """What a rule has changed. start, end: of what stands there in raw_text."""

    rule: str
    before: str
    after: str
    start: int
    end: int


class LineAnswer(_Answer):
    """One line of text. polygon: corners in pixels of the image, clockwise from where reading starts."""

    text: str
    confidence: float
    polygon: Corners
    characters: list[CharacterAnswer] | None = None
    alternatives: list[tuple[str, float]] | None = Field(None, description="other readings and their log-probability")
    raw_text: str | None = Field(None, description="what was read, where rules made something else of it")
    corrections: list[CorrectionAnswer] | None = None


class FieldAnswer(_Answer):
    """What a rule has found. line: index in `text`, from 0; start, end: in the line's text."""

    name: str
    value: str
    line: int
    start: int
    end: int
    polygon: Corners


class AppliedStepAnswer(_Answer):
    """A step of preparation that was done. amount: degrees clockwise or a factor, where it has one."""

    step: str
    amount: float


class PageAnswer(_Answer):
    """What was read in one image. processing_time: seconds, from the request's arrival."""

    success: bool = True
    text: list[LineAnswer] | list[str]
    processing_time: float
    width: int
    height: int
    model: str | None = Field(None, description="that read the lines; none did for a text layer")
    structure: StructureAnswer | None = Field(None, description="when it was asked for")
    applied_steps: list[AppliedStepAnswer] | None = Field(None, description="what was done to the image first")
    fields: list[FieldAnswer] | None = Field(None, description="what rules have found")
    file: str | None = None
    page: int | None = Field(None, description="of a document, from 1")
    page_count: int | None = None
    source: str | None = Field(None, description="of a document: text_layer, or ocr")


class FailedAnswer(_Answer):
    """One of several images that could not be read."""

    success: bool = False
    error: Problem
    file: str | None = None
    page: int | None = None
    page_count: int | None = None


class BatchAnswer(_Answer):
    """What was read in several images or pages, in their order. success: whether all could be read."""

    success: bool
    results: list[PageAnswer | FailedAnswer]
    processing_time: float


class ModelAnswer(_Answer):
    """A model that requests can name."""

    name: str
    version: str
    is_default: bool
    charset_size: int
    licence: str


def page_answer(page: ReadPage, *, plain: bool = False) -> PageAnswer | FailedAnswer:
    """plain: texts of the lines alone."""
    number, count = (page.number, page.count) if page.count > 1 else (None, None)
    read = page.outcome
    if isinstance(read, glyphwire.OcrError):
        return FailedAnswer.model_construct(error=problem_of(read), file=page.file, page=number, page_count=count)
    is_layer = page.source is PageSource.TEXT_LAYER
    return PageAnswer.model_construct(
        text=[line.text for line in read.lines] if plain else [line_answer(line) for line in read.lines],
        processing_time=round(page.seconds, 6),
        width=read.image_width,
        height=read.image_height,
        model=f"{read.model_name}/{read.model_version}" if read.model_name else None,
        structure=structure_answer(read.structure) if read.structure else None,
        applied_steps=[_step(step) for step in read.applied_steps] or None,
        fields=[field_answer(field) for field in read.fields] or None,
        file=page.file,
        source=PageSource.TEXT_LAYER.value if is_layer else None,
        page=number,
        page_count=count,
    )


def line_answer(line: glyphwire.Line) -> LineAnswer:
    """With characters and alternatives where the server gave them."""
    return LineAnswer.model_construct(
        text=line.text,
        confidence=_share(line.confidence),
        polygon=corners(line.polygon),
        characters=[_character(character) for character in line.characters] or None,
        alternatives=[(other.text, round(other.log_prob, 4)) for other in line.alternatives] or None,
        raw_text=line.raw_text,
        corrections=[CorrectionAnswer(**asdict(each)) for each in line.corrections] or None,
    )


def field_answer(field: glyphwire.Field) -> FieldAnswer:
    """As the server found it."""
    return FieldAnswer.model_construct(
        name=field.name,
        value=field.value,
        line=field.line,
        start=field.start,
        end=field.end,
        polygon=corners(field.polygon),
    )


def batch_answer(pages: Sequence[ReadPage], seconds: float, *, plain: bool) -> BatchAnswer:
    """One result per page."""
    results = [page_answer(page, plain=plain) for page in pages]
    success = all(result.success for result in results)
    return BatchAnswer.model_construct(success=success, results=results, processing_time=round(seconds, 6))


def model_answer(model: glyphwire.Model) -> ModelAnswer:
    """As the server names it."""
    return ModelAnswer(
        name=model.name,
        version=model.version,
        is_default=model.is_default,
        charset_size=model.charset_size,
        licence=model.licence,
    )


def dumped(answer: BaseModel) -> dict[str, Any]:
    """As in the response."""
    return answer.model_dump(mode="json", exclude_none=True)


def _step(applied: glyphwire.AppliedStep) -> AppliedStepAnswer:
    name = applied.step.value if applied.step else "unknown"
    return AppliedStepAnswer.model_construct(step=name, amount=round(applied.amount, 2))


def _character(character: glyphwire.Character) -> CharacterAnswer:
    return CharacterAnswer.model_construct(
        text=character.text,
        confidence=_share(character.confidence),
        x_start=round(character.x_start, 1),
        x_end=round(character.x_end, 1),
        alternatives=[(other.text, _share(other.posterior)) for other in character.alternatives],
    )


def _share(value: float) -> float:
    return round(value, 4)
