"""The coalescer: many callers, one statement, and everybody gets an answer."""

import asyncio
import contextlib

import psycopg
import pytest
from scheduler.coalescer import Coalescer
from scheduler.errors import LimitPassed

from tests.patience import SECONDS


class Recorder:
    """Something to run: it notes its batches, doubles each item, and can be held up."""

    def __init__(self):
        self.batches = []
        self.free = asyncio.Event()
        self.free.set()
        self.began = asyncio.Event()

    async def __call__(self, items):
        self.batches.append(list(items))
        self.began.set()
        await self.free.wait()
        return [item * 2 for item in items]

    def hold(self):
        self.free.clear()
        self.began.clear()


@pytest.fixture
async def run():
    return Recorder()


async def turns(number=5):
    for _ in range(number):
        await asyncio.sleep(0)


def started(coalescer, *items, size=0):
    return [asyncio.create_task(coalescer(item, size)) for item in items]


async def test_a_lone_caller_gets_its_result(run):
    assert await Coalescer(run)(21) == 42
    assert run.batches == [[21]]


async def test_a_lone_caller_waits_for_no_clock(run):
    """Its batch begins within a few turns of the loop."""
    task = asyncio.create_task(Coalescer(run)(1))
    await turns(4)
    assert run.batches == [[1]]
    await task


async def test_callers_of_one_moment_share_a_batch_and_get_their_own_results_in_order(run):
    coalescer = Coalescer(run)
    assert await asyncio.gather(*map(coalescer, range(100))) == [2 * n for n in range(100)]
    assert run.batches == [list(range(100))]


async def test_while_one_batch_is_under_way_the_next_gathers(run):
    coalescer = Coalescer(run)
    run.hold()
    first = started(coalescer, 1)
    await run.began.wait()
    later = started(coalescer, 2, 3, 4)
    await turns()
    assert run.batches == [[1]], "one batch at a time"
    run.free.set()
    assert await asyncio.gather(*first, *later) == [2, 4, 6, 8]
    assert run.batches == [[1], [2, 3, 4]]


async def test_it_works_again_after_it_was_idle(run):
    coalescer = Coalescer(run)
    for n in range(3):
        assert await coalescer(n) == 2 * n
        await turns()
    assert run.batches == [[0], [1], [2]]


@pytest.mark.parametrize(("number", "sizes"), [(9, [4, 4, 1]), (8, [4, 4]), (4, [4]), (1, [1])])
async def test_a_batch_holds_so_many_items_at_most(run, number, sizes):
    coalescer = Coalescer(run, max_items=4)
    assert await asyncio.gather(*map(coalescer, range(number))) == [2 * n for n in range(number)]
    assert list(map(len, run.batches)) == sizes


async def test_a_batch_holds_so_many_bytes_at_most(run):
    coalescer = Coalescer(run, max_bytes=10)
    sizes = [4, 4, 4, 10, 1, 9, 5]
    await asyncio.gather(*[coalescer(n, size) for n, size in enumerate(sizes)])
    assert run.batches == [[0, 1], [2], [3], [4, 5], [6]]


async def test_an_item_larger_than_a_batch_goes_alone(run):
    coalescer = Coalescer(run, max_bytes=10)
    await asyncio.gather(coalescer(0, 1), coalescer(1, 100), coalescer(2, 1))
    assert run.batches == [[0], [1], [2]]


# --- cancelled callers


async def test_a_caller_that_is_cancelled_while_it_waits_is_dropped(run):
    coalescer = Coalescer(run)
    run.hold()
    first = started(coalescer, 1)
    await run.began.wait()
    gone, kept = started(coalescer, 2, 3)
    await turns()
    gone.cancel()
    await turns()
    run.free.set()
    assert await asyncio.gather(*first, kept) == [2, 6]
    assert run.batches == [[1], [3]]
    assert gone.cancelled()


async def test_a_caller_that_is_cancelled_in_its_batch_takes_nobody_along(run):
    coalescer = Coalescer(run)
    run.hold()
    gone, kept = started(coalescer, 1, 2)
    await run.began.wait()
    gone.cancel()
    await turns()
    run.free.set()
    assert await kept == 4
    assert await coalescer(5) == 10
    assert run.batches == [[1, 2], [5]]


async def test_a_batch_of_cancelled_callers_is_not_run(run):
    coalescer = Coalescer(run)
    run.hold()
    first = started(coalescer, 1)
    await run.began.wait()
    gone = started(coalescer, 2, 3)
    await turns()
    for task in gone:
        task.cancel()
    await turns()
    run.free.set()
    await asyncio.gather(*first)
    await turns()
    assert run.batches == [[1]]
    assert await coalescer(4) == 8


# --- failures


def data_error(sqlstate="22P02"):
    return psycopg.errors.lookup(sqlstate)("bad data")


