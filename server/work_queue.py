"""Which waiting work runs next: the policy alone, without threads, futures or clocks. See docs/scheduling.md."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import islice
from operator import attrgetter

from server.fair_shares import Costs, FairShares
from server.request import Priority, Request, Stage, Work

SHARES = {Priority.INTERACTIVE: 0.9, Priority.BULK: 0.1}
"""Of the workers' time, when both have enough to do."""

_CREDIT_S = 0.2
"""Worker time by which a client that stays below its share may be ahead of the others when it comes back."""

_ALONE_S = 1.0
"""Who has taken every turn for so long is alone with the workers."""

_HURRY = 0.1
"""Of the time that is left to a line, what its batch may take."""

_ROUND = 16
"""Turns after which newcomers of a lane line up behind those who have had one."""

_place = attrgetter("place")


class _Lane:
    """The waiting requests of one client and priority, each list by round, deadline and arrival.

    cost_s: estimated worker time of all of them. lines_s: of those whose lines wait.
    """

    def __init__(self) -> None:
        self.cost_s = 0.0
        self.lines_s = 0.0
        self._round = 0
        self._turns = 0
        self._waiting: dict[Stage, list[Request]] = {stage: [] for stage in Stage}

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def __iter__(self) -> Iterator[Request]:
        for waiting in self._waiting.values():
            yield from waiting

    def at(self, stage: Stage) -> Sequence[Request]:
        """Requests that wait for this, who is next first."""
        return self._waiting[stage]

    def add(self, request: Request, *, had_turn: bool = False) -> None:
        request.place = (self._round + had_turn, request.deadline, request.number)
        insort(self._waiting[request.stage], request, key=_place)
        self._count(request, 1)

    def remove(self, request: Request) -> None:
        waiting = self._waiting[request.stage]
        del waiting[bisect_left(waiting, _place(request), key=_place)]
        request.place = None
        self._count(request, -1)

    def start_turn(self, request: Request) -> None:
        """Count a turn of a request that waits."""
        (turn, _, _) = _place(request)
        self._round, self._turns = (self._round, self._turns + 1) if turn <= self._round else (turn, 1)
        if self._turns == _ROUND:
            self._round, self._turns = self._round + 1, 0

    def head(self, stages: Iterable[Stage], ahead_s: float) -> Request | None:
        """Who is next of those that wait for these. A page waits while more lines do than that, unless it is urgent."""
        heads = [waiting[0] for stage in stages if (waiting := self._waiting[stage])]
        lines = self._waiting[Stage.LINES]
        if lines and self.lines_s > ahead_s:
            heads = [head for head in heads if head.stage is not Stage.PAGE or head.deadline < lines[0].deadline]
        return min(heads, key=_place, default=None)

    def _count(self, request: Request, sign: int) -> None:
        self.cost_s += sign * request.cost_s
        if request.stage is Stage.LINES:
            # Sums of fractions drift; begin anew whenever that is known to be right.
            self.lines_s = self.lines_s + sign * request.cost_s if self._waiting[Stage.LINES] else 0.0


class _Level:
    """The lanes of one priority."""

    def __init__(self) -> None:
        self.lanes: dict[Hashable, _Lane] = {}
        self.shares: FairShares[Hashable] = FairShares(_CREDIT_S)

    def __iter__(self) -> Iterator[_Lane]:
        return (self.lanes[client] for client in self.shares.in_order(self.lanes))

    def not_ahead(self, client: Hashable, by_s: float) -> Iterator[_Lane]:
        """Of those who are ahead of this client by no more, who is next first."""
        order = self.shares.in_order(self.lanes)
        return (self.lanes[other] for other in order if self.shares.lead_s(other, client) <= by_s)

    def lane(self, client: Hashable) -> _Lane:
        """The client's lane, which joins when it is new."""
        if client not in self.lanes:
            if len(self.shares) > 2 * len(self.lanes) + 64:
                self.shares.forget(keep=self.lanes)
            self.shares.join(client)
            self.lanes[client] = _Lane()
        return self.lanes[client]


