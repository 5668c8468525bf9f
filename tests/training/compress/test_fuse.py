"""Tests of training.compress.fuse."""

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the extra `training`")

import cv2
import numpy as np
import openvino as ov
from openvino import opset13 as ops

from ocr_core.bundle import Check, add_second_opinion, read_bundle, read_second, write_manifest
from tests.training.compress.striped import striped_bundle, striped_line, striped_lines, striped_set
from training.compress.compare import compare
from training.compress.errors import CompressionFailed
from training.compress.fuse import FuseSettings, find_head, fuse, lower_rank
from training.compress.graph import read_graph, store_half, write_derived


def test_without_softmax_the_same_is_read(tmp_path: Path) -> None:
    """The bundle says that it emits logits, has fewer operations, and reads what it read."""
    source = striped_bundle(tmp_path)
    target, done = fuse(source, tmp_path, "striped/2", [], FuseSettings(logits=True))
    assert read_bundle(target).output == "logits"
    assert done.operations_after < done.operations_before
    figures = compare([source, target], striped_set(tmp_path / "data", 8), rounds=1)
    assert [each.exact for each in figures] == [1, 1]


def test_a_graph_without_softmax_has_none_to_drop(tmp_path: Path) -> None:
    """Dropping it twice is an error."""
    once, _ = fuse(striped_bundle(tmp_path), tmp_path, "striped/2", [], FuseSettings(logits=True))
    with pytest.raises(CompressionFailed, match="no softmax"):
        fuse(once, tmp_path, "striped/3", [], FuseSettings(logits=True))


def test_a_bundle_does_not_replace_its_source(tmp_path: Path) -> None:
    """A result of the same name is refused, and the source stays."""
    source = striped_bundle(tmp_path)
    with pytest.raises(CompressionFailed, match="would replace"):
        fuse(source, tmp_path, "striped/1", [], FuseSettings(logits=True))
    assert read_bundle(source).output == "probs"


def test_a_second_opinion_goes_along(tmp_path: Path) -> None:
    """What is made of a bundle asks whom the bundle asked, and has its judge."""
    source = striped_bundle(tmp_path)
    (tmp_path / "text.lm").write_bytes(b"a model")
    add_second_opinion(source, striped_bundle(tmp_path, "other"), 0.9, tmp_path / "text.lm")
    target, _ = fuse(source, tmp_path, "striped/2", [], FuseSettings(logits=True))
    assert (read_bundle(target).second_opinion, read_second(target).name) == (0.9, "other")
    assert read_bundle(target).judge == read_bundle(source).judge is not None


def test_layers_at_the_end_count_as_one_head(tmp_path: Path) -> None:
    """The head found is what the layers compute together."""
    graph = read_graph(striped_bundle(tmp_path))
    head = find_head(graph)
    assert (head.weight.shape, head.bias.shape) == ((3, 4), (3,))
    lower_rank(graph, head, 2)
    again = find_head(graph)
    assert np.allclose(again.weight, head.weight, atol=1e-4)
    assert np.allclose(again.bias, head.bias, atol=1e-4)


def test_a_bias_may_stand_in_front() -> None:
    """Sums are heads whichever way round they were written, as PyTorch's exporter writes them."""
    features = ops.parameter([1, -1, 2], np.float32)
    weight = np.arange(6, dtype=np.float32).reshape(3, 2)
    scores = ops.matmul(features, ops.constant(weight), transpose_a=False, transpose_b=True)
    bias = np.array([1, 2, 3], np.float32)
    for ends in (ops.add(ops.constant(bias), scores), ops.add(scores, ops.constant(bias))):
        head = find_head(ov.Model([ops.softmax(ends, 2)], [features]))
        assert np.array_equal(head.weight, weight)
        assert np.array_equal(head.bias, bias)


@pytest.mark.parametrize("rank", [0, 3])
def test_a_rank_must_be_lower(tmp_path: Path, rank: int) -> None:
    """A head of three classes has ranks one and two below its own."""
    with pytest.raises(CompressionFailed, match="must be from 1 to 2"):
        fuse(striped_bundle(tmp_path), tmp_path, "striped/2", [], FuseSettings(head_rank=rank))


def test_a_head_of_lower_rank_keeps_what_matters(tmp_path: Path) -> None:
    """Features of lines vary in one direction: a head of rank one that was made with lines reads as before."""
    source = striped_bundle(tmp_path)
    targets = [source]
    for version, lines in (("2", striped_lines(4)), ("3", [])):
        target, done = fuse(source, tmp_path, f"striped/{version}", lines, FuseSettings(head_rank=1))
        targets.append(target)
        assert done.head_rank_before == 2
    figures = compare(targets, striped_set(tmp_path / "data", 8), rounds=1)
    assert [each.exact for each in figures] == [1, 1, 0]


def test_a_new_head_is_stored_as_the_rest_is(tmp_path: Path) -> None:
    """Of a bundle in float16 a head of lower rank is in float16, too: the file would grow otherwise."""
    source = striped_bundle(tmp_path)
    graph = read_graph(source)
    store_half(graph)
    halves = write_derived(graph, source, tmp_path, "striped/2", "halved", output="probs")
    target, _ = fuse(halves, tmp_path, "striped/3", [], FuseSettings(head_rank=1))
    constants = [node for node in read_graph(target).get_ops() if node.get_type_name() == "Constant"]
    matrices = [node for node in constants if node.data.dtype.kind == "f" and sum(n > 1 for n in node.data.shape) > 1]
    assert matrices
    assert {node.get_element_type() for node in matrices} == {ov.Type.f16}


def with_check(folder: Path, text: str) -> Path:
    """The bundle, which must read this text in the line "ab" before it is used."""
    cv2.imwrite(str(folder / "line.png"), striped_line("ab").image)
    write_manifest(folder, read_bundle(folder).model_copy(update={"check": Check(image="line.png", text=text)}))
    return folder


def test_a_check_goes_along(tmp_path: Path) -> None:
    """What is made of a bundle must read the same line before it is used."""
    target, _ = fuse(with_check(striped_bundle(tmp_path), "ab"), tmp_path, "striped/2", [], FuseSettings(logits=True))
    assert (target / "line.png").exists()


def test_what_would_not_be_served_is_not_made(tmp_path: Path) -> None:
    """A bundle that fails its check would keep a server from starting."""
    source = with_check(striped_bundle(tmp_path), "ba")
    with pytest.raises(CompressionFailed, match=r"striped/2 would not be served: .* must read 'ba'"):
        fuse(source, tmp_path, "striped/2", [], FuseSettings(logits=True))
    assert not (tmp_path / "striped" / "2").exists()
