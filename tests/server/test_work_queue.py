"""Which work runs next. Time is an argument, so nothing here waits."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ocr_core.types import Mode
from server.request import Priority, Stage, Work
from server.work_queue import WorkQueue
from tests.server.queue_simulation import LATER, Simulation, prepared, request

INTERACTIVE, BULK, PAGE = Priority.INTERACTIVE, Priority.BULK, Mode.PAGE


@pytest.fixture
def queue() -> WorkQueue:
    """Batches of up to 3 lines, two workers."""
    return WorkQueue(max_batch_size=3, workers=2, max_bytes=10**9)


@pytest.fixture
def single() -> WorkQueue:
    """Lines one by one, two workers."""
    return WorkQueue(max_batch_size=1, workers=2, max_bytes=10**9)


def taken(queue: WorkQueue, now: float = 0.0) -> list:
    """Everything the queue gives, in its order: the requests of each piece of work."""
    return [work.requests for work in iter(lambda: queue.take(now, 1), None)]


def test_an_empty_queue_has_no_work(queue):
    """An empty queue gives None."""
    assert queue.take(0.0, 1) is None


def test_a_batch_has_one_key_and_a_limited_size(queue):
    """Lines share a batch with those of their key alone, whoever sent them, at most max_batch_size of them."""
    a = prepared(queue, request("a", deadline=5.0), ["wide", "narrow", "wide"])
    b = prepared(queue, request("b", deadline=4.0), ["wide", "wide"])
    works = list(iter(lambda: queue.take(0.0, 1), None))
    assert [(work.kind, sorted(zip(map(id, work.requests), work.lines, strict=True))) for work in works] == [
        ("wide", sorted([(id(a), 0), (id(a), 2), (id(b), 0)])),
        ("wide", [(id(b), 1)]),
        ("narrow", [(id(a), 1)]),
    ]


@pytest.mark.parametrize(
    ("ahead_s", "priority", "lines"), [(2.9, INTERACTIVE, 3), (3.1, INTERACTIVE, 1), (2.9, BULK, 1)]
)
def test_who_is_far_ahead_shares_no_batch_of_others(ahead_s, priority, lines):
    """Beside the line whose turn it is a batch takes those of its priority, of clients that are ahead by no batch."""
    queue = WorkQueue(max_batch_size=3, workers=1, max_bytes=10**9, max_batch_s=3.0)
    prepared(queue, request("ahead", priority=priority), ["costly"])
    queue.finish(queue.take(0.0, 1), ahead_s)
    prepared(queue, request("ahead", mode=PAGE, priority=priority), ["key"] * 5)
    first = prepared(queue, request("behind"), ["key"])
    work = queue.take(0.0, 1)
    assert (work.requests[0], len(work.lines)) == (first, lines)


@pytest.mark.parametrize(
    ("seconds", "shared", "alone", "hurried"),
    [
        (0.004, [3, 1], [3, 1], [3, 1]),
        (0.01, [2, 2], [3, 1], [2, 2]),
        (0.5, [1, 1, 1, 1], [3, 1], [1, 1, 1, 1]),
    ],
)
def test_a_batch_takes_a_limited_time(queue, seconds, shared, alone, hurried):
    """The longer lines take, the fewer share a batch, unless a client has long been alone and is in no hurry."""
    prepared(queue, request("a"), ["key"])
    queue.finish(queue.take(0.0, 1), seconds)
    for now, left, sizes in ((10.0, LATER, shared), (20.0, LATER, alone), (30.0, 0.25, hurried)):
        prepared(queue, request("b", deadline=now + left), ["key"] * 4)
        assert list(map(len, taken(queue, now))) == sizes


def test_the_earliest_deadline_goes_first(single):
    """Of the images of a client, and of its lines, those with the earliest deadline are next; of equals the elder."""
    late, soon, soon_too = (request(deadline=deadline) for deadline in (9.0, 5.0, 5.0))
    for image in (late, soon, soon_too):
        single.add(image)
    assert taken(single) == [[soon], [soon_too], [late]]
    for image in (late, soon_too, soon):
        prepared(single, image, ["key"])
    assert taken(single) == [[soon], [soon_too], [late]]


def test_an_urgent_image_comes_before_lines_that_have_time(single):
    """A page in hand holds up no image of its client, line or page, that must be answered sooner."""
    prepared(single, request(deadline=30.0, mode=PAGE), ["key"] * 10)
    urgent = [request(deadline=2.0, mode=PAGE), request(deadline=3.0)]
    for image in urgent:
        single.add(image)
    assert taken(single)[:2] == [[image] for image in urgent]


def test_a_short_image_is_not_behind_a_whole_page(single):
    """An image that comes while a page of the same client is being read is next, although the page is more urgent."""
    page = prepared(single, request(deadline=1.0, mode=PAGE), ["key"] * 10)
    assert single.take(0.0, 1).requests == [page]
    short = request(deadline=9.0)
    single.add(short)
    assert single.take(0.0, 1).requests == [short]


def test_newcomers_cannot_hold_up_a_page():
    """A page goes on being read while urgent images of its own client keep all workers busy."""
    simulation = Simulation()
    page = simulation.arrive(request(deadline=900.0, mode=PAGE), lines=5)
    for second in range(500):
        simulation.arrive(request(arrived=float(second), deadline=second + 100.0))
    simulation.run(until=400.0)
    assert page in simulation.done


def test_clients_take_turns(single):
    """A client with one image is not behind the many images, however urgent, of another."""
    for _ in range(10):
        single.add(request("flood", deadline=1.0))
    single.take(0.0, 1)
    quiet = request("quiet", deadline=50.0)
    single.add(quiet)
    assert single.take(0.0, 1).requests == [quiet]


def test_pausing_earns_no_credit():
    """Who comes back after a pause shares evenly from then on, and does not catch up on what it left unused."""
    simulation = Simulation()
    for client, arrived in (("early", 0.0), ("late", 100.0)):
        for _ in range(300):
            simulation.arrive(request(client, arrived=arrived))
    simulation.run(until=200.5)
    assert simulation.work_s["early"] - 100 == pytest.approx(50, abs=2)
    assert simulation.work_s["late"] == pytest.approx(50, abs=2)


def test_costly_work_counts_as_such(single):
    """Clients share by worker time as measured: one with costly lines gets fewer of them."""
    spent = {"cheap": 0.0, "costly": 0.0}
    for client in spent:
        prepared(single, request(client, mode=PAGE), [client] * 500)
    for _ in range(300):
        work = single.take(0.0, 1)
        seconds = {"cheap": 1.0, "costly": 7.0}[work.requests[0].client]
        spent[work.requests[0].client] += seconds
        single.finish(work, seconds)
    assert spent["cheap"] == pytest.approx(spent["costly"], abs=15)


def test_the_costliest_lines_of_an_image_are_read_first(single):
    """Of lines whose cost is known the long ones come first, so that the last ones to be read are short."""
    for key, seconds in (("short", 0.001), ("long", 0.1)):
        prepared(single, request(), [key])
        single.finish(single.take(0.0, 1), seconds)
    prepared(single, request(), ["short", "long", "short", "long"])
    kinds = [work.kind for work in iter(lambda: single.take(0.0, 1), None)]
    assert kinds == ["long", "long", "short", "short"]


def test_interactive_work_goes_first_and_bulk_keeps_a_tenth():
    """While both have work, bulk gets a tenth of the workers' time."""
    simulation = Simulation()
    for priority in Priority:
        for _ in range(1000):
            simulation.arrive(request(priority, priority=priority))
    simulation.run(until=500.5)
    assert simulation.work_s[BULK] == pytest.approx(50, abs=2)


