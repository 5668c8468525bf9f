"""Streams of rows, both backends."""

import math

import numpy as np
import pytest

from tests.ext.ctc_cases import DEFAULTS, KINDS, as_kind, automaton, matrix, only, softmax_matrix

SEARCH = {**DEFAULTS, "n_best": 3, "alternatives": 2}


def streamed(stream, chunks):
    """Readings of a stream, having asked for what it has read in between."""
    for chunk in chunks:
        stream.push(chunk)
        stream.partial()
    return only(stream.finish())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [[], [0], [13], [1, 2, 3], [5, 5, 9, 13], list(range(1, 14))])
def test_rows_bit_by_bit_read_as_all_at_once(ctc, kind, cuts):
    """However rows come, the result is the same."""
    x = as_kind(softmax_matrix(len(cuts), 14, 6, sharpness=1.5), kind)
    chunks = np.split(x, cuts)
    assert str(streamed(ctc.BestPathStream(2, kind), chunks)) == str(only(ctc.best_path(x, 2, kind=kind)))
    found = streamed(ctc.BeamStream(2, **SEARCH, kind=kind), chunks)
    assert found == only(ctc.prefix_beam_search(x, 2, **SEARCH, kind=kind))


def test_streams_take_all_options(ctc):
    """Allowed labels, automata, pruning and no alignment hold for streams too; halves as well."""
    x = softmax_matrix(1, 12, 5, sharpness=1.0).astype(np.float16)
    no_repeat = automaton([0, 1, 1, 1, 2], {(0, 1): (1, 1.0), (0, 2): (0, 2.0), (1, 2): (0, 1.0)}, [1.0, 0.5])
    options = {"classes": np.array([1, 2, 4], np.int32), "automata": [no_repeat], "prune_cum_prob": 0.9, "align": False}
    found = streamed(ctc.BeamStream(0, **DEFAULTS, n_best=4, **options), np.array_split(x, 5))
    assert found == only(ctc.prefix_beam_search(x, 0, **DEFAULTS, n_best=4, **options))
    classes = options["classes"]
    path = streamed(ctc.BestPathStream(0, classes=classes, confidences=False), np.array_split(x, 5))
    assert path == only(ctc.best_path(x, 0, classes=classes, confidences=False))


def test_partial_is_the_best_prefix_of_the_rows_so_far(ctc):
    """After any number of rows partial tells what these alone read as, and which labels all prefixes share."""
    x = softmax_matrix(2, 20, 5, sharpness=1.0)
    beam, path = ctc.BeamStream(0, 8, 10, 0.0), ctc.BestPathStream(0)
    for t, row in enumerate(x, start=1):
        beam.push(row[None])
        path.push(row[None])
        labels, stable = beam.partial()
        prefixes = [h.labels for h in only(ctc.prefix_beam_search(x[:t], 0, 8, 10, 0.0, 8))]
        assert (labels.dtype, tuple(labels.tolist())) == (np.int32, prefixes[0])
        shared = [i for i in range(len(labels) + 1) if len({prefix[:i] for prefix in prefixes}) == 1]
        assert stable == max(i for i in shared if all(len(prefix) >= i for prefix in prefixes))
        labels, stable = path.partial()
        assert tuple(labels.tolist()) == only(ctc.best_path(x[:t], 0))[0].labels
        assert stable == len(labels)


def test_stable_labels_are_not_taken_back(ctc):
    """What all prefixes of the beam share is the beginning of all that comes."""
    for seed in range(10):
        x = softmax_matrix(seed, 40, 6, sharpness=2.5)
        stream = ctc.BeamStream(0, 5, 10, 0.001)
        promised = ()
        for row in x:
            stream.push(row[None])
            labels, stable = stream.partial()
            assert tuple(labels[: len(promised)].tolist()) == promised
            promised = tuple(labels[: max(stable, len(promised))].tolist())
        assert promised
        assert only(stream.finish())[0].labels[: len(promised)] == promised


def test_a_stream_keeps_no_hold_of_the_array_it_was_given(ctc):
    """Rows may be overwritten once they have been pushed."""
    x = softmax_matrix(3, 9, 4)
    stream, buffer = ctc.BeamStream(0, **SEARCH), np.empty((3, 4), np.float32)
    for chunk in np.split(x, 3):
        buffer[:] = chunk
        stream.push(buffer)
    buffer[:] = np.nan
    assert only(stream.finish()) == only(ctc.prefix_beam_search(x, 0, **SEARCH))


def test_a_stream_without_rows_is_the_empty_line(ctc):
    """Nothing pushed is the empty labelling with probability 1, whether or not something without rows was pushed."""
    for rows in ([], [np.empty((0, 4), np.float32)]):
        for stream in (ctc.BestPathStream(0), ctc.BeamStream(0, **SEARCH)):
            for chunk in rows:
                stream.push(chunk)
            labels, stable = stream.partial()
            assert (labels.dtype, labels.tolist(), stable) == (np.int32, [], 0)
            (h,) = only(stream.finish())
            assert (h.labels, h.log_prob, h.score) == ((), 0.0, 0.0)


@pytest.mark.parametrize("bad_chunk", [0, 1, 2])
def test_a_bad_row_spoils_the_whole_stream(ctc, bad_chunk):
    """One row that is no distribution, first or last, leaves nothing."""
    chunks = np.split(softmax_matrix(4, 9, 4, sharpness=5.0), 3)
    chunks[bad_chunk][1, 1] = math.nan
    for stream in (ctc.BestPathStream(3), ctc.BeamStream(3, **SEARCH)):
        for chunk in chunks:
            stream.push(chunk)
        labels, stable = stream.partial()
        assert (labels.tolist(), stable) == ([], 0)
        (h,) = only(stream.finish())
        assert h.labels == ()
        assert math.isnan(h.log_prob)
        assert math.isnan(h.score)


def test_a_finished_stream_takes_and_tells_nothing(ctc):
    """After finish everything is a ValueError."""
    row = matrix([[0.5, 0.5]])
    for stream in (ctc.BestPathStream(0), ctc.BeamStream(0, **DEFAULTS)):
        stream.push(row)
        stream.finish()
        for act in (lambda s=stream: s.push(row), stream.partial, stream.finish):
            with pytest.raises(ValueError, match="finished"):
                act()


def test_rows_that_do_not_fit_are_refused_and_change_nothing(ctc):
    """Another number of classes, or arrays of another type, are errors; the stream goes on."""
    x = softmax_matrix(5, 4, 3)
    for stream, expected in (
        (ctc.BestPathStream(0), ctc.best_path(x, 0)),
        (ctc.BeamStream(0, **SEARCH), ctc.prefix_beam_search(x, 0, **SEARCH)),
    ):
        stream.push(x[:2])
        with pytest.raises(ValueError, match="classes"):
            stream.push(x[:2, :2])
        for other in (x.astype(np.float64), x[0], x[None]):
            with pytest.raises(TypeError):
                stream.push(other)
        stream.push(x[2:])
        assert only(stream.finish()) == only(expected)


def test_blank_must_be_one_of_the_classes(ctc):
    """Blank beyond the first rows' classes is a ValueError."""
    for stream in (ctc.BestPathStream(3), ctc.BeamStream(3, **DEFAULTS)):
        with pytest.raises(ValueError, match="blank"):
            stream.push(softmax_matrix(0, 2, 3))
