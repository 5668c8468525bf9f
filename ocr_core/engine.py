"""OpenVINO: load a bundle, warm up, infer. The only file that imports openvino."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino as ov  # type: ignore[import-untyped]
from openvino import preprocess

from ocr_core.bundle import GRAPH, ModelBundle
from ocr_core.errors import BundleInvalid

Batch = npt.NDArray[np.uint8]
"""RGB images padded to one size, uint8 [batch, height, width, 3]."""

Output = npt.NDArray[np.float32]


class Engine:
    """One compiled model and its infer requests.

    streams: how many calls of `infer` may run at once, each on threads / streams cores. Further callers wait.
    shapes_cached: how many layer shapes OpenVINO may keep prepared. It keeps thousands by default and its memory then
    grows with every new shape (0.9 GB after 100 page sizes); callers must send few different shapes all the same,
    because each new one costs milliseconds.
    """

    def __init__(self, bundle: ModelBundle, folder: Path, *, streams: int, threads: int, shapes_cached: int) -> None:
        self.bundle = bundle
        self._folder = folder
        self._streams = streams
        self._config = {
            "NUM_STREAMS": streams,
            "INFERENCE_NUM_THREADS": threads,
            "CPU_RUNTIME_CACHE_CAPACITY": shapes_cached,
            # Pinned threads of several processes would all sit on the same cores.
            "ENABLE_CPU_PINNING": False,
        }
        self._idle: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()

    def load(self) -> None:
        """Read the weights and compile. Raises BundleInvalid when OpenVINO refuses the model."""
        core = ov.Core()
        try:
            model = _with_preprocessing(core.read_model(self._folder / GRAPH), self.bundle)
            compiled = core.compile_model(model, "CPU", self._config)
        except RuntimeError as error:
            raise BundleInvalid(f"{self._folder}: OpenVINO refuses the model: {error}") from error
        for _ in range(self._streams):
            self._idle.put(compiled.create_infer_request())

    @contextmanager
    def infer(self, batch: Batch) -> Iterator[Output]:
        """Run the model on a batch.

        batch: RGB, uint8 [batch, height, width, 3], C-contiguous. Yields the first output, float32, as a view of the
        request's own memory: it is valid inside the `with` block alone, so that megabytes of probabilities are decoded
        where they lie.
        """
        request = self._idle.get()
        try:
            request.infer({0: batch}, share_inputs=True, share_outputs=True)
            yield request.get_output_tensor(0).data
        finally:
            self._idle.put(request)


def _with_preprocessing(model: ov.Model, bundle: ModelBundle) -> ov.Model:
    """Put colour order and normalisation into the graph, so that batches are bytes."""
    wanted = bundle.input
    model.reshape([-1, 3, wanted.height or -1, wanted.width or -1])
    steps = preprocess.PrePostProcessor(model)
    entry = steps.input()
    entry.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    entry.model().set_layout(ov.Layout("NCHW"))
    chain = entry.preprocess()
    if wanted.channels == "BGR":
        # Before the conversion to float: afterwards it takes 80 MB more for a page.
        chain = chain.reverse_channels()
    chain = chain.convert_element_type(ov.Type.f32)
    chain.mean([255 * value for value in wanted.mean]).scale([255 * value for value in wanted.std])
    return steps.build()


def convert_onnx(source: Path, folder: Path) -> None:
    """Convert an ONNX file to OpenVINO IR (model.xml, model.bin) in `folder`, weights in float32.

    Reads through the runtime: the separate converter would report its use to a telemetry service.
    """
    ov.save_model(ov.Core().read_model(source), folder / GRAPH, compress_to_fp16=False)