def test_an_interactive_image_does_not_wait_for_bulk(single):
    """However much bulk work waits, of any client, the interactive image is next."""
    for client in range(5):
        prepared(single, request(client, priority=BULK, mode=PAGE), ["key"] * 10)
    single.take(0.0, 1)
    image = request(3)
    single.add(image)
    assert single.take(0.0, 1).requests == [image]


def test_images_of_lines_are_taken_together(queue):
    """As many as may share a batch, of whichever clients, who is next first; none that nobody waits for."""
    first, late, second, third, gone, fourth = (request(name, deadline=9.0) for name in "abcaab")
    late.deadline = 1.0
    for image in (first, late, second, third, gone, fourth, request("d", mode=PAGE)):
        queue.add(image)
    gone.answer.cancel()
    works = [work for work in iter(lambda: queue.take(2.0, 1), None) if work.stage is Stage.LINE_IMAGE]
    assert sorted(len(work.requests) for work in works) == [1, 3]
    assert {image for work in works for image in work.requests} == {first, second, third, fourth}


@pytest.mark.parametrize(("seconds", "shared", "alone", "hurried"), [(0.01, 2, 3, 2), (0.5, 1, 3, 1)])
def test_images_of_lines_take_a_limited_time(queue, seconds, shared, alone, hurried):
    """The longer they take, the fewer are taken together, unless a client has long been alone and is in no hurry."""
    queue.add(request("a"))
    queue.finish(queue.take(0.0, 1), seconds)
    for now, left, most in ((10.0, LATER, shared), (20.0, LATER, alone), (30.0, 0.25, hurried)):
        for _ in range(4):
            queue.add(request("b", deadline=now + left))
        assert len(taken(queue, now)[0]) == most


