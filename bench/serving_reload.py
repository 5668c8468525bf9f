"""Does anybody notice when models are replaced under load?

Starts a server of its own on a copy of the models folder. While eight callers read lines at all times, the recogniser's
manifest is changed and ReloadModels called, again and again. No call may fail. Takes a minute.

Run: python -m bench.serving_reload [--reloads 50] [--images DIR] [--json]
Exit status 1: a failed call, or a reload after which a model is not ready.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import glyphwire

from bench.serving_children import Child, add_images, glyphwire_child, line_crops, line_plan
from bench.tables import markdown
from ocr_core.bundle import MANIFEST, Kind, Registry
from server.load import Load
from server.settings import load_settings

_TOKEN = "bench"  # noqa: S105 - of a server on this machine that lives for a minute
_CONCURRENCY = 8
_QUIET_S = 4.0
_LONG_S = 600.0


def main() -> int:
    """Returns 1 when somebody noticed."""
    flags = _flags()
    settings = load_settings(Namespace())
    with tempfile.TemporaryDirectory(prefix="glyphwire-") as scratch:
        models = Path(scratch) / "models"
        shutil.copytree(settings.models_dir, models)
        registry = Registry(models)
        manifest = registry.folder(registry.find(settings.default_model, Kind.RECOGNIZER)) / MANIFEST
        tokens = Path(scratch) / "tokens.toml"
        tokens.write_text(f'[bench]\nsha256 = "{hashlib.sha256(_TOKEN.encode()).hexdigest()}"\nadmin = true\n')
        with glyphwire_child(f"--models-dir={models}", f"--token-file={tokens}", token=_TOKEN) as child:
            figures, problems = asyncio.run(_measure(child, manifest, line_crops(flags), flags.reloads))
    print(json.dumps({**figures, "problems": problems}) if flags.json else _report(figures, problems))
    return int(bool(problems))


async def _measure(
    child: Child, manifest: Path, images: Sequence[bytes], reloads: int
) -> tuple[Mapping[str, float], Sequence[str]]:
    async with glyphwire.AsyncOcrClient(child.target, max_attempts=1, token=_TOKEN) as client:
        quiet = await Load([client], line_plan("unary", images, _QUIET_S, _CONCURRENCY, warmup_s=1.0)).run()
        before = child.usage().rss_bytes
        load = Load([client], line_plan("unary", images, _LONG_S, _CONCURRENCY))
        running = asyncio.create_task(load.run())
        taken_s: list[float] = []
        problems: list[str] = []
        for part in (reloads // 2, reloads - reloads // 2):
            half = child.usage().rss_bytes
            more_s, more = await asyncio.to_thread(_reload, child.target, manifest, part)
            taken_s += more_s
            problems += more
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    tally = load.tally
    problems += [f"{count} calls: {code} {reason}" for (code, reason), count in tally.failed.items()]
    latency, alone = sorted(tally.latency), sorted(quiet.latency)
    return {
        "reloads": len(taken_s),
        "median_reload_ms": 1e3 * median(taken_s),
        "longest_reload_ms": 1e3 * max(taken_s),
        "calls": len(latency),
        "failed": sum(tally.failed.values()),
        "p99_ms": 1e3 * latency[99 * len(latency) // 100],
        "p99_without_ms": 1e3 * alone[99 * len(alone) // 100],
        "rss_before_mib": before / 2**20,
        "rss_half_way_mib": half / 2**20,
        "rss_after_mib": child.usage().rss_bytes / 2**20,
    }, problems


def _reload(target: str, manifest: Path, reloads: int) -> tuple[list[float], list[str]]:
    """In a thread. Seconds of each reload, and what was wrong."""
    taken_s: list[float] = []
    problems: list[str] = []
    with glyphwire.AdminClient(target, token=_TOKEN) as admin:
        for _ in range(reloads):
            # White space makes another bundle of it, at once: the server may read it at any moment.
            changed = manifest.with_suffix(".new")
            changed.write_text(manifest.read_text(encoding="utf-8") + "\n", encoding="utf-8")
            changed.replace(manifest)
            started = time.perf_counter()
            states = admin.reload_models()
            taken_s.append(time.perf_counter() - started)
            problems += [f"{model.name}: {model.reason}" for model in states if model.reason]
    return taken_s, problems


def _report(figures: Mapping[str, float], problems: Sequence[str]) -> str:
    header = [name.replace("_", " ") for name in figures]
    return "\n".join([markdown(header, [[f"{value:.0f}" for value in figures.values()]]), *problems[:5]])


def _flags() -> Namespace:
    parser = ArgumentParser(
        "python -m bench.serving_reload", description=__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("--reloads", type=int, default=50, metavar="N", help="[50]")
    parser.add_argument("--json", action="store_true")
    add_images(parser)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
