"""POST /api/ocr: ways to send images, answers, errors."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import xml.etree.ElementTree as ET
from functools import partial

import anyio.to_thread
import glyphwire
import pytest
from glyphwire.v1 import ocr_pb2

from gateway.options import OcrOptions
from ocr_core.prepare.steps import Preparation, Switch
from tests.gateway.conftest import GatewayClient
from tests.server.messages import reached, until


def form(*images: bytes, field: str = "file") -> list:
    """Parts of a form."""
    return [(field, (f"{number}.png", image)) for number, image in enumerate(images)]


async def test_an_image_is_read(gateway: GatewayClient):
    """The answer has each line with its confidence and polygon, the time, and the image's size."""
    response = await gateway.post("/api/ocr", files=form(b"one\ntwo"))
    body = response.json()
    assert response.status_code == 200
    assert (body["success"], body["width"], body["height"], body["model"]) == (True, 100, 50, "fake/1")
    assert [(line["text"], line["confidence"]) for line in body["text"]] == [("one", 0.75), ("two", 0.75)]
    assert len(body["text"][0]["polygon"]) == 4
    assert 0 < body["processing_time"] < 30


@pytest.mark.parametrize("field", ["file", "files"])
async def test_reading_goes_through_no_thread(gateway: GatewayClient, monkeypatch, field):
    """A form is taken apart and answered in the event loop: threads would cost more than all else."""
    monkeypatch.setattr(anyio.to_thread, "run_sync", None)
    assert (await gateway.post("/api/ocr", files=form(b"one", field=field))).status_code == 200


@pytest.mark.parametrize("path", ["/api/ocr", "/ocr"])
@pytest.mark.parametrize("way", ["form", "json", "data url", "body"])
async def test_images_come_in_many_ways(gateway: GatewayClient, path, way):
    """A form, Base64 in JSON, a data URL, or the bytes alone say the same; options stand beside, or in the query."""
    text = base64.b64encode(b"one").decode()
    match way:
        case "form":
            response = await gateway.post(path, files=form(b"one"), data={"plain": "true"})
        case "json":
            response = await gateway.post(path, json={"image": text, "plain": True})
        case "data url":
            response = await gateway.post(path, json={"image": f"data:image/png;base64,{text}"}, params={"plain": "1"})
        case _:
            response = await gateway.post(path, content=b"one", params={"plain": "true"})
    assert response.json()["text"] == ["one"]


async def test_a_batch_answers_for_each_image(gateway: GatewayClient):
    """One image that cannot be read has its problem in its place; the others are read."""
    body = (await gateway.post("/api/ocr", files=form(b"one", b"!undecodable", b"three"))).json()
    assert body["success"] is False
    assert [result["success"] for result in body["results"]] == [True, False, True]
    assert [result["file"] for result in body["results"]] == ["0.png", "1.png", "2.png"]
    assert body["results"][1]["error"]["reason"] == "IMAGE_UNDECODABLE"
    assert body["results"][2]["text"][0]["text"] == "three"


async def test_a_list_of_one_is_a_batch(gateway: GatewayClient):
    """Who sends `files` or `images` gets `results`, however many there are."""
    text = base64.b64encode(b"one").decode()
    for response in (
        await gateway.post("/api/ocr", files=form(b"one", field="files")),
        await gateway.post("/api/ocr", json={"images": [text]}),
    ):
        assert [result["text"][0]["text"] for result in response.json()["results"]] == ["one"]


async def test_options_reach_the_pipeline(gateway: GatewayClient, stages):
    """Fields of the form are the options of the call; what needs a beam search gets one."""
    fields = {
        "model": "other",
        "mode": "line",
        "characters": "true",
        "alternatives": "2",
        "min_confidence": "0.5",
        "pattern": "[a-z]+",
        "lexicon": "one\ntwo",
        "lexicon_bonus": "1.5",
    }
    response = await gateway.post("/api/ocr", files=form(b"one"), data=fields)
    assert response.status_code == 200, response.text
    (options,) = stages.options
    assert (options.model, options.mode.value, options.min_confidence) == ("other", "line", 0.5)
    assert (options.decode.decoder.value, options.decode.alternatives) == ("prefix_beam", 2)
    assert options.include_characters
    language = options.decode.language
    assert (language.pattern, language.lexicon, language.lexicon_bonus) == ("[a-z]+", ("one", "two"), 1.5)
    line = response.json()["text"][0]
    assert [character["text"] for character in line["characters"]] == list("one")
    assert len(line["alternatives"]) == 2


@pytest.mark.parametrize("way", ["form", "json"])
async def test_hot_words_and_preparation_are_written_as_on_the_command_line(gateway: GatewayClient, stages, way):
    """A form has a row per hot word; JSON may have an object of them."""
    switches = "off,deskew=on,local_contrast=auto"
    if way == "form":
        fields = {"hot_words": "a=b=1.5\n合计=-2\n", "prepare": switches}
        response = await gateway.post("/api/ocr", files=form(b"one"), data=fields)
    else:
        hot_words = {"a=b": 1.5, "合计": -2}
        response = await gateway.post("/api/ocr", json={"image": "b25l", "hot_words": hot_words, "prepare": switches})
    (options,) = stages.options
    assert options.decode.language.hot_words == (("a=b", 1.5), ("合计", -2.0))
    assert options.decode.decoder.value == "prefix_beam"
    assert options.preprocess.preparation == Preparation(Switch.OFF, deskew=Switch.ON, local_contrast=Switch.AUTO)
    assert response.json()["applied_steps"][0] == {"step": "contrast", "amount": 2.5}


