"""As convert.py: messages of RecognizeDocument, and what they are to the rest of the server."""

from __future__ import annotations

from glyphwire.v1 import ocr_pb2

from ocr_core.document import DocumentOptions, PageSource, TextLayer
from server import convert
from server.convert_enums import chosen
from server.document_reading import DocumentJob, ReadPage
from server.request import Job

_TEXT_LAYERS = {
    ocr_pb2.TEXT_LAYER_POLICY_UNSPECIFIED: TextLayer.AUTO,
    ocr_pb2.TEXT_LAYER_POLICY_AUTO: TextLayer.AUTO,
    ocr_pb2.TEXT_LAYER_POLICY_IGNORE: TextLayer.IGNORE,
}
_SOURCES = {
    None: ocr_pb2.PAGE_SOURCE_UNSPECIFIED,
    PageSource.TEXT_LAYER: ocr_pb2.PAGE_SOURCE_TEXT_LAYER,
    PageSource.OCR: ocr_pb2.PAGE_SOURCE_OCR,
}
_DOCUMENT = DocumentOptions()


def document_job(message: ocr_pb2.DocumentConfig) -> DocumentJob:
    """Raises OptionInvalid."""
    return DocumentJob(
        job=Job(b"", convert.options(message.options), convert.priority(message.options)),
        options=DocumentOptions(
            pages=message.pages,
            dpi=message.dpi if message.HasField("dpi") else _DOCUMENT.dpi,
            text_layer=chosen(_TEXT_LAYERS, message.text_layer, "text_layer", root="config"),
            password=message.password,
        ),
    )


def page_response(page: ReadPage) -> ocr_pb2.RecognizeDocumentResponse:
    """What came of a page."""
    response = ocr_pb2.RecognizeDocumentResponse(
        page_number=page.page_number,
        page_count=page.page_count,
        pages_done=page.pages_done,
        pages_selected=page.pages_selected,
        dpi=page.dpi,
        source=_SOURCES[page.source],
    )
    convert.set_outcome(response, page.outcome)
    return response
