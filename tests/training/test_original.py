"""The PP-OCRv6 small recogniser as a teacher, and the network that is made of it."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `training`")
pytest.importorskip("onnx", reason="needs the extra `training`")

import numpy as np

from ocr_core.bundle import Kind, Registry
from ocr_core.engine import Engine
from training.batches import LabelledLine, Labeller, LineBatch, make_line_batch
from training.original import Original, read_original
from training.start import SMALL, TEACHER_BUNDLES, original_file, small_recogniser

BUNDLE = Registry(TEACHER_BUNDLES).find(SMALL, Kind.RECOGNIZER)


@pytest.fixture(scope="module")
def original() -> Original:
    return read_original(original_file(BUNDLE))


@pytest.fixture(scope="module")
def batch() -> LineBatch:
    """Stripes of several widths."""
    lines = []
    for gap in (5, 9, 14):
        image = np.full((48, 200, 3), 230, np.uint8)
        image[10:38, 20:180:gap] = 20
        lines.append(LabelledLine(image, "l"))
    return make_line_batch(lines, Labeller(BUNDLE.charset), BUNDLE.input)


def test_it_computes_what_the_published_file_does(original: Original, batch: LineBatch) -> None:
    """Probabilities are those of the bundle that the server would load."""
    engine = Engine(BUNDLE, Registry(TEACHER_BUNDLES).folder(BUNDLE), streams=1, threads=1, precision="f32")
    engine.load()
    pixels = ((batch.images * 0.5 + 0.5) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    with engine.infer(pixels) as scores:
        expected = torch.from_numpy(scores.copy())
    if BUNDLE.output == "logits":
        expected = expected.softmax(2)
    lesson = original.lesson(batch, expected.shape[1])
    torch.testing.assert_close(lesson.probs, expected, atol=2e-3, rtol=0)
    assert lesson.columns is not None
    assert lesson.columns.shape[3] == expected.shape[1]


def test_the_network_made_of_it_comes_close(original: Original, batch: LineBatch) -> None:
    """With an LSTM of random weights in place of the attention, the lines that it was fitted to are read alike."""
    torch.manual_seed(5)
    network = original.crnn([batch.images])
    expected = original.lesson(batch, 0).probs
    with torch.no_grad():
        got = network(batch.images).softmax(2)
        torch.testing.assert_close(network.pooled(batch.images), original.lesson(batch, 0).columns)
    assert float((got - expected).abs().max()) < 0.05


def test_characters_in_common_use_are_kept() -> None:
    """Of the many characters those of Chinese, of both kinds, and of English remain, with their classes."""
    kept, fewer = small_recogniser(BUNDLE)
    assert len(kept.characters) == fewer.classifier.out_features - 1
    assert {"a", "Z", "7", " ", "们", "們", "鑰", "。"} <= set(kept.characters)
    assert 8000 < len(kept.characters) < 10500
    whole = read_original(original_file(BUNDLE))
    for character in "a們":
        ours = fewer.classifier.weight[kept.characters.index(character) + 1]
        torch.testing.assert_close(ours, whole.classifier.weight[BUNDLE.characters.index(character) + 1])


def test_another_file_is_refused() -> None:
    """The file of another recogniser is not taken for this one."""
    tiny = Registry(TEACHER_BUNDLES).find("ppocrv6-tiny", Kind.RECOGNIZER)
    path: Path = original_file(tiny)
    with pytest.raises(ValueError, match="is not the PP-OCRv6 small recogniser"):
        read_original(path)