class WorkQueue:
    """Waiting images and line crops. max_bytes: of line crops; while they take as much no more images are prepared.

    max_batch_s: worker time of a batch of several lines, by estimate, when clients share the workers, as nobody can
    interrupt it.
    image_costs: of whole images, by their first stage. What is not measured yet counts nothing there, so that nobody is
    refused.
    """

    def __init__(self, max_batch_size: int, workers: int, max_bytes: int, max_batch_s: float = 0.02) -> None:
        self.image_costs = Costs(unknown_s=0.0)
        self._costs = Costs(unknown_s=0.005)
        self._max_batch_size = max_batch_size
        self._max_batch_s = max_batch_s
        self._max_pages = max(1, workers - 1)
        self._max_bytes = max_bytes
        self._workers = workers
        self._levels = {priority: _Level() for priority in Priority}
        self._priorities: FairShares[Priority] = FairShares()
        self._waiting: Counter[Stage] = Counter()
        self._lines: Counter[Hashable] = Counter()
        self._bytes = 0
        self._pages_in_work = 0
        self._in_work_s = 0.0
        self._last_client: Hashable = None
        self._alone_since = 0.0

    @property
    def images(self) -> int:
        """Images that wait to be prepared."""
        return self._waiting[Stage.PAGE] + self._waiting[Stage.LINE_IMAGE]

    @property
    def lines(self) -> int:
        """Line crops that wait to be read."""
        return self._lines.total()

    def add(self, request: Request) -> None:
        """Add an image to prepare."""
        request.cost_s = self.image_costs.of(request.job.stage)
        self._put(request)

    def add_lines(self, request: Request, keys: Sequence[Hashable], now: float) -> None:
        """Add the line crops of an image that is prepared, at least one. keys: the batch key of each."""
        request.stage = Stage.LINES
        # The costliest first: at the end of an image no worker waits long for another.
        costliest = sorted(dict.fromkeys(reversed(keys)), key=self._costs.of, reverse=True)
        request.unread = {key: [] for key in costliest}
        for number, key in reversed(list(enumerate(keys))):
            request.unread[key].append(number)
        request.cost_s = sum(self._costs.of(key) for key in keys)
        request.prepared_at = now
        self._lines.update(keys)
        self._bytes += _bytes(request)
        self._put(request)

    def remove(self, request: Request) -> None:
        """Take a request out, if it is in."""
        if request.place is None:
            return
        self._pull(request)
        if request.stage is Stage.LINES:
            self._bytes -= _bytes(request)
            self._lines.subtract({key: len(numbers) for key, numbers in request.unread.items()})
            request.unread.clear()

    def take(self, now: float, free_workers: int) -> Work | None:
        """What one of the free workers is to do now, or None. Expired requests are dropped on the way.

        free_workers: 0 for work to begin with when one is free. What is taken cannot be overtaken any more, so there is
        none of clients that share the workers.
        """
        if not free_workers and not self._is_alone(now):
            return None
        while request := self._next():
            if request.is_over(now):
                self.remove(request)
                continue
            level = self._levels[request.job.priority]
            self._priorities.start_turn(request.job.priority)
            level.shares.start_turn(request.client)
            level.lanes[request.client].start_turn(request)
            if request.client != self._last_client:
                self._last_client, self._alone_since = request.client, now
            if request.stage is Stage.LINES:
                return self._take_lines(request, now, free_workers)
            if request.stage is Stage.LINE_IMAGE:
                return self._take_line_images(request, now, free_workers)
            return self._take_page(request, now)
        return None

    def finish(self, work: Work, seconds: float) -> None:
        """Learn what it cost."""
        self._pages_in_work -= work.stage is Stage.PAGE
        self._in_work_s -= work.cost_s * len(work.requests)
        share = seconds / len(work.requests)
        self._costs.learn(work.kind, share)
        for request in work.requests:
            request.spent_s += share
            self._charge(request, share - work.cost_s)

    def wait_s(self, priority: Priority, client: Hashable, deadline: float, cost_s: float) -> float:
        """How long new work that costs so much is likely to wait; work in hand is half done on average."""
        lanes = self._levels[priority].lanes
        mine = sum(request.cost_s for request in lanes.get(client, ()) if request.deadline <= deadline)
        others = sum(min(lane.cost_s, mine + cost_s) for other, lane in lanes.items() if other != client)
        if priority is Priority.BULK:
            others += sum(lane.cost_s for lane in self._levels[Priority.INTERACTIVE].lanes.values())
        return (mine + others + self._in_work_s / 2) / self._workers

    def _put(self, request: Request, *, had_turn: bool = False) -> None:
        level = self._levels[request.job.priority]
        if not level.lanes:
            self._priorities.join(request.job.priority)
        level.lane(request.client).add(request, had_turn=had_turn)
        self._waiting[request.stage] += 1

    def _pull(self, request: Request) -> None:
        lanes = self._levels[request.job.priority].lanes
        lanes[request.client].remove(request)
        self._waiting[request.stage] -= 1
        if not lanes[request.client]:
            del lanes[request.client]

    def _next(self) -> Request | None:
        stages = self._open_stages()
        # As long as a worker prepares the next page, the others have lines to read.
        ahead_s = (self._workers - 1) * self._costs.of(Stage.PAGE)
        for lane in self._lanes():
            if request := lane.head(stages, ahead_s):
                return request
        return None

    def _lanes(self) -> Iterator[_Lane]:
        """Who is next first."""
        for priority in self._priorities.in_order(priority for priority in Priority if self._levels[priority].lanes):
            yield from self._levels[priority]

    def _open_stages(self) -> tuple[Stage, ...]:
        has_room = self._bytes < self._max_bytes and self._pages_in_work < self._max_pages
        return tuple(Stage) if has_room else (Stage.LINES, Stage.LINE_IMAGE)

    def _most_at_once(self, key: Hashable, now: float, deadline: float = math.inf) -> int:
        """How many lines of a key may share a batch. deadline: of the first of them."""
        most_s = self._max_batch_s
        if self._is_alone(now):
            most_s = max(most_s, _HURRY * (deadline - now))
        return max(1, int(min(self._max_batch_size, most_s / self._costs.of(key))))

    def _is_alone(self, now: float) -> bool:
        """Whether one client has taken every turn for some time."""
        return now - self._alone_since > _ALONE_S

    def _take_page(self, request: Request, now: float) -> Work:
        work = Work(request.stage, request.stage, self._costs.of(request.stage), [], [])
        self._pages_in_work += 1
        self._add_image(work, request, now)
        return work

    def _take_line_images(self, first: Request, now: float, free_workers: int) -> Work:
        """Images of lines, who is next first; few enough that every free worker gets a share."""
        work = Work(first.stage, first.stage, self._costs.of(first.stage), [], [])
        share = -(-self._waiting[first.stage] // max(1, free_workers))
        room = min(self._most_at_once(work.kind, now, first.deadline), share)
        for request in islice(self._sharing(first, work.kind, now), room):
            self._add_image(work, request, now)
        return work

    def _add_image(self, work: Work, request: Request, now: float) -> None:
        work.requests.append(request)
        self._pull(request)
        self._charge(request, work.cost_s)
        self._in_work_s += work.cost_s
        request.started = now

    def _take_lines(self, first: Request, now: float, free_workers: int) -> Work:
        """Lines of one key; few enough that every free worker gets a share."""
        key = next(iter(first.unread))
        work = Work(first.stage, key, self._costs.of(key), [], [])
        room = min(self._most_at_once(key, now, first.deadline), -(-self.lines // max(1, free_workers)))
        for request in self._sharing(first, key, now):
            numbers = self._take_from(request, key, room - len(work.lines), now)
            self._charge(request, work.cost_s * len(numbers))
            work.requests.extend([request] * len(numbers))
            work.lines.extend(numbers)
            if len(work.lines) == room:
                break
        self._in_work_s += work.cost_s * len(work.lines)
        return work

    def _sharing(self, first: Request, kind: Hashable, now: float) -> Iterator[Request]:
        """Requests of one priority with work of this kind, from clients that are not ahead of the first's by a batch.

        Those that are would get further ahead with every turn of clients whose own work is not there yet.
        """
        yield first
        lanes = self._levels[first.job.priority].not_ahead(first.client, self._max_batch_s)
        waiting = [request for lane in lanes for request in lane.at(first.stage)]
        for request in waiting:
            if request is not first and (request.stage is kind or kind in request.unread) and not request.is_over(now):
                yield request

    def _take_from(self, request: Request, key: Hashable, room: int, now: float) -> list[int]:
        """At most so many of the request's lines; it has had its turn then."""
        self._pull(request)
        unread = request.unread[key]
        numbers = [unread.pop() for _ in range(min(room, len(unread)))]
        self._lines[key] -= len(numbers)
        if not unread:
            del request.unread[key]
        request.last_started = now
        if request.read_started is None:
            request.read_started = now
        if request.unread:
            request.cost_s = sum(self._costs.of(key) * len(numbers) for key, numbers in request.unread.items())
            self._put(request, had_turn=True)
        else:
            self._bytes -= _bytes(request)
        return numbers

    def _charge(self, request: Request, seconds: float) -> None:
        """What its share of the work is estimated to cost, or a correction of that."""
        priority = request.job.priority
        self._priorities.charge(priority, seconds / SHARES[priority])
        self._levels[priority].shares.charge(request.client, seconds)


def _bytes(request: Request) -> int:
    """Of all line crops of an image."""
    return sum(crop.nbytes for crop in request.prepared.crops)
