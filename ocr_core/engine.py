"""OpenVINO: load a bundle, warm up, infer. The only file that imports openvino."""

from __future__ import annotations

import math
import queue
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

# OpenVINO imports its converter if there is one: 15 MB and 0.1 s, and nothing here converts.
_CONVERTER = "openvino.tools.ovc"
sys.modules.setdefault(_CONVERTER, None)  # type: ignore[arg-type]  # how Python is told that there is none
import openvino as ov  # type: ignore[import-untyped]  # noqa: E402
from openvino import opset13 as operations  # noqa: E402
from openvino import preprocess  # noqa: E402
from openvino.passes import ConstantFolding, Manager  # type: ignore[import-untyped]  # noqa: E402

if sys.modules[_CONVERTER] is None:
    del sys.modules[_CONVERTER]

from ocr_core.bundle import GRAPH, Kind, ModelBundle  # noqa: E402
from ocr_core.errors import BundleInvalid  # noqa: E402

Batch = npt.NDArray[np.uint8]
"""Images padded to one size, uint8 [batch, height, width, 3], channels in the order that the model wants."""

Output = npt.NDArray[np.float32]


Precision = Literal["f32", "auto"]
"""f32: the same results on every machine. auto: bfloat16 and INT8 where processors have both, nearly twice as fast."""


class Engine:
    """A model, compiled for as many callers as there may be at once.

    streams: how many calls of `infer` may run at once, each on threads / streams cores; further callers wait.
    image_size: (height, width) when every image has that size. A model compiled for one size is a quarter faster and
    needs half the memory; one for any size prepares itself whenever the size changes and keeps code for every
    size it has seen, so callers must send few different sizes.
    keep_softmax: False has a recogniser emit what would go into a softmax at its end. Decoders compute what they need
    of that in a fifth of the time, and without the engine's second buffer, 13 MB for a line of 1,920 pixels.
    output: what a recogniser emits then, once it is loaded.
    """

    def __init__(
        self,
        bundle: ModelBundle,
        folder: Path,
        *,
        streams: int,
        threads: int,
        precision: Precision = "f32",
        image_size: tuple[int, int] | None = None,
        keep_softmax: bool = True,
    ) -> None:
        self.bundle = bundle
        self.output = bundle.output
        self._keep_softmax = keep_softmax
        self.image_size = image_size or (bundle.input.height, bundle.input.width)
        self._folder = folder
        self._precision = precision
        self._streams = streams
        self._config = {
            # Of each of the compiled models. One with several streams runs its requests in threads of its own: two
            # changes of threads for each, a tenth of the lines per second. Their code is shared all the same.
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": max(1, threads // streams),
            # Pinned threads of several processes would all sit on the same cores.
            "ENABLE_CPU_PINNING": False,
            # Enough for every width of a line: whenever the width changed, a line took 2 ms more without. What is kept
            # only grows (to 0.9 GB after 100 sizes of pages), so sizes must be few.
            "CPU_RUNTIME_CACHE_CAPACITY": 1000,
            **({"INFERENCE_PRECISION_HINT": "f32"} if precision == "f32" else {}),
        }
        self._idle: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()

    def load(self) -> None:
        """Read the weights and compile. Raises BundleInvalid when OpenVINO refuses the model."""
        try:
            model = _with_preprocessing(core().read_model(self._folder / GRAPH), self.bundle, self.image_size)
            _fold_constants(model)
            if self.bundle.kind is Kind.DETECTOR:
                _enlarge_last(model)
                if self._precision == "auto" and "BF16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
                    _quantise(model, self.bundle.int8_inputs)
            elif not self._keep_softmax and _remove_softmax(model):
                self.output = "logits"
            for compiled in _compiled(model, self._config, self._streams):
                self._idle.put(compiled.create_infer_request())
        except RuntimeError as error:
            raise BundleInvalid(f"{self._folder}: OpenVINO refuses the model: {error}") from error

    @contextmanager
    def infer(self, batch: Batch) -> Iterator[Output]:
        """Run the model on a batch.

        batch: uint8 [batch, height, width, 3], channels in the order that the bundle names, C-contiguous. Yields the
        first output, float32, as a view of the request's own memory: it is valid inside the `with` block alone, so that
        megabytes of probabilities are decoded where they lie.
        """
        request = self._idle.get()
        try:
            # A tensor of our own: for an array OpenVINO first asks the request what it wants, in Python.
            outputs = request.infer(ov.Tensor(batch, shared_memory=True), share_inputs=True, share_outputs=True)
            yield next(iter(outputs.values()))
        finally:
            self._idle.put(request)


