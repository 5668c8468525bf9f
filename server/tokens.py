"""Tokens: who may call, and how much at once. Read from a TOML file, again whenever it changes."""

from __future__ import annotations

import hashlib
import hmac
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from server.errors import CallForbidden, ClientLimitReached, SettingsInvalid, TokenInvalid
from server.file_watch import FileWatch

_RETRY_BUSY_S = 0.5
_INDEX_BYTES = 8

_log = structlog.get_logger(__name__)


class TokenEntry(BaseModel):
    """One table of the token file; its title is the name of the client. None: no limit.

    sha256: of the token, in hexadecimal. max_calls, max_streams: unary calls and streams at once. calls_per_second:
    unary calls and streams begun; as many may come at once after a pause. admin: may call more than OcrService.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    max_calls: int | None = Field(None, ge=1)
    max_streams: int | None = Field(None, ge=0)
    calls_per_second: float | None = Field(None, gt=0, allow_inf_nan=False)
    admin: bool = False


_FILE = TypeAdapter(dict[str, TokenEntry])


class Client:
    """The holder of one token, and what it uses now. Used in the event loop's thread only."""

    def __init__(self, name: str, entry: TokenEntry) -> None:
        self.name = name
        self._calls = 0
        self._streams = 0
        self.set_entry(entry)
        self._left = self._burst
        self._filled_at = time.monotonic()

    def set_entry(self, entry: TokenEntry) -> None:
        """New token, new limits; what is used now stays used."""
        self._entry = entry
        self.digest = bytes.fromhex(entry.sha256)
        # Size of the token bucket: a second's worth of calls, at least one.
        self._burst = max(1.0, entry.calls_per_second or 1.0)

    @property
    def is_admin(self) -> bool:
        """Whether it may call more than OcrService."""
        return self._entry.admin

    def check(self, *, is_stream: bool, is_admin: bool) -> None:
        """Whether a call may begin; it counts for the rate. Raises CallForbidden or ClientLimitReached."""
        if is_admin and not self._entry.admin:
            raise CallForbidden(f"the token of {self.name} is not an admin's")
        self._check_room(is_stream)
        self._take_token()

    @contextmanager
    def running(self, *, is_stream: bool) -> Iterator[None]:
        """A call from its beginning to its end. Raises as check() does."""
        self._check_room(is_stream)
        self._count(is_stream, 1)
        try:
            yield
        finally:
            self._count(is_stream, -1)

    def _check_room(self, is_stream: bool) -> None:
        now, most = (self._streams, self._entry.max_streams) if is_stream else (self._calls, self._entry.max_calls)
        if most == 0:
            raise CallForbidden(f"{self.name} may not begin streams")
        if most is not None and now >= most:
            kind = "streams" if is_stream else "calls"
            raise ClientLimitReached(f"{self.name} has {now} {kind} at once, at most {most} are allowed", _RETRY_BUSY_S)

    def _count(self, is_stream: bool, change: int) -> None:
        if is_stream:
            self._streams += change
        else:
            self._calls += change

    def _take_token(self) -> None:
        rate = self._entry.calls_per_second
        if rate is None:
            return
        now = time.monotonic()
        self._left = min(self._burst, self._left + rate * (now - self._filled_at))
        self._filled_at = now
        if self._left < 1:
            wait_s = (1 - self._left) / rate
            raise ClientLimitReached(f"{self.name} may begin {rate:g} calls per second", wait_s)
        self._left -= 1


class Tokens:
    """The clients of a token file. Raises SettingsInvalid when it cannot be read at the beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._watch = FileWatch([path])
        self._clients: dict[str, Client] = {}
        self._by_index = self._load()

    @property
    def has_admin(self) -> bool:
        """Whether there is an admin's token."""
        return any(client.is_admin for client in self._clients.values())

    def client(self, token: str) -> Client:
        """Whose token it is. Raises TokenInvalid.

        The first bytes of the hash find the entry, all of them are compared in constant time. Guessing byte by byte
        from the time of an answer would need tokens of chosen hashes.
        """
        if self._watch.has_changed():
            self._reload()
        digest = hashlib.sha256(token.encode()).digest()
        client = self._by_index.get(digest[:_INDEX_BYTES])
        if client is None or not hmac.compare_digest(client.digest, digest):
            raise TokenInvalid("the token is not known")
        return client

    def _reload(self) -> None:
        """A file that cannot be read changes nothing: nobody is locked out, or let in, by a slip of the pen."""
        try:
            self._by_index = self._load()
        except SettingsInvalid as error:
            _log.error("tokens_unusable", error=str(error))
        else:
            _log.info("tokens_loaded", path=str(self._path), clients=len(self._by_index))

    def _load(self) -> dict[bytes, Client]:
        entries = _read(self._path)
        self._clients = {name: self._clients.get(name) or Client(name, entry) for name, entry in entries.items()}
        for name, client in self._clients.items():
            client.set_entry(entries[name])
        return {client.digest[:_INDEX_BYTES]: client for client in self._clients.values()}


def _read(path: Path) -> Mapping[str, TokenEntry]:
    try:
        entries = _FILE.validate_python(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise SettingsInvalid(f"the token file cannot be read: {error}") from None
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        raise SettingsInvalid(f"{path}: {'; '.join(problems)}") from None
    except ValueError as error:
        raise SettingsInvalid(f"{path}: {error}") from None
    if len({entry.sha256 for entry in entries.values()}) < len(entries):
        raise SettingsInvalid(f"{path}: two clients have one token")
    return entries
