"""Lines of the architecture that import-linter cannot check."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OURS = ("ocr_core", "server", "ext", "training", "gateway", "client/python/glyphwire")
SOURCES = (".py", ".pyi", ".pyx", ".pxd", ".pxi")
GENERATED = {ROOT / "client/python/glyphwire/v1", ROOT / "server/stubs"}
MAX_LINES = 400

ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb"}
THREADS_UNDER_ASYNCIO = {
    "run_in_executor",
    "to_thread",
    "ThreadPoolExecutor",
    "ProcessPoolExecutor",
    "wrap_future",
    "call_soon_threadsafe",
    "run_coroutine_threadsafe",
}
HOMELESS = {"util", "utils", "common", "helper", "helpers", "misc"}


def test_only_the_engine_imports_openvino() -> None:
    """Only ocr_core/engine.py imports openvino, apart from what changes graphs in training/compress."""
    importers = {path for path, names in names_by_file(*OURS) if any(is_within(name, "openvino") for name in names)}
    assert {path for path in importers if not path.startswith("training/compress/")} <= {"ocr_core/engine.py"}


def test_the_environment_is_read_in_one_place() -> None:
    """Only server/environment.py reads the environment."""
    readers = {path for path, names in names_by_file(*OURS) if names & ENVIRONMENT}
    assert readers <= {"server/environment.py"}


def test_threads_meet_asyncio_only_in_the_batcher() -> None:
    """In the server, thread pools are used in batcher.py alone, apart from the command line."""
    users = {path for path, names in names_by_file("server") if last_parts(names) & THREADS_UNDER_ASYNCIO}
    assert {path for path in users if not path.startswith("server/cli")} <= {"server/batcher.py"}


def test_files_are_short() -> None:
    """No file of ours has more than 400 lines."""
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files(*OURS)}
    assert {str(path.relative_to(ROOT)): count for path, count in lengths.items() if count > MAX_LINES} == {}


def test_every_module_is_named_for_its_noun() -> None:
    """No module or package is called utils, common, helpers or misc."""
    modules = (path.relative_to(ROOT) for path in files(*OURS, "tests", "bench"))
    assert [
        str(module) for module in modules if HOMELESS & {part.strip("_") for part in module.with_suffix("").parts}
    ] == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import openvino", "openvino"),
        ("import openvino.runtime as runtime", "openvino.runtime"),
        ("def load():\n    from openvino import Core", "openvino.Core"),
        ("import os\nos.environ['HOME']", "os.environ"),
        ("from os import getenv as read\nread('HOME')", "os.getenv"),
        ("import os as system\nsystem.environ.get('HOME')", "os.environ"),
        ("import asyncio\nasyncio.get_running_loop().run_in_executor(None, print)", "run_in_executor"),
    ],
)
def test_names_are_seen_however_they_are_spelled(source: str, name: str) -> None:
    """The scan sees a name behind import, from-import, alias and call."""
    assert name in names_in(source)


def names_by_file(*folders: str) -> Iterator[tuple[str, set[str]]]:
    """Path from the root, and every name used, for each Python file under the folders."""
    for path in files(*folders):
        if path.suffix == ".py":
            yield path.relative_to(ROOT).as_posix(), names_in(path.read_text(encoding="utf-8"))


def files(*folders: str) -> list[Path]:
    """Source files under the folders, without generated ones."""
    found = (path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in SOURCES)
    return [path for path in found if GENERATED.isdisjoint(path.parents)]


def names_in(source: str) -> set[str]:
    """Imported names in full, and attributes: in full when they belong to an imported name, else alone."""
    nodes = list(ast.walk(ast.parse(source)))
    origin: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            origin |= {alias.asname or alias.name: alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            origin |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    attributes = [node for node in nodes if isinstance(node, ast.Attribute)]
    owned = {f"{origin.get(node.value.id)}.{node.attr}" for node in attributes if isinstance(node.value, ast.Name)}
    return set(origin.values()) | owned | {node.attr for node in attributes}


def last_parts(names: set[str]) -> set[str]:
    """The part of each name after its last dot."""
    return {name.rpartition(".")[2] for name in names}


def is_within(name: str, package: str) -> bool:
    """Whether a dotted name is the package or in it."""
    return name == package or name.startswith(f"{package}.")