@cache
def core() -> ov.Core:
    """The one runtime, kept as long as the process.

    When the last one goes its CPU plugin is unloaded and leaves the thread without a valid signal stack: the next
    signal that Python handles ends the process.

    Weights are read, not mapped: who overwrites the files of a loaded model would change what it reads, or end the
    process where the file gets shorter. It takes no more memory.
    """
    runtime = ov.Core()
    runtime.set_property({"ENABLE_MMAP": False})
    return runtime


def _compiled(model: ov.Model, config: Mapping[str, object], count: int) -> Iterator[ov.CompiledModel]:
    """So many of it, each with weights of its own: loading what was compiled once takes a quarter of the time."""
    first = core().compile_model(model, "CPU", config)
    yield first
    if count > 1:
        exported = first.export_model()
        for _ in range(count - 1):
            yield core().import_model(exported, "CPU", config)


def _with_preprocessing(model: ov.Model, bundle: ModelBundle, image_size: tuple[int, int]) -> ov.Model:
    """Put normalisation into the graph, so that batches are bytes.

    Colour order stays outside: OpenVINO 2026.4 loses a reversal of channels when the batch or width is dynamic.
    """
    wanted = bundle.input
    height, width = (side or -1 for side in image_size)
    model.reshape([1 if height > 0 and width > 0 else -1, 3, height, width])
    steps = preprocess.PrePostProcessor(model)
    entry = steps.input()
    entry.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    entry.model().set_layout(ov.Layout("NCHW"))
    chain = entry.preprocess().convert_element_type(ov.Type.f32)
    chain.mean([255 * value for value in wanted.mean]).scale([255 * value for value in wanted.std])
    return steps.build()


_INT8 = (ov.Type.i8, ov.Type.u8)


def _fold_constants(model: ov.Model) -> None:
    """Compute beforehand what no image changes, as the shapes of biases that exporters leave to be computed.

    The CPU plugin does so as well, but too late: a convolution whose bias is no constant yet keeps sum and activation
    apart, which was a tenth of a recogniser's time. Graphs with weights in INT8 stay as they are: the weights would be
    folded into float32, and the plugin compute in that.
    """
    if any(node.get_type_name() == "Constant" and node.get_element_type() in _INT8 for node in model.get_ops()):
        return
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)


def _remove_softmax(model: ov.Model) -> bool:
    """Have a recogniser emit what goes into its last layer, a softmax over classes. Returns whether it has one."""
    result = model.get_results()[0]
    last = result.input_value(0).get_node()
    if last.get_type_name() != "Softmax" or last.get_attributes()["axis"] not in (-1, 2):
        return False
    result.input(0).replace_source_output(last.input_value(0))
    model.validate_nodes_and_infer_types()
    return True


_LAST_OF_DETECTOR = (
    "Sigmoid",
    "Add",
    "ConvolutionBackpropData",
    "Relu",
    "BatchNormInference",
    "Add",
    "ConvolutionBackpropData",
)
"""How the map of a DB detector is made, from its end: twice as large by four taps of each pixel, and once more."""


def _enlarge_last(model: ov.Model) -> None:
    """Have a detector compute the map's pixels as channels of a small image, and lay them side by side at the very end.

    Neither enlarging looks at a pixel's neighbours, so both are convolutions of single pixels: a seventh of the
    time and 11 MB less than transposed ones, which OpenVINO runs in float32 whatever the precision.
    """
    result = model.get_results()[0]
    chain = [result.input_value(0).get_node()]
    while len(chain) < len(_LAST_OF_DETECTOR):
        chain.append(chain[-1].input_value(0).get_node())
    if tuple(node.get_type_name() for node in chain) != _LAST_OF_DETECTOR:
        return
    _, last_bias, last, _, norm, first_bias, first = chain
    inner, outer = (_constant(node.input_value(1)) for node in (first, last))
    if inner.shape[2:] != (2, 2) or outer.shape[1:] != (1, 2, 2):
        return
    gamma, beta, mean, variance = (_constant(norm.input_value(port)) for port in range(1, 5))
    gain = gamma / np.sqrt(variance + norm.get_attributes()["epsilon"])
    inner = inner * gain.reshape(1, -1, 1, 1)
    offset = (_constant(first_bias.input_value(1)).ravel() - mean) * gain + beta
    channels = inner.shape[1]
    # Channels of the first: row and column within the 2 x 2, then its own. [row, column, channel, input]
    small = inner.transpose(2, 3, 1, 0).reshape(4 * channels, -1, 1, 1)
    # Of the second: row and column within the 4 x 4, each of the 2 x 2 seen by its own part of the map alone.
    within = np.einsum("iI,jJ,cab->iajbIJc", np.eye(2), np.eye(2), outer[:, 0]).reshape(16, 4 * channels, 1, 1)
    bias = np.tile(offset.reshape(1, -1, 1, 1), (1, 4, 1, 1))
    seen = operations.relu(operations.add(_by_pixel(first.input_value(0), small), operations.constant(bias)))
    pixels = operations.sigmoid(operations.add(_by_pixel(seen.output(0), within), last_bias.input_value(1)))
    result.input(0).replace_source_output(operations.depth_to_space(pixels, "blocks_first", 4).output(0))
    model.validate_nodes_and_infer_types()


