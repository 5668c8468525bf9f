"""Who is next of those who share the workers, and what work costs."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)

_EWMA_WEIGHT = 1 / 8


class FairShares(Generic[_Key]):
    """Start-time fair queueing: who has used least is next; newcomers start level with those who are there.

    credit_s: so much less than they have used counts for those who come back. Who stays below its share thus has its
    bursts served at once, and who was away for long cannot shut out the others for long.
    """

    def __init__(self, credit_s: float = 0.0) -> None:
        self._credit_s = credit_s
        self._used: dict[_Key, float] = {}
        self._level = 0.0

    def __len__(self) -> int:
        return len(self._used)

    def join(self, key: _Key) -> None:
        """Begin, or begin again, to take part."""
        self._used[key] = max(self._used.get(key, self._level), self._level - self._credit_s)

    def in_order(self, keys: Iterable[_Key]) -> list[_Key]:
        """Those that have joined, who is next first."""
        return sorted(keys, key=self._used.__getitem__)

    def start_turn(self, key: _Key) -> None:
        """It is this one's turn: who joins now starts level with it."""
        self._level = max(self._level, self._used[key])

    def charge(self, key: _Key, seconds: float) -> None:
        """Add to what a key has used; less than 0 corrects an earlier charge."""
        self._used[key] = self._used.get(key, self._level) + seconds

    def lead_s(self, key: _Key, other: _Key) -> float:
        """By how much one has used more than another."""
        return self._used[key] - self._used[other]

    def forget(self, keep: Iterable[_Key]) -> None:
        """Drop those who have no debt, but for those to keep; they come back as newcomers."""
        kept = set(keep)
        self._used = {key: used for key, used in self._used.items() if used > self._level or key in kept}


class Costs:
    """Running means of seconds of one worker, by kind of work. unknown_s: of kinds that were not measured yet."""

    def __init__(self, unknown_s: float) -> None:
        self._unknown_s = unknown_s
        self._seconds: dict[Hashable, float] = {}

    def of(self, kind: Hashable) -> float:
        """What one piece of work of this kind is likely to take."""
        return self._seconds.get(kind, self._unknown_s)

    def learn(self, kind: Hashable, seconds: float) -> None:
        """Take a measured time into account."""
        mean = self._seconds.setdefault(kind, seconds)
        self._seconds[kind] = mean + _EWMA_WEIGHT * (seconds - mean)
