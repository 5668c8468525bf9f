"""What a run of load has shown: figures for programs, a table for people."""

from __future__ import annotations

import math
import os
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.table import Table

from server.load import Plan, Tally

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class Usage:
    """What processes have taken: CPU seconds since they began, and memory now."""

    cpu_s: float
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class Failure:
    """How many failed in one way. reason: of ErrorReason."""

    code: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class LoadReport:
    """One run. Rates are per second of `seconds`, from the end of the warm-up to the last answer.

    requests_*: calls or frames; images_*: what they carried. goodput_per_s: images read within the deadline.
    send_lag_ms: how late the sender itself was; latency_ms includes it. refusal_ms: how soon calls were refused by a
    server that was too busy. server_*: None where the process was not named
    or has gone. client_cpu_cores: near 1 means that this program was the bottleneck.
    """

    kind: str
    loop: str
    seconds: float
    requests_sent: int
    requests_unsent: int
    requests_answered: int
    images_read: int
    images_failed: int
    requests_per_s: float
    images_per_s: float
    goodput_per_s: float | None
    latency_ms: Mapping[str, float] | None
    refusal_ms: Mapping[str, float] | None
    send_lag_ms: Mapping[str, float] | None
    failures: tuple[Failure, ...]
    broken_streams: tuple[Failure, ...]
    client_cpu_cores: float
    server_cpu_cores: float | None = None
    server_cpu_ms_per_image: float | None = None
    server_rss_mib: float | None = None

    def rows(self) -> Iterator[tuple[str, str]]:
        """Name and value, for people."""
        for name, value in asdict(self).items():
            if isinstance(value, dict):
                yield name, "  ".join(f"{key} {number:.1f}" for key, number in value.items())
            elif isinstance(value, tuple):
                yield from ((name, f"{each['count']} {each['code']} {each['reason']}") for each in value)
            elif value is not None:
                yield name, f"{value:.2f}" if isinstance(value, float) else str(value)


def summarize(plan: Plan, tally: Tally, client_cpu_s: float, before: Usage | None, after: Usage | None) -> LoadReport:
    """The report of one run. before, after: what the server had taken at the end of the warm-up, and at the end."""
    seconds = max(plan.duration_s, tally.last - tally.begin)
    server_cpu_s = after.cpu_s - before.cpu_s if before and after else None
    return LoadReport(
        kind=plan.kind,
        loop="closed" if plan.rate is None else "open",
        seconds=round(seconds, 3),
        requests_sent=tally.sent,
        requests_unsent=tally.unsent,
        requests_answered=len(tally.latency),
        images_read=tally.read,
        images_failed=sum(tally.failed.values()),
        requests_per_s=round(len(tally.latency) / seconds, 3),
        images_per_s=round(tally.read / seconds, 3),
        goodput_per_s=None if plan.deadline_s is None else round(tally.in_time / seconds, 3),
        latency_ms=_quantiles(tally.latency),
        refusal_ms=_quantiles(tally.refusals),
        send_lag_ms=_quantiles(tally.lag) if plan.rate is not None else None,
        failures=_failures(tally.failed),
        broken_streams=_failures(tally.broken),
        client_cpu_cores=round(client_cpu_s / seconds, 3),
        server_cpu_cores=None if server_cpu_s is None else round(server_cpu_s / seconds, 3),
        server_cpu_ms_per_image=round(1e3 * server_cpu_s / tally.read, 3) if server_cpu_s and tally.read else None,
        server_rss_mib=round(after.rss_bytes / 2**20, 1) if after else None,
    )


def table(report: LoadReport) -> Table:
    """The report for people."""
    made = Table(show_header=False)
    for name, value in report.rows():
        made.add_row(name.replace("_", " "), value)
    return made


def usage(pid: int) -> Usage | None:
    """Of a process of this machine and those that it has started; None when it is not there. Linux only."""
    family = usages(pid).values()
    if not family:
        return None
    return Usage(sum(each.cpu_s for each in family), sum(each.rss_bytes for each in family))


def usages(pid: int) -> Mapping[int, Usage]:
    """Of each of them, by pid, those that were there first first."""
    running = dict(_processes())
    family = {pid} & running.keys()
    while children := {child for child, stat in running.items() if stat.parent in family} - family:
        family |= children
    return {each: Usage(running[each].cpu_s, running[each].rss_bytes) for each in sorted(family)}


@dataclass(frozen=True, slots=True)
class _Process:
    parent: int
    cpu_s: float
    rss_bytes: int


def _processes() -> Iterator[tuple[int, _Process]]:
    """All of this machine, by pid."""
    tick_s, page_bytes = 1 / os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name, which is in parentheses and may have spaces: proc(5) counts these fields from 3.
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        cpu_s = tick_s * (int(fields[11]) + int(fields[12]))
        yield int(path.parent.name), _Process(int(fields[1]), cpu_s, page_bytes * int(fields[21]))


def _quantiles(seconds: array[float]) -> dict[str, float] | None:
    """Milliseconds: the least value that so many do not exceed, the largest, and the mean."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    found = {name: ordered[math.ceil(share * len(ordered)) - 1] for name, share in _QUANTILES.items()}
    found |= {"max": ordered[-1], "mean": sum(ordered) / len(ordered)}
    return {name: round(1e3 * value, 3) for name, value in found.items()}


def _failures(counted: Counter[tuple[str, str]]) -> tuple[Failure, ...]:
    return tuple(Failure(code, reason, count) for (code, reason), count in counted.most_common())