def largest_convolutions(model: ov.Model, count: int) -> list[ov.Node]:
    """Those with the most multiplications, in their order. Shapes must be known. RuntimeError when there are fewer."""
    convolutions = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"]
    work = [math.prod(node.output(0).get_shape()) * math.prod(node.input(1).get_shape()[1:]) for node in convolutions]
    if count > len(work):
        raise RuntimeError(f"the model has {len(work)} convolutions, not {count}")
    largest = sorted(range(len(work)), key=work.__getitem__)[len(work) - count :]
    return [convolutions[i] for i in sorted(largest)]


def _quantise(model: ov.Model, ranges: Sequence[float]) -> None:
    """Have the largest convolutions computed in INT8. ranges: magnitudes of what goes into each, as of the bundle.

    A map changes by little more than bfloat16 changes it, for a fifth of a detector's time where the processor
    multiplies bytes (VNNI, which all with bfloat16 have). Raises RuntimeError, as OpenVINO does, when the model has
    fewer convolutions.
    """
    for convolution, greatest in zip(largest_convolutions(model, len(ranges)), ranges, strict=True):
        kernel = _constant(convolution.input_value(1))
        # A kernel of nothing but zeros has a scale all the same.
        scales = np.maximum(np.abs(kernel).max(axis=(1, 2, 3), keepdims=True), np.finfo(np.float32).tiny)
        rounded = (
            _rounded(convolution.input_value(0), -greatest * 128 / 127, greatest, 256),
            _rounded(operations.constant(kernel).output(0), -scales, scales, 255),
        )
        for port, value in enumerate(rounded):
            convolution.input(port).replace_source_output(value)
    model.validate_nodes_and_infer_types()


def _rounded(value: ov.Output, low: npt.ArrayLike, high: npt.ArrayLike, levels: int) -> ov.Output:
    """Values of a rank of four, rounded to so many levels from low to high."""
    ends = [operations.constant(np.reshape(np.asarray(end, np.float32), (-1, 1, 1, 1))) for end in (low, high)]
    return operations.fake_quantize(value, *ends, *ends, levels).output(0)


def _by_pixel(source: ov.Output, weights: npt.NDArray[np.float32]) -> ov.Node:
    """A convolution of kernel 1. weights: [output, input, 1, 1]."""
    kernel = operations.constant(np.ascontiguousarray(weights, np.float32))
    return operations.convolution(source, kernel, [1, 1], [0, 0], [0, 0], [1, 1])


def _constant(value: ov.Output) -> npt.NDArray[np.float32]:
    """What a graph has as a constant, in any precision."""
    node = value.get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.asarray(node.get_data(), np.float32)


def convert_onnx(source: Path, folder: Path, *, half: bool = False) -> None:
    """Convert an ONNX file to OpenVINO IR (model.xml, model.bin) in `folder`.

    half: weights are float16 on disk; the network computes in the engine's precision all the same.

    Reads through the runtime: the separate converter would report its use to a telemetry service.
    """
    ov.save_model(core().read_model(source), folder / GRAPH, compress_to_fp16=half)


def onnx_characters(source: Path) -> str:
    """The charset that RapidOCR writes into the metadata of an ONNX file, a row for each character.

    Raises BundleInvalid when there is none.
    """
    try:
        return str(core().read_model(source).get_rt_info(["framework", "character"]).astype(str))
    except RuntimeError as error:
        raise BundleInvalid(f"{source.name} has no characters in its metadata") from error