def test_images_of_lines_are_shared_out_among_free_workers(queue):
    """With several workers free, each gets its share of the images."""
    for _ in range(4):
        queue.add(request())
    assert [len(queue.take(0.0, free).requests) for free in (2, 1)] == [2, 2]


def test_nothing_is_taken_ahead_when_others_could_come(queue):
    """Work that begins when a worker is free: none, unless one client has long been alone."""
    for _ in range(8):
        queue.add(request())
    prepared(queue, request(mode=PAGE), ["key"])
    assert len(queue.take(0.0, 1).requests) == 3
    assert queue.take(0.5, 0) is None
    assert [len(queue.take(5.0, 0).requests) for _ in range(3)] == [3, 2, 1]
    first = prepared(queue, request("other", mode=PAGE), ["key"])
    second = prepared(queue, request("client", mode=PAGE), ["key"])
    assert queue.take(5.0, 0).requests == [first, second]
    prepared(queue, request("client"), ["key"])
    assert queue.take(5.0, 0) is None


def test_lines_are_shared_out_among_free_workers(queue):
    """With several workers free, each gets its share of the lines instead of one all of them."""
    page = prepared(queue, request(mode=PAGE), ["key"] * 3)
    assert queue.take(0.0, 2).requests == [page, page]
    assert queue.take(0.0, 1).requests == [page]


def test_pages_leave_a_worker_free(single):
    """Pages are prepared one worker less than there are; a line image is taken all the same."""
    pages = [request(mode=PAGE) for _ in range(2)]
    for page in pages:
        single.add(page)
    work = single.take(0.0, 2)
    assert work.requests == [pages[0]]
    assert single.take(0.0, 1) is None
    line = request()
    single.add(line)
    assert single.take(0.0, 1).requests == [line]
    single.finish(work, 0.1)
    assert single.take(0.0, 1).requests == [pages[1]]


def test_the_next_page_waits_until_few_lines_are_left(single):
    """A client's second page is prepared when its lines that wait take no longer than preparing does."""
    first = prepared(single, request(mode=PAGE), ["key"] * 4)
    second = request(mode=PAGE)
    single.add(second)
    assert taken(single) == [[first], [first], [first], [second], [first]]


def test_sums_of_fractions_leave_nothing_behind():
    """When the last line is taken pages may be prepared, whatever rounding has left of the lines' costs."""
    queue = WorkQueue(max_batch_size=1, workers=1, max_bytes=10**9)
    for tenths, key in enumerate("abc", 1):
        queue.finish(Work(Stage.LINES, key, 0.0, [request()], [0]), tenths / 10)
    line_image, page = request(deadline=9.0), request(deadline=99.0, mode=PAGE)
    for image in (line_image, page):
        queue.add(image)
    for key in "abc":
        prepared(queue, request(deadline=1.0), [key])
    assert taken(queue)[3:] == [[line_image], [page]]


def test_no_page_is_prepared_while_crops_take_too_much_room():
    """While the crops that wait have max_bytes, lines are read first, and before them images that need no room."""
    for max_bytes, order in ((4, "page line_image first"), (3, "line_image first page")):
        queue = WorkQueue(max_batch_size=1, workers=2, max_bytes=max_bytes)
        first = prepared(queue, request(deadline=9.0), ["key"])
        page, line_image = request(deadline=5.0, mode=PAGE), request(deadline=7.0)
        for image in (page, line_image):
            queue.add(image)
        names = {first: "first", page: "page", line_image: "line_image"}
        assert [names[image] for (image,) in taken(queue)] == order.split()


def test_expired_work_is_dropped(queue):
    """Images and lines whose deadline has passed are never handed out."""
    prepared(queue, request(deadline=5.0, mode=PAGE), ["a", "b"])
    queue.add(request(deadline=5.0))
    stays = prepared(queue, request(deadline=6.0), ["a"])
    assert taken(queue, now=5.0) == [[stays]]
    assert (queue.images, queue.lines) == (0, 0)


