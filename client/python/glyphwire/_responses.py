"""Response messages -> dataclasses."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

from glyphwire import _faults
from glyphwire.documents import DocumentPage, PageSource
from glyphwire.errors import OcrError
from glyphwire.preparation import AppliedStep, Step
from glyphwire.rules import Correction, Field
from glyphwire.structure import Cell, KeyValue, Paragraph, Structure, Table
from glyphwire.types import (
    Alternative,
    Character,
    CharacterAlternative,
    FrameDropped,
    FrameResult,
    Line,
    Model,
    ModelState,
    ModelStatus,
    Point,
    Polygon,
    Recognition,
    StableLine,
    Timings,
)
from glyphwire.v1 import ocr_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from glyphwire.v1 import admin_pb2

_PAGE_SOURCES = {
    ocr_pb2.PAGE_SOURCE_TEXT_LAYER: PageSource.TEXT_LAYER,
    ocr_pb2.PAGE_SOURCE_OCR: PageSource.OCR,
}
_STEPS = {ocr_pb2.PreparationStep.Value(f"PREPARATION_STEP_{step.name}"): step for step in Step}
_UTC = datetime.timezone.utc  # noqa: UP017 - datetime has UTC from Python 3.11 on


def batch(response: ocr_pb2.BatchRecognizeResponse) -> list[Recognition | OcrError]:
    """One outcome per image, in the order of the images."""
    return [_outcome(result) for result in response.results]


def frame_result(response: ocr_pb2.StreamRecognizeResponse) -> FrameResult:
    """What became of one frame."""
    return FrameResult(
        frame_id=response.frame_id,
        outcome=FrameDropped(response.dropped.replaced_by) if response.HasField("dropped") else _outcome(response),
        capture_time=response.capture_time.ToDatetime(_UTC) if response.HasField("capture_time") else None,
        unchanged_from=response.unchanged_from if response.HasField("unchanged_from") else None,
        stable_lines=tuple(_stable_line(line) for line in response.stable_lines),
    )


def document_page(response: ocr_pb2.RecognizeDocumentResponse) -> DocumentPage:
    """What became of one page."""
    return DocumentPage(
        page_number=response.page_number,
        page_count=response.page_count,
        pages_done=response.pages_done,
        pages_selected=response.pages_selected,
        dpi=response.dpi,
        source=_PAGE_SOURCES.get(response.source),
        outcome=_outcome(response),
    )


def models(response: ocr_pb2.ListModelsResponse) -> tuple[Model, ...]:
    """Sorted by name."""
    return tuple(
        Model(
            name=model.name,
            version=model.version,
            is_default=model.is_default,
            charset_size=model.charset_size,
            input_height=model.input_height,
            origin=model.origin,
            licence=model.licence,
        )
        for model in response.models
    )


def model_statuses(messages: Iterable[admin_pb2.ModelStatus]) -> tuple[ModelStatus, ...]:
    """In their order."""
    return tuple(
        ModelStatus(
            name=message.name,
            version=message.version,
            state=_state(message.state),
            is_default=message.is_default,
            images=message.images,
            reason=message.reason,
        )
        for message in messages
    )


def recognition(message: ocr_pb2.Recognition) -> Recognition:
    """Everything that was read in one image."""
    return Recognition(
        lines=tuple(_line(line) for line in message.lines),
        image_width=message.image_width,
        image_height=message.image_height,
        model_name=message.model_name,
        model_version=message.model_version,
        timings=_timings(message.timings),
        applied_steps=tuple(AppliedStep(_STEPS.get(each.step), each.amount) for each in message.applied_steps),
        structure=_structure(message.structure) if message.HasField("structure") else None,
        fields=tuple(
            Field(each.name, each.value, each.line, each.start, each.end, _polygon(each.polygon))
            for each in message.fields
        ),
    )


def _outcome(
    result: ocr_pb2.BatchRecognizeResult | ocr_pb2.StreamRecognizeResponse | ocr_pb2.RecognizeDocumentResponse,
) -> Recognition | OcrError:
    if result.WhichOneof("result") == "recognition":
        return recognition(result.recognition)
    return _faults.from_message(result.error)


def _line(line: ocr_pb2.Line) -> Line:
    return Line(
        text=line.text,
        confidence=line.confidence,
        polygon=_polygon(line.polygon),
        characters=tuple(_character(character) for character in line.characters),
        alternatives=tuple(
            Alternative(other.text, other.confidence, other.log_prob, other.score) for other in line.alternatives
        ),
        raw_text=line.raw_text if line.HasField("raw_text") else None,
        corrections=tuple(
            Correction(each.rule, each.before, each.after, each.start, each.end) for each in line.corrections
        ),
    )


def _stable_line(line: ocr_pb2.StableLine) -> StableLine:
    return StableLine(
        track_id=line.track_id,
        text=line.text,
        confidence=line.confidence,
        polygon=_polygon(line.polygon),
        frames_seen=line.frames_seen,
        frames_missed=line.frames_missed,
        is_stable=line.is_stable,
    )


def _structure(message: ocr_pb2.Structure) -> Structure:
    return Structure(
        paragraphs=tuple(Paragraph(each.text, tuple(each.lines)) for each in message.paragraphs),
        key_values=tuple(KeyValue(each.key, each.value, each.key_line, each.value_line) for each in message.key_values),
        tables=tuple(_table(table) for table in message.tables),
    )


def _table(table: ocr_pb2.Table) -> Table:
    return Table(
        rows=table.rows,
        columns=table.columns,
        is_ruled=table.is_ruled,
        cells=tuple(_cell(cell) for cell in table.cells),
        polygon=_polygon(table.polygon),
    )


def _cell(cell: ocr_pb2.Cell) -> Cell:
    return Cell(
        row=cell.row,
        column=cell.column,
        row_span=cell.row_span,
        column_span=cell.column_span,
        text=cell.text,
        lines=tuple(cell.lines),
        polygon=_polygon(cell.polygon),
    )


def _polygon(polygon: ocr_pb2.Polygon) -> Polygon:
    return Polygon(tuple(Point(vertex.x, vertex.y) for vertex in polygon.vertices))


def _character(character: ocr_pb2.Character) -> Character:
    return Character(
        text=character.text,
        confidence=character.confidence,
        timestep=character.timestep,
        x_start=character.x_start,
        x_end=character.x_end,
        start_timestep=character.start_timestep,
        end_timestep=character.end_timestep,
        posterior=character.posterior if character.HasField("posterior") else None,
        alternatives=tuple(CharacterAlternative(other.text, other.posterior) for other in character.alternatives),
    )


def _timings(timings: ocr_pb2.Timings) -> Timings:
    return Timings(
        queue_ms=timings.queue_ms,
        load_image_ms=timings.load_image_ms,
        find_lines_ms=timings.find_lines_ms,
        preprocess_ms=timings.preprocess_ms,
        infer_ms=timings.infer_ms,
        decode_ms=timings.decode_ms,
        postprocess_ms=timings.postprocess_ms,
        total_ms=timings.total_ms,
    )


def _state(number: int) -> ModelState:
    """A state that this client does not know is UNSPECIFIED."""
    try:
        return ModelState(number)
    except ValueError:
        return ModelState.UNSPECIFIED
