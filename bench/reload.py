"""Does replacing the model under full load lose a request, or mix two models in one?

Starts a server of its own on this machine, on a copy of the models folder. Callers read pages and lines as fast as they
can while new versions are loaded and the old ones unloaded, one after the other, through AdminService. Each version
signs every character that it reads (bench.signed_models), so that one of another version shows. No call may fail, every
text must be what it was and of the version that the answer names, a call after a change must get the new version, and
memory must not grow. Takes a minute or two; after --seconds no further version is loaded. Needs Linux's /proc.

Run: python -m bench.reload [--reloads 50] [--seconds 150] [--json]
Exit status 1: a failed call, a mixed or changed text, an old version after a change, or more growth than --max-growth.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median, quantiles

import glyphwire

from bench.signed_models import SignedModels, unsigned
from bench.tables import markdown
from server.commands_demo import ServerProcess
from server.load_report import usage
from server.readers import LOCAL_SETTINGS
from server.settings import add_flags, load_settings

_DATA = Path(__file__).resolve().parent.parent / "tests" / "data"
_LINE = glyphwire.RecognizeOptions(mode=glyphwire.Mode.LINE)
_PAGE = glyphwire.RecognizeOptions(mode=glyphwire.Mode.PAGE)
_IMAGES = dict.fromkeys(sorted(_DATA.glob("line_*")), _LINE) | {_DATA / "page_small.jpg": _PAGE}
_CALLERS = 4
TOKEN = "the operator's"  # noqa: S105 - of a server that lives for a minute
_QUIET_S = 5.0
_TIMEOUT_S = 15.0
_POLL_S = 0.02
_LIMIT_S = 15
"""Beyond --seconds, for start, quiet time and the last version."""

Texts = Mapping[Path, str]
"""What each image says, without signs."""


@dataclass(frozen=True, slots=True)
class Call:
    """When it began, how long it took, and what was wrong with it, if anything was."""

    began: float
    ms: float
    problem: str


@dataclass(frozen=True, slots=True)
class Phase:
    """Calls of all callers that began during a time."""

    name: str
    seconds: float
    calls: int
    wrong: int
    median_ms: float
    p99_ms: float


@dataclass(slots=True)
class Changes:
    """What came of the changes. seconds: until each version was loaded; resident_mb: after each change."""

    seconds: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def growth_percent(self) -> float:
        """Of resident memory, from the first to the last fifth of the changes."""
        part = max(1, len(self.resident_mb) // 5)
        return 100 * (median(self.resident_mb[-part:]) / median(self.resident_mb[:part]) - 1)


class Caller(threading.Thread):
    """Reads the images in turn until it is left."""

    def __init__(self, address: str, texts: Texts, first: int) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._texts = texts
        self._paths = [*_IMAGES][first % len(_IMAGES) :] + [*_IMAGES][: first % len(_IMAGES)]
        self._is_left = threading.Event()
        self.calls: list[Call] = []

    def __enter__(self) -> Caller:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_left.set()
        self.join()

    def run(self) -> None:
        """Runs in the thread."""
        with open_client(self._address) as client:
            while not self._is_left.is_set():
                path = self._paths[len(self.calls) % len(self._paths)]
                began = time.monotonic()
                problem = check(client, path, self._texts)
                self.calls.append(Call(began, 1e3 * (time.monotonic() - began), problem))


def open_client(address: str) -> glyphwire.OcrClient:
    """That does not try again: another attempt would hide a failure."""
    return glyphwire.OcrClient(address, token=TOKEN, timeout_s=_TIMEOUT_S, max_attempts=1)


def check(client: glyphwire.OcrClient, path: Path, texts: Texts) -> str:
    """Read an image. Returns what was wrong, or nothing."""
    try:
        read = client.recognize(path, _IMAGES[path])
        text = unsigned(read.text, read.model_version)
    except (glyphwire.OcrError, ValueError) as error:
        return f"{path.name}: {error}"
    return "" if text == texts[path] else f"{path.name}: {text!r}, was {texts[path]!r}"


def read_all(client: glyphwire.OcrClient) -> Texts:
    """What each image says. Raises OcrError, or ValueError for a text with foreign signs."""
    reads = {path: client.recognize(path, options) for path, options in _IMAGES.items()}
    return {path: unsigned(read.text, read.model_version) for path, read in reads.items()}


def put_token(folder: Path) -> Path:
    """A token file with an admin."""
    path = folder / "tokens.toml"
    sha256 = hashlib.sha256(TOKEN.encode()).hexdigest()
    path.write_text(f'[operator]\nsha256 = "{sha256}"\nadmin = true\n', encoding="utf-8")
    return path


def replace_model(admin: glyphwire.AdminClient, models: SignedModels, version: int) -> float:
    """Load a version and unload the one before, wait until that is freed. Returns the seconds until it was loaded."""
    models.add(version)
    began = time.monotonic()
    admin.load_model(models.name)
    seconds = time.monotonic() - began
    admin.unload_model(f"{models.name}/{version - 1}")
    models.remove(version - 1)
    while len(admin.list_model_states()) > 1:
        time.sleep(_POLL_S)
    return seconds


def measure(server: ServerProcess, models: SignedModels, count: int, ends: float) -> tuple[list[Phase], Changes]:
    """Read for some seconds in quiet, then while versions are replaced: `count` times, or until it is `ends`."""
    with open_client(server.target) as client:
        server.wait_ready(client)
        texts = read_all(client)
        with ExitStack() as stack:
            callers = [stack.enter_context(Caller(server.target, texts, first)) for first in range(_CALLERS)]
            marks = [time.monotonic()]
            time.sleep(_QUIET_S)
            marks.append(time.monotonic())
            changes = _replace_again_and_again(server, models, client, count, ends)
            marks.append(time.monotonic())
    calls = [call for caller in callers for call in caller.calls]
    changes.problems += [call.problem for call in calls if call.problem]
    return [_phase(name, calls, *marks[i : i + 2]) for i, name in enumerate(("quiet", "reloading"))], changes


def main() -> int:
    """Returns 1 when something was lost or mixed, or memory grew."""
    flags = _flags()
    signal.signal(signal.SIGALRM, _stop_late)
    signal.alarm(round(flags.seconds) + _LIMIT_S)
    ends = time.monotonic() + flags.seconds
    settings = load_settings(flags)
    with tempfile.TemporaryDirectory(prefix="glyphwire-") as scratch:
        models = SignedModels(Path(scratch) / "models", settings.models_dir, settings.default_model)
        models.add(1)
        changed = settings.model_copy(update={"models_dir": models.folder, "default_model": models.name})
        with ServerProcess(changed, flags=[f"--token-file={put_token(Path(scratch))}"]) as server:
            phases, changes = measure(server, models, flags.reloads, ends)
    signal.alarm(0)
    if flags.json:
        print(json.dumps({"phases": [asdict(phase) for phase in phases], "changes": asdict(changes)}))
    else:
        print(_report(phases, changes))
    well = not changes.problems and changes.growth_percent <= flags.max_growth
    return int(not well or server.status != 0)


def _replace_again_and_again(
    server: ServerProcess, models: SignedModels, client: glyphwire.OcrClient, count: int, ends: float
) -> Changes:
    changes = Changes()
    with glyphwire.AdminClient(server.target, token=TOKEN) as admin:
        for version in range(2, count + 2):
            changes.seconds.append(replace_model(admin, models, version))
            changes.resident_mb.append(_resident_mb(server.pid))
            found = client.recognize(next(iter(_IMAGES)), _LINE).model_version
            if found != str(version):
                changes.problems.append(f"after version {version} was loaded, a call got version {found}")
            if time.monotonic() > ends:
                break
    return changes


def _phase(name: str, calls: Sequence[Call], begins: float, ends: float) -> Phase:
    during = [call for call in calls if begins <= call.began < ends]
    ms = quantiles([call.ms for call in during], n=100)
    return Phase(name, ends - begins, len(during), sum(bool(call.problem) for call in during), ms[49], ms[98])


def _report(phases: Sequence[Phase], changes: Changes) -> str:
    header = ("phase", "seconds", "calls", "failed or mixed", "median, ms", "p99, ms")
    rows = [
        (phase.name, f"{phase.seconds:.1f}", phase.calls, phase.wrong, f"{phase.median_ms:.0f}", f"{phase.p99_ms:.0f}")
        for phase in phases
    ]
    loads, resident = changes.seconds, changes.resident_mb
    summary = [
        f"{len(loads)} versions, {median(loads):.2f} s each until they were found, {max(loads):.2f} s at most.",
        f"Memory after the first {resident[0]:.0f} MB, after the last {resident[-1]:.0f} MB, "
        f"{max(resident):.0f} MB at most; growth {changes.growth_percent:.1f} %.",
    ]
    return "\n".join([markdown(header, rows), "", *summary, *changes.problems[:5]])


def _resident_mb(pid: int) -> float:
    """Of a server and the process that reads for it."""
    taken = usage(pid)
    assert taken, "the server has ended"
    return taken.rss_bytes / 1e6


def _stop_late(*_: object) -> None:
    raise TimeoutError("not done in time")


def _flags() -> Namespace:
    parser = ArgumentParser("python -m bench.reload", description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--reloads", type=int, default=50, metavar="N", help="versions to load [50]")
    parser.add_argument("--seconds", type=float, default=150.0, help="no version is begun after that [150]")
    parser.add_argument("--max-growth", type=float, default=10.0, metavar="PERCENT", help="[10]")
    parser.add_argument("--json", action="store_true")
    add_flags(parser, LOCAL_SETTINGS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