@pytest.mark.parametrize(
    ("field", "text"),
    [("prepare", "deskew"), ("prepare", "turn=on"), ("hot_words", "word"), ("hot_words", "word=much"), ("dpi", "49")],
)
async def test_options_that_cannot_be_understood_are_named(gateway: GatewayClient, stages, field, text):
    """In the field of the problem."""
    response = await gateway.post("/api/ocr", files=form(b"one"), data={field: text})
    assert (response.status_code, response.json()["field"]) == (400, field), response.text
    assert not stages.batches


async def test_extractors_without_a_name_are_shown(gateway: GatewayClient):
    """In words of the caller, not of the code that failed."""
    response = await gateway.post("/api/ocr", files=form(b"one"), data={"extractors": "total=(.+)\n[0-9]+"})
    assert "'[0-9]+' has no name: it must be NAME=[0-9]+" in response.json()["detail"]


def test_every_option_of_the_client_has_a_field():
    """What the Python client can ask, plain HTTP can ask as well."""
    kinds = (
        glyphwire.RecognizeOptions,
        glyphwire.LanguageOptions,
        glyphwire.RuleOptions,
        glyphwire.DocumentOptions,
    )
    asked = {each.name for kind in kinds for each in dataclasses.fields(kind)}
    renamed = {
        "include_characters": "characters",
        "include_structure": "structure",
        "preparation": "prepare",
        "priority": "bulk",
        "profile": "rules",
        "text_layer": "ignore_text_layer",
    }
    assert {renamed.get(name, name) for name in asked} - {"language"} <= set(OcrOptions.model_fields)


@pytest.mark.parametrize(
    ("fields", "is_asked"), [({}, False), ({"structure": "true"}, True), ({"format": "html"}, True)]
)
async def test_structure_is_asked_for(gateway: GatewayClient, stages, fields, is_asked):
    """By its option, and by the formats that are made of it."""
    assert (await gateway.post("/api/ocr", content=b"one", params=fields)).status_code == 200
    assert [options.include_structure for options in stages.options] == [is_asked]


RULES = {"field_types": "amount\ndate", "width_form": "half", "extractors": "total=(?i)total\\D*([\\d.]+)\nshop=shop"}
RULES_JSON = {
    "field_types": ["amount", "date"],
    "width_form": "half",
    "extractors": {"total": r"(?i)total\D*([\d.]+)", "shop": "shop"},
}


@pytest.mark.parametrize("way", ["form", "json"])
async def test_rules_are_applied_and_told(gateway: GatewayClient, way):
    """A form and a JSON object say the same; the answer has raw text, corrections and fields."""
    image = "shop\nTotal：1O.50".encode()
    if way == "form":
        response = await gateway.post("/api/ocr", files=form(image), data=RULES)
    else:
        response = await gateway.post("/api/ocr", json={"image": base64.b64encode(image).decode(), **RULES_JSON})
    body = response.json()
    shop, total = body["text"]
    assert shop.keys() == {"text", "confidence", "polygon"}
    assert (total["text"], total["raw_text"]) == ("Total:10.50", "Total：1O.50")
    assert total["corrections"][1] == {"rule": "amount", "before": "1O.50", "after": "10.50", "start": 6, "end": 11}
    assert [(field["name"], field["value"], field["line"]) for field in body["fields"]] == [
        ("shop", "shop", 0),
        ("amount", "10.50", 1),
        ("total", "10.50", 1),
    ]
    assert (body["fields"][1]["start"], len(body["fields"][1]["polygon"])) == (6, 4)


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ({"rules": "none"}, "options.rules.profile"),
        ({"extractors": "total=("}, "options.rules.extractors[0].pattern"),
        ({"field_types": "dates"}, "field_types.0"),
        ({"width_form": "wide"}, "width_form"),
        ({"extractors": "total"}, "extractors"),
    ],
)
async def test_bad_rules_are_problems(gateway: GatewayClient, option, field):
    """What is wrong with them is OPTION_INVALID with its place."""
    response = await gateway.post("/api/ocr", files=form(b"one"), data=option)
    problem = response.json()
    assert (response.status_code, problem["reason"], problem["field"]) == (400, "OPTION_INVALID", field)


