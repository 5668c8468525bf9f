"""Threads that share the lines of a call: the same results, and no trouble when nobody is there to help."""

import importlib
import os
import threading
from contextlib import suppress

import numpy as np
import pytest

from tests.ext.ctc_cases import DEFAULTS, automaton, hypotheses, softmax_matrix

LINES = [softmax_matrix(seed, 1 + seed % 6, 12, sharpness=2.0) for seed in range(40)]
SEARCH = {**DEFAULTS, "n_best": 2, "alternatives": 1}


@pytest.mark.parametrize("threads", [2, 1000])
@pytest.mark.parametrize("count", [1, 2, 33, 40])
def test_threads_change_no_result(ctc, count, threads):
    """However many threads share the lines, every array is that of one thread."""
    lines = LINES[:count]
    for one, several in (
        (ctc.prefix_beam_search(lines, 0, **SEARCH), ctc.prefix_beam_search(lines, 0, **SEARCH, threads=threads)),
        (ctc.best_path(lines, 0), ctc.best_path(lines, 0, threads=threads)),
    ):
        for expected, found in zip(one, several, strict=True):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


def test_lines_without_hypotheses(ctc):
    """Lines of which none has a hypothesis are shared as others are."""
    nothing_fits = automaton(range(12), {}, [0.0])
    found = ctc.prefix_beam_search(LINES, 0, **DEFAULTS, automata=[nothing_fits], threads=2)
    assert hypotheses(found) == [[]] * len(LINES)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not tell")
def test_helpers_leave_a_processor_to_their_caller():
    """Those who help may run on all processors of their caller but one."""
    allowed = os.sched_getaffinity(0)
    if len(allowed) < 2:
        pytest.skip("there is one processor")
    compiled = importlib.import_module("ext.ctc")
    compiled.best_path(LINES, 0, threads=2)
    places = []
    for thread in os.listdir("/proc/self/task"):
        with suppress(ProcessLookupError):  # one that an earlier test has joined may be ending
            places.append(os.sched_getaffinity(int(thread)))
    assert any(place < allowed and len(place) == len(allowed) - 1 for place in places)


@pytest.mark.parametrize("threads", [0, -1])
def test_a_call_needs_a_thread(ctc, threads):
    """Fewer than one thread are refused."""
    with pytest.raises(ValueError, match="threads is"):
        ctc.best_path(LINES, 0, threads=threads)
    with pytest.raises(ValueError, match="threads is"):
        ctc.prefix_beam_search(LINES, 0, **DEFAULTS, threads=threads)


def test_calls_that_want_help_at_once(ctc):
    """Calls from several threads, each of which asks for more, do not disturb one another."""
    expected = hypotheses(ctc.prefix_beam_search(LINES[:8], 0, **SEARCH))
    found = [[] for _ in range(4)]

    def decode(i):
        for _ in range(5):
            found[i].append(hypotheses(ctc.prefix_beam_search(LINES[:8], 0, **SEARCH, threads=2)))

    callers = [threading.Thread(target=decode, args=(i,)) for i in range(len(found))]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [[expected] * 5] * len(found)


def test_a_forked_process_decodes(ctc):
    """A fork has none of the threads that helped before, and decodes with new ones."""
    expected = hypotheses(ctc.best_path(LINES, 0, threads=2))
    child = os.fork()
    if not child:
        os._exit(hypotheses(ctc.best_path(LINES, 0, threads=2)) != expected)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
