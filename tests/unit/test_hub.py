"""The hub's statements: how many rows each names, when it is sent, and what comes back."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from scheduler import hub
from scheduler.app import App
from scheduler.hub import NEWER, Watch, WatchHub
from scheduler.jobs import Status, find_job

from tests.faults.tools import insert
from tests.helpers import until

pytestmark = pytest.mark.timeout(60)

POLL_SECONDS = 6.0


class Asked:
    """A database that has nothing new, and remembers how many rows each statement named."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    async def fetch_all(self, sql: str, params: list[str]) -> list[Any]:
        assert sql == NEWER
        self.numbers.append(params[0].count(",") + 1)
        return []


def watching(number: int, prefix: str = "") -> tuple[WatchHub, Asked]:
    """A hub with so many watches, whose tasks have not begun."""
    asked = Asked()
    made = WatchHub(asked, None, POLL_SECONDS, prefix)  # type: ignore[arg-type]
    for watch in (Watch(uuid4()) for _ in range(number)):
        made._watches[watch.task_id].add(watch)
    return made, asked


async def test_the_poll_is_spread_over_its_seconds_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or else ten thousand watches would hold up, once a second, every hint that comes meanwhile."""
    monkeypatch.setattr(hub, "SLICE", 2)
    polling, asked = watching(5)
    steps: list[object] = []

    class Enough(Exception):
        pass

    async def sleep(seconds: float) -> None:
        steps.append((seconds, sum(asked.numbers)))
        if len(steps) == 5:
            raise Enough

    monkeypatch.setattr(hub, "asyncio", SimpleNamespace(sleep=sleep))
    with pytest.raises(Enough):
        await polling._poll()
    third = POLL_SECONDS / 3
    assert steps == [(third, 0), (third, 2), (third, 4), (third, 5), (third, 7)]


async def test_many_hints_at_once_are_looked_at_slice_by_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SLICE", 2)
    hinted, asked = watching(5)
    for task_id in hinted._watches:
        hinted._take_hint(f"job:{task_id}".encode())
    looking = asyncio.create_task(hinted._look())
    await until(lambda: sum(asked.numbers) == 5, "all are looked at")
    looking.cancel()
    assert asked.numbers == [2, 2, 1]


async def test_nothing_is_asked_for_jobs_that_nobody_watches_any_more() -> None:
    left, asked = watching(0)
    await left._deliver_newer([uuid4()])
    assert asked.numbers == []


@pytest.mark.parametrize("number", range(4))
def test_of_several_watches_of_a_job_the_one_that_knows_least_decides(number: int) -> None:
    """Whichever of them the hub comes to last."""
    several, _ = watching(1)
    [task_id] = several._watches
    watches = [Watch(task_id) for _ in range(4)]
    for version, watch in enumerate([*watches[number:], *watches[:number]], 3):
        watch.version = version
    several._watches[task_id] = dict.fromkeys(watches)  # type: ignore[assignment]
    assert several._known([task_id]) == {str(task_id): 3}


async def test_what_is_subscribed_to_begins_with_the_prefix() -> None:
    prefixed, _ = watching(2, "one:")
    subscribed: list[str] = []

    async def subscribe(*names: str) -> None:
        subscribed.extend(names)

    await prefixed._subscribe_to_all(SimpleNamespace(subscribe=subscribe))  # type: ignore[arg-type]
    assert set(subscribed) == {"one:job:", *(f"one:job:{task_id}" for task_id in prefixed._watches)}


async def test_an_end_that_was_read_before_the_job_was_requeued_ends_no_watch(app: App) -> None:
    """The poll and the look at a hint read side by side: the older row may come after the newer one."""
    (task_id,) = await insert(app, 1)
    queued = await find_job(app, task_id)
    assert queued is not None
    watch = Watch(task_id)
    watch.deliver(replace(queued, version=5))
    watch.version = (await watch.newer()).version
    waiting = asyncio.ensure_future(watch.newer())
    watch.deliver(replace(queued, version=4, status=Status.FAILED))
    for _ in range(3):
        await asyncio.sleep(0)
    assert not waiting.done()
    watch.deliver(replace(queued, version=6, status=Status.RUNNING))
    assert (await waiting).version == 6


async def test_a_watch_that_resumes_beyond_its_job_ends_with_it(app: App) -> None:
    (task_id,) = await insert(app, 1)
    queued = await find_job(app, task_id)
    assert queued is not None
    watch = Watch(task_id)
    watch.version = 2**63 - 1
    watch.deliver(queued)
    waiting = asyncio.ensure_future(watch.newer())
    watch.deliver(replace(queued, version=3, status=Status.FAILED))
    assert (await waiting).status is Status.FAILED


async def test_no_row_travels_that_is_not_newer_or_gone(app: App) -> None:
    (task_id,) = await insert(app, 1)

    async def newer(watched: UUID, version: int) -> list[Any]:
        rows = await app.db.fetch_all(NEWER, [f"{{{watched}}}", f"{{{version}}}"])
        return [(row["watched_id"], row["task_id"]) for row in rows]

    assert await newer(task_id, 0) == [(task_id, task_id)]
    assert await newer(task_id, 1) == []
    gone = uuid4()
    assert await newer(gone, 1) == [(gone, None)]
