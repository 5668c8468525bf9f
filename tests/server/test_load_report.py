"""Figures of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from array import array
from collections import Counter

import glyphwire
import pytest

from server.load import Plan, Tally
from server.load_report import Failure, Usage, summarize, usage, usages

PLAN = Plan("unary", [b"a"], glyphwire.RecognizeOptions(), duration_s=10.0)


def report(plan: Plan = PLAN, *, usages: tuple[Usage | None, Usage | None] = (None, None), **counted):
    """Of a run of ten seconds that began at 100."""
    return summarize(plan, Tally(**({"begin": 100.0, "end": 110.0, "last": 109.0} | counted)), 5.0, *usages)


def test_percentiles_are_values_that_were_measured():
    """Of the latencies 1 to 100 ms, in any order, the percentile p is p ms."""
    latency = array("d", [((37 * number) % 100 + 1) / 1e3 for number in range(100)])
    found = report(latency=latency).latency_ms
    assert found == {"p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100, "mean": 50.5}
    assert report(latency=array("d", [0.25])).latency_ms["p50"] == 250


def test_a_run_without_answers_has_no_latency():
    """Where nothing was answered there are no percentiles, and the rates are zero."""
    found = report(sent=3, failed=Counter({("UNAVAILABLE", "QUEUE_FULL"): 3}))
    assert found.latency_ms is None
    assert (found.requests_per_s, found.images_per_s, found.images_failed) == (0, 0, 3)
    assert found.failures == (Failure("UNAVAILABLE", "QUEUE_FULL", 3),)


@pytest.mark.parametrize(("last", "seconds"), [(104.0, 10.0), (112.5, 12.5)])
def test_rates_count_the_time_until_the_last_answer(last, seconds):
    """A run lasts as long as was planned, and longer when answers came after that."""
    found = report(last=last, read=50, latency=array("d", [0.1] * 25))
    assert (found.seconds, found.images_per_s, found.requests_per_s) == (seconds, 50 / seconds, 25 / seconds)


def test_goodput_needs_a_deadline():
    """Images that were read in time, per second; without a deadline there is no such figure."""
    assert report(read=20, in_time=10).goodput_per_s is None
    with_deadline = Plan("unary", [b"a"], glyphwire.RecognizeOptions(), duration_s=10.0, deadline_s=0.1)
    assert report(with_deadline, read=20, in_time=10).goodput_per_s == 1


def test_the_servers_share_is_what_it_took_in_between():
    """CPU is that from the end of the warm-up on; a server that has gone has no figures."""
    found = report(usages=(Usage(3.0, 2**20), Usage(8.0, 2**21)), read=100)
    assert (found.server_cpu_cores, found.server_cpu_ms_per_image, found.server_rss_mib) == (0.5, 50, 2)
    gone = report(usages=(Usage(3.0, 2**20), None), read=100)
    assert (gone.server_cpu_cores, gone.server_cpu_ms_per_image, gone.server_rss_mib) == (None, None, None)
    assert gone.client_cpu_cores == 0.5


def test_rows_leave_out_what_was_not_measured():
    """The table has the figures that there are, each failure in a row of its own."""
    failed = Counter({("INTERNAL", "INTERNAL"): 1, ("UNAVAILABLE", "DRAINING"): 2})
    rows = list(report(failed=failed).rows())
    assert [value for name, value in rows if name == "failures"] == ["2 UNAVAILABLE DRAINING", "1 INTERNAL INTERNAL"]
    assert not {"server_rss_mib", "goodput_per_s", "send_lag_ms"} & {name for name, _ in rows}


def test_usage_includes_the_processes_that_were_started():
    """Memory and CPU of a process are those of all below it; a process that is not there has none."""
    own = usages(os.getpid())[os.getpid()]
    code = "x = bytearray(64 * 2**20); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        each = usages(os.getpid())
        both, below = usage(os.getpid()), usage(child.pid)
        child.communicate(b"\n")
    assert below.rss_bytes > 64 * 2**20
    assert both.rss_bytes > below.rss_bytes
    assert each[child.pid].rss_bytes > 64 * 2**20
    assert both.cpu_s >= each[os.getpid()].cpu_s >= own.cpu_s > 0
    assert usage(child.pid) is None
