"""Work that must not end: it begins again, and says so; and it still stops when it is asked to."""

import asyncio
import logging

import pytest
from scheduler.duties import cancel_and_wait, forever
from scheduler.hints import Hints
from scheduler.jobs import Job

from tests.helpers import submit, until

pytestmark = [pytest.mark.timeout(30), pytest.mark.of_reference]


class Work:
    """Ends in another way each time, and then goes on."""

    def __init__(self, *ends: BaseException | None) -> None:
        self._ends = list(ends)
        self.goes_on = asyncio.Event()

    async def __call__(self) -> None:
        if not self._ends:
            self.goes_on.set()
            await asyncio.Event().wait()
        if (error := self._ends.pop(0)) is not None:
            raise error


async def test_work_that_must_not_end_begins_again_however_it_ended_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = Work(RuntimeError("unforeseen"), None, asyncio.CancelledError())
    with caplog.at_level(logging.ERROR):
        task = asyncio.create_task(forever("the work", work, 0))
        await asyncio.wait_for(work.goes_on.wait(), 20)
    assert [record.message for record in caplog.records] == [
        "the work failed; it begins again",
        "the work ended, which it should never do; it begins again",
        "the work was ended by a cancellation that nobody asked for; it begins again",
    ]
    await cancel_and_wait([task])
    assert task.cancelled()


async def test_one_failure_of_the_teller_does_not_keep_later_hints_from_being_told(
    app, monkeypatch, caplog
) -> None:
    def failing(job: Job) -> bytes:
        raise RuntimeError("unforeseen")

    hints = Hints(app.queue.redis, failing)
    task_id = await submit(app)
    async with app.queue.redis.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(f"job:{task_id}")
        await until(lambda: app.queue.redis.publish(f"job:{task_id}", "first"), "somebody listens")
        monkeypatch.setattr(hints, "_add_leases", lambda pipe: failing(None))  # type: ignore[arg-type]
        hints.changed([task_id])
        await hints.close()
        assert "telling Redis of changes failed" in caplog.text
        monkeypatch.undo()
        hints.changed([task_id])
        await hints.close()
        heard = [await pubsub.get_message(timeout=20) for _ in range(3)]
        assert [one["data"] for one in heard if one] == [b"first", b"changed"]