async def test_a_batch_that_fails_fails_for_each_of_its_callers_and_no_other():
    batches = []

    async def run(items):
        batches.append(items)
        if "bad" in items:
            raise OSError("away")
        return items

    coalescer = Coalescer(run)
    answers = await asyncio.gather(*map(coalescer, ["a", "bad", "b"]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [OSError] * 3
    assert batches == [["a", "bad", "b"]], "what a rerun can't mend is not rerun"
    assert await coalescer("c") == "c"


@pytest.mark.parametrize("sqlstate", ["22P02", "22003", "23505", "54001"])
async def test_an_error_in_the_data_fails_only_for_the_bad_item(sqlstate):
    batches = []

    async def run(items):
        batches.append(items)
        if "bad" in items:
            raise data_error(sqlstate)
        return [item.upper() for item in items]

    coalescer = Coalescer(run)
    answers = await asyncio.gather(*map(coalescer, ["a", "bad", "b", "bad"]), return_exceptions=True)
    assert [answers[0], answers[2]] == ["A", "B"]
    assert [answer.sqlstate for answer in answers if isinstance(answer, Exception)] == [sqlstate] * 2
    assert batches == [["a", "bad", "b", "bad"], ["a", "bad"], ["a"], ["bad"], ["b", "bad"], ["b"], ["bad"]]


async def test_one_bad_item_of_many_costs_few_batches():
    batches = []

    async def run(items):
        batches.append(items)
        if 123 in items:
            raise data_error()
        return items

    answers = await asyncio.gather(*map(Coalescer(run), range(500)), return_exceptions=True)
    assert [number for number, answer in enumerate(answers) if isinstance(answer, Exception)] == [123]
    assert len(batches) <= 1 + 2 * 9


@pytest.mark.parametrize(
    "error", [psycopg.OperationalError("away"), psycopg.errors.SyntaxError("bug")], ids=type
)
async def test_another_error_of_the_database_is_not_taken_for_one_in_the_data(error):
    batches = []

    async def run(items):
        batches.append(items)
        raise error

    answers = await asyncio.gather(*map(Coalescer(run), "ab"), return_exceptions=True)
    assert answers == [error, error]
    assert batches == [["a", "b"]]


async def test_a_lone_item_with_bad_data_is_run_once():
    batches = []

    async def run(items):
        batches.append(items)
        raise data_error()

    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        await Coalescer(run)("bad")
    assert batches == [["bad"]]


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
async def test_a_wrong_number_of_results_leaves_nobody_waiting(results):
    async def run(items):
        return results

    tasks = started(Coalescer(run), 1, 2)
    done, waiting = await asyncio.wait(tasks, timeout=SECONDS)
    assert not waiting
    for task in done:
        with contextlib.suppress(BaseException):
            task.result()


# --- limits and ends


async def test_with_too_many_waiting_the_next_caller_is_refused(run):
    coalescer = Coalescer(run, max_waiting=3)
    run.hold()
    first = started(coalescer, 0)
    await run.began.wait()
    waiting = started(coalescer, 1, 2, 3)
    await turns()
    with pytest.raises(LimitPassed):
        await coalescer(4)
    run.free.set()
    assert await asyncio.gather(*first, *waiting) == [0, 2, 4, 6]
    assert await coalescer(5) == 10


async def test_when_the_runner_is_cancelled_every_caller_is_told(run):
    coalescer = Coalescer(run)
    run.hold()
    under_way = started(coalescer, 1, 2)
    await run.began.wait()
    waiting = started(coalescer, 3, 4)
    await turns()
    coalescer._runner.cancel()
    done, left = await asyncio.wait([*under_way, *waiting], timeout=SECONDS)
    assert not left
    assert all(task.cancelled() for task in done)
    run.free.set()
    assert await coalescer(5) == 10, "and the next caller is served"


async def test_a_thousand_callers_who_come_and_go_all_get_an_answer():
    async def run(items):
        await asyncio.sleep(0)
        return items

    coalescer = Coalescer(run, max_items=7)

    async def caller(number):
        for _ in range(number % 13):
            await asyncio.sleep(0)
        return await coalescer(number)

    tasks = [asyncio.create_task(caller(number)) for number in range(1_000)]
    for number, task in enumerate(tasks):
        if number % 5 == 0:
            for _ in range(number % 3):
                await asyncio.sleep(0)
            task.cancel()
    _, left = await asyncio.wait(tasks, timeout=SECONDS)
    assert not left
    for number, task in enumerate(tasks):
        if not task.cancelled():
            assert task.result() == number


@pytest.mark.of_reference
async def test_a_wrong_number_of_results_is_an_error_for_its_callers_and_not_a_cancellation():
    async def too_few(items):
        return items[1:]

    coalescer = Coalescer(too_few)
    for task in started(coalescer, 1, 2):
        with pytest.raises(RuntimeError, match="2 items went in, and 1 results came out"):
            await task