@pytest.mark.parametrize(
    ("image", "status", "reason", "field"),
    [
        (b"!empty", 400, "IMAGE_EMPTY", "image"),
        (b"!undecodable", 415, "IMAGE_UNDECODABLE", "image.encoded"),
        (b"!large", 413, "IMAGE_TOO_LARGE", "image"),
        (b"!small", 400, "IMAGE_TOO_SMALL", "image"),
        (b"!bug", 502, "INTERNAL", None),
    ],
)
async def test_problems_have_the_reasons_of_the_service(gateway: GatewayClient, image, status, reason, field):
    """What the service refuses is problem+json with the same reason; our own secrets stay ours."""
    response = await gateway.post("/api/ocr", content=image)
    problem = response.json()
    assert response.status_code == problem["status"] == status
    assert response.headers["content-type"] == "application/problem+json"
    assert (problem["reason"], problem.get("field"), problem["success"]) == (reason, field, False)
    assert "secret" not in response.text
    assert f"ERROR_REASON_{reason}" in list(ocr_pb2.ErrorReason.keys())


@pytest.mark.parametrize(
    ("request_", "status", "reason"),
    [
        ({"content": b""}, 400, "REQUEST_INVALID"),
        ({"json": {}}, 400, "REQUEST_INVALID"),
        ({"json": ["image"]}, 400, "REQUEST_INVALID"),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400, "REQUEST_INVALID"),
        ({"json": {"image": "https://example.com/a.png"}}, 400, "REQUEST_INVALID"),
        ({"json": {"image": "图"}}, 400, "REQUEST_INVALID"),
        ({"content": b"[" * 100_000, "headers": {"content-type": "application/json"}}, 400, "REQUEST_INVALID"),
        (
            {"content": rb'{"image": "b25l", "pattern": "\ud800"}', "headers": {"content-type": "application/json"}},
            400,
            "OPTION_INVALID",
        ),
        ({"json": {"image": 5}}, 400, "OPTION_INVALID"),
        ({"json": {"image": "b25l", "mode": "word"}}, 400, "OPTION_INVALID"),
        ({"json": {"image": "b25l", "min_confidence": True}}, 400, "OPTION_INVALID"),
        ({"json": {"image": "b25l", "beam_width": True}}, 400, "OPTION_INVALID"),
        ({"json": {"image": "b25l", "url": "https://example.com"}}, 400, "OPTION_INVALID"),
        ({"files": form(b"one", field="picture")}, 400, "REQUEST_INVALID"),
        ({"files": form(*[b"one"] * 257)}, 400, "REQUEST_INVALID"),
        ({"json": {"images": ["b25l"] * 257}}, 413, "BATCH_TOO_LARGE"),
        ({"content": b"one", "params": {"model": "nobody"}}, 404, "MODEL_NOT_FOUND"),
    ],
)
async def test_bad_requests_are_refused(gateway: GatewayClient, stages, request_, status, reason):
    """What is wrong with a request is said, and nothing is read."""
    response = await gateway.post("/api/ocr", **request_)
    assert (response.status_code, response.json()["reason"]) == (status, reason), response.text
    assert not stages.batches


async def test_large_bodies_are_cut_off(start_gateway):
    """More bytes than are accepted are refused, announced or not."""
    gateway = await start_gateway(http_max_body_bytes=1000)

    async def chunks():
        for _ in range(20):
            yield b"x" * 100

    for content in (b"x" * 2000, chunks()):
        response = await gateway.post("/api/ocr", content=content)
        assert (response.status_code, response.json()["reason"]) == (413, "IMAGE_TOO_LARGE")


async def test_other_formats(gateway: GatewayClient):
    """Text, TSV, Markdown and HTML as on the command line; hOCR and ALTO are XML with every line in it."""
    text, tsv, markdown, html, hocr, alto = [
        await gateway.post("/api/ocr", files=form(b"one\ntwo"), params={"format": name})
        for name in ("text", "tsv", "markdown", "html", "hocr", "alto")
    ]
    assert text.text == "one\ntwo\n"
    assert [row.split("\t")[-1] for row in tsv.text.splitlines()] == ["text", "one", "two"]
    assert (markdown.text, markdown.headers["content-type"]) == ("one\n\ntwo\n\n", "text/markdown; charset=utf-8")
    assert "<p>one</p>\n<p>two</p>" in html.text
    for response, kind in ((hocr, "text/html"), (alto, "application/alto+xml")):
        assert response.headers["content-type"].startswith(kind)
        ET.fromstring(response.content)  # noqa: S314 - our own
        assert "one" in response.text
        assert "two" in response.text


async def test_an_unreachable_service_is_a_problem(gateway: GatewayClient):
    """Callers are told to try again, and see that it is not the gateway."""
    await gateway.server.app.stop()
    response = await gateway.post("/api/ocr", content=b"one")
    assert (response.status_code, response.json()["reason"]) == (503, "SERVER_UNAVAILABLE")


async def test_a_caller_who_leaves_cancels_the_work(gateway: GatewayClient, stages):
    """What nobody waits for is not read."""
    stages.gate.clear()
    calling = asyncio.create_task(gateway.post("/api/ocr", content=b"one"))
    await reached(stages)
    calling.cancel()
    held = partial(gateway.server.app.metrics.registry.get_sample_value, "glyphwire_images_held")
    await until(lambda: held() == 0)
    stages.gate.set()
    assert (await gateway.post("/api/ocr", content=b"two")).status_code == 200
    assert stages.batches == [["two"]]
