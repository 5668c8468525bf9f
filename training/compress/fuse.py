"""Less to compute in the graph of a bundle: no softmax, a head of lower rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openvino as ov  # type: ignore[import-untyped]
from openvino import opset13 as ops

from ocr_core.bundle import read_bundle
from training.batches import LabelledLine
from training.compress.errors import CompressionFailed
from training.compress.graph import (
    Tensor,
    compiled,
    constant,
    is_stored_half,
    network_input,
    read_graph,
    store_half,
    write_derived,
)


@dataclass(frozen=True, slots=True)
class FuseSettings:
    """logits: drop the softmax at the end, as decoders take logits. head_rank: of the last layer; None as it is."""

    logits: bool = False
    head_rank: int | None = None


@dataclass(frozen=True, slots=True)
class Head:
    """The linear layers at the end of a graph as one: scores = weight @ features + bias.

    features, scores: where they begin and end in the graph. weight: float32 [class, feature]; bias: float32 [class].
    """

    features: ov.Output
    scores: ov.Output
    weight: Tensor
    bias: Tensor


@dataclass(frozen=True, slots=True)
class Fused:
    """head_rank: that the head's weights had before. kept: share of what its scores vary by that the new rank has."""

    operations_before: int
    operations_after: int
    head_rank_before: int | None = None
    kept: float | None = None


def fuse(
    source: Path, models_dir: Path, model: str, lines: Sequence[LabelledLine], settings: FuseSettings
) -> tuple[Path, Fused]:
    """Make a bundle `model` ("name/version") of the one in `source`. Returns its folder.

    lines: with them a head of lower rank is best where features lie; without, where they would lie by chance.
    """
    bundle, graph = read_bundle(source), read_graph(source)
    before, rank, kept = len(graph.get_ops()), None, None
    done = []
    if settings.head_rank is not None:
        head = find_head(graph)
        inputs = [network_input(line.image, bundle) for line in lines]
        rank = int(np.linalg.matrix_rank(head.weight))
        was_half = is_stored_half(graph)
        kept = lower_rank(graph, head, settings.head_rank, inputs)
        if was_half:
            store_half(graph)
        done.append(f"head of rank {settings.head_rank}")
    if settings.logits:
        drop_softmax(graph)
        done.append("no softmax")
    made_by = ", ".join(done) or "rewritten"
    folder = write_derived(
        graph, source, models_dir, model, made_by, output="logits" if settings.logits else bundle.output
    )
    return folder, Fused(before, len(graph.get_ops()), rank, kept)


def drop_softmax(graph: ov.Model) -> None:
    """Let the graph emit what its last softmax is given. Raises CompressionFailed when it ends in something else."""
    result = graph.get_results()[0]
    last = result.input_value(0).get_node()
    if last.get_type_name() != "Softmax":
        raise CompressionFailed(f"the graph ends in {last.get_type_name()}, so it has no softmax to drop")
    result.input(0).replace_source_output(last.input_value(0))
    graph.validate_nodes_and_infer_types()


def find_head(graph: ov.Model) -> Head:
    """The linear layers before the softmax, or before the end. Raises CompressionFailed when there are none."""
    end = graph.get_results()[0].input_value(0)
    if end.get_node().get_type_name() == "Softmax":
        end = end.get_node().input_value(0)
    begin, weight, bias = end, None, np.zeros(1, np.float32)
    while layer := _linear(begin):
        begin, matrix, offset = layer
        if matrix is not None:
            # scores = weight @ x + bias, and x = matrix @ features + offset
            weight = matrix if weight is None else weight @ matrix
        elif weight is None:
            bias = bias + offset
        else:
            bias = bias + weight @ np.broadcast_to(offset, weight.shape[1])
    if weight is None:
        raise CompressionFailed(f"the graph has no linear layer with float weights before {end.get_node().get_name()}")
    return Head(begin, end, weight, np.broadcast_to(bias, len(weight)))


def lower_rank(graph: ov.Model, head: Head, rank: int, inputs: Sequence[Tensor] = ()) -> float:
    """Replace the head by two layers with `rank` numbers a timestep between them.

    Chosen so that scores change least, in the mean of squares, over the features that `inputs`, float32
    [1, 3, height, width] each, lead to; without inputs over features that vary alike. Returns the share of the scores'
    variance that is kept.
    """
    limit = min(head.weight.shape)
    if not 0 < rank < limit:
        raise CompressionFailed(f"rank is {rank}, must be from 1 to {limit - 1}")
    mean, spread = _moments(graph, head, inputs)
    left, strengths, right = np.linalg.svd(head.weight @ spread, full_matrices=False)
    outer = (left[:, :rank] * strengths[:rank]).astype(np.float32)
    inner = np.linalg.solve(spread.T, right[:rank].T).T.astype(np.float32)
    bias = head.bias + head.weight @ mean - outer @ (inner @ mean)
    inside = ops.matmul(head.features, ops.constant(inner), False, True)
    scores = ops.add(
        ops.matmul(inside, ops.constant(outer), False, True), ops.constant(bias.astype(np.float32)[None, None])
    )
    for reader in head.scores.get_target_inputs():
        reader.replace_source_output(scores.output(0))
    graph.validate_nodes_and_infer_types()
    return float((strengths[:rank] ** 2).sum() / (strengths**2).sum())


def _linear(output: ov.Output) -> tuple[ov.Output, Tensor | None, Tensor] | None:
    """One step back through a product with or a sum with a constant: where from, matrix [out, in] or None, offset."""
    node = output.get_node()
    if node.get_type_name() == "Add":
        # PyTorch's exporter writes a bias in front of what it is added to.
        for varying, fixed in ((0, 1), (1, 0)):
            offset = constant(node.input_value(fixed))
            if offset is not None:
                return node.input_value(varying), None, offset.reshape(-1)
    if node.get_type_name() == "MatMul" and not node.get_attributes()["transpose_a"]:
        matrix = constant(node.input_value(1))
        if matrix is not None and matrix.ndim == 2:
            is_out_first = node.get_attributes()["transpose_b"]
            return node.input_value(0), matrix if is_out_first else matrix.T, np.zeros(1, np.float32)
    return None


def _moments(graph: ov.Model, head: Head, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean of the features [feature], and a triangular root of their covariance [feature, feature]."""
    width = head.weight.shape[1]
    if not inputs:
        return np.zeros(width, np.float32), np.eye(width, dtype=np.float32)
    extractor = compiled(ov.Model([head.features], graph.get_parameters()))
    features = np.concatenate([extractor(line)[0].reshape(-1, width) for line in inputs]).astype(np.float64)
    covariance = np.cov(features, rowvar=False)
    # Directions in which nothing varies get a little, so that the root can be inverted.
    covariance += 1e-4 * np.trace(covariance) / width * np.eye(width)
    return features.mean(axis=0).astype(np.float32), np.linalg.cholesky(covariance).astype(np.float32)