def test_cancelled_work_is_dropped(queue):
    """Work whose caller has gone is never handed out, and leaves the queue at once when it is removed."""
    gone, image_gone, unseen = request(mode=PAGE), request(), request()
    prepared(queue, gone, ["a", "b"])
    queue.add(image_gone)
    for image in (gone, image_gone, unseen):
        image.answer.cancel()
    queue.remove(gone)
    queue.remove(image_gone)
    assert (queue.images, queue.lines) == (0, 0)
    queue.add(unseen)
    assert queue.take(0.0, 1) is None


def test_removing_what_is_not_in_the_queue_does_nothing(queue):
    """A request that a worker has, or that is done, can be removed all the same."""
    image = request()
    queue.add(image)
    queue.take(0.0, 1)
    queue.remove(image)
    assert queue.images == 0


def test_waits_are_those_of_the_image_and_the_longest_of_its_lines(single):
    """A request's wait runs from its arrival to its preparation, and from then until its last line is taken."""
    image = request(arrived=1.0)
    single.add(image)
    single.take(3.0, 1)
    prepared(single, image, ["key", "key"], now=4.0)
    single.take(5.0, 1)
    single.take(9.0, 1)
    assert image.wait_s == 2.0 + 5.0


def test_the_wait_is_what_is_ahead(single):
    """The estimate adds the client's own work with no later deadline, and of others no more than a fair share."""
    assert single.wait_s(Priority.INTERACTIVE, "me", LATER, 1.0) == 0.0
    single.image_costs.learn(Stage.LINE_IMAGE, 3.0)
    for _ in range(100):
        single.add(request("flood"))
    for deadline in (5.0, 5.0, 50.0):
        single.add(request("me", deadline=deadline))
    mine, flood = 2 * 3.0, 2 * 3.0 + 1.0
    assert single.wait_s(Priority.INTERACTIVE, "me", 10.0, 1.0) == pytest.approx((mine + flood) / 2)
    assert single.wait_s(BULK, "me", 10.0, 1.0) == pytest.approx(103 * 3.0 / 2)


IMAGES = st.tuples(
    st.sampled_from("abc"),
    st.sampled_from(Priority),
    st.sampled_from(Mode),
    st.integers(1, 6),
    st.integers(0, 40),
    st.integers(1, 60),
)


@given(st.lists(IMAGES, max_size=40), st.integers(1, 3), st.integers(1, 4), st.sampled_from([1.0, 0.1, 0.7]))
def test_everything_is_done_or_late_and_nothing_starts_late(images, workers, max_batch_size, line_s):
    """Nothing is begun after its deadline, and in the end nothing is left, whatever the mix of images."""
    simulation = Simulation(workers, max_batch_size, line_s)
    for client, priority, mode, lines, arrived, left in images:
        image = request(client, priority=priority, mode=mode, arrived=arrived, deadline=arrived + left)
        simulation.arrive(image, 1 if mode is Mode.LINE else lines)
    simulation.run()
    assert all(now < image.deadline for now, image in simulation.begun)
    assert (simulation.queue.images, simulation.queue.lines) == (0, 0)
    assert simulation.queue.take(LATER, 1) is None
    assert simulation.queue.wait_s(BULK, "d", LATER, 1.0) == pytest.approx(0.0)


@given(st.lists(IMAGES, min_size=1, max_size=40), st.integers(1, 3))
def test_no_worker_idles_while_lines_wait(images, workers):
    """Without deadlines that pass, all work is done in the time that busy workers need."""
    simulation = Simulation(workers)
    lines = [1 if mode is Mode.LINE else count for _, _, mode, count, _, _ in images]
    for (client, priority, mode, _, _, _), count in zip(images, lines, strict=True):
        simulation.arrive(request(client, priority=priority, mode=mode), count)
    simulation.run()
    assert len(simulation.done) == len(images)
    assert simulation.now == -(-sum(lines) // workers)


@given(
    st.lists(st.tuples(st.integers(1, 30), st.floats(1, 1000)), min_size=2, max_size=5),
    st.integers(1, 3),
    st.integers(1, 4),
)
@example([(1, 1.0)] * 4 + [(25, 1.0)], 1, 3)
def test_backlogged_clients_get_equal_time(clients, workers, max_batch_size):
    """Whatever their pages and deadlines, clients that always have work waiting differ by no more than a few lines."""
    simulation = Simulation(workers, max_batch_size)
    for name, (lines, left) in enumerate(clients):
        for _ in range(-(-300 // lines)):
            simulation.arrive(request(name, mode=PAGE, deadline=LATER + left), lines)
    simulation.run(until=200.5)
    for one, other in itertools.combinations(range(len(clients)), 2):
        assert abs(simulation.work_s[one] - simulation.work_s[other]) <= 2 * max_batch_size * (workers + 1)
