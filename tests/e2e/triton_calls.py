"""Calls a server with NVIDIA's client as it is: python -m tests.e2e.triton_calls ADDRESS IMAGE IMAGE. Prints JSON.

A process of its own, as the client's stubs and ours are of one protocol and cannot be in one.
"""

import io
import json
import queue
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from tritonclient import grpc as triton
from tritonclient.grpc import service_pb2

MODEL = "glyphwire-zh-en"
LINE = {"mode": "line"}


def bytes_input(files: list[bytes]) -> list[triton.InferInput]:
    """Image files."""
    tensor = triton.InferInput("image", [len(files)], "BYTES")
    return [tensor.set_data_from_numpy(np.array(files, dtype=np.object_))]


def pixel_input(file: bytes) -> list[triton.InferInput]:
    """The pixels of an image file."""
    pixels = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
    return [triton.InferInput("image", list(pixels.shape), "UINT8").set_data_from_numpy(pixels)]


def texts(result: triton.InferResult) -> list[str]:
    """The output `text`."""
    return [text.decode() for text in result.as_numpy("text")]


def failure(client: triton.InferenceServerClient, **arguments: object) -> list[str]:
    """Status and message of a request that must fail."""
    try:
        client.infer(**arguments)
    except triton.InferenceServerException as error:
        return [error.status(), error.message()]
    raise AssertionError(f"{arguments} was answered")


def streamed(client: triton.InferenceServerClient, inputs: list[list[triton.InferInput]]) -> list[list[str] | str]:
    """Texts, or an error message, for each request of a stream."""
    answers: queue.Queue = queue.Queue()
    client.start_stream(lambda result, error: answers.put(error.message() if error else texts(result)))
    for images in inputs:
        client.async_stream_infer(MODEL, images, parameters=LINE)
    client.stop_stream()
    return [answers.get(timeout=60) for _ in inputs]


def shapes() -> dict[str, list[list[object]]]:
    """Names, numbers and types of the fields of the client's messages."""
    return {
        name: [[field.name, field.number, field.type, field.is_repeated] for field in message.fields]
        for name, message in service_pb2.DESCRIPTOR.message_types_by_name.items()
    }


def main(address: str, *paths: str) -> None:
    """Make every kind of call."""
    files = [Path(path).read_bytes() for path in paths]
    with triton.InferenceServerClient(address) as client:
        both = client.infer(MODEL, bytes_input(files), request_id="7", parameters=LINE)
        asked = [triton.InferRequestedOutput("confidence")]
        one = client.infer(
            MODEL, bytes_input(files[:1]), outputs=asked, priority=2, timeout=30_000_000, parameters=LINE
        )
        metadata = client.get_model_metadata(MODEL, as_json=True)
        report = {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "model_ready": [
                client.is_model_ready(MODEL),
                client.is_model_ready(MODEL, "2"),
                client.is_model_ready("x"),
            ],
            "server": client.get_server_metadata(as_json=True)["name"],
            "tensors": [tensor["name"] for tensor in (*metadata["inputs"], *metadata["outputs"])],
            "id": both.get_response().id,
            "texts": texts(both),
            "lines": [json.loads(lines) for lines in both.as_numpy("lines")],
            "confidence": one.as_numpy("confidence").tolist(),
            "not_requested": one.as_numpy("text"),
            "pixel_texts": [texts(client.infer(MODEL, pixel_input(file), parameters=LINE)) for file in files],
            "undecodable": failure(client, model_name=MODEL, inputs=bytes_input([b"no image"])),
            "unknown_model": failure(client, model_name="x", inputs=bytes_input(files)),
            "bad_option": failure(client, model_name=MODEL, inputs=bytes_input(files), parameters={"beam_width": 0}),
            "streamed": streamed(client, [bytes_input(files[:1]), bytes_input([b"no image"]), bytes_input(files[1:])]),
            "shapes": shapes(),
        }
    print(json.dumps(report, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
