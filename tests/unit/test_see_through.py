"""What an app has begun goes on to its end whoever leaves; how it ended is told, and then it is forgotten."""

import asyncio
import gc
import logging
import weakref

import pytest

from tests.patience import within

pytestmark = pytest.mark.of_reference


@pytest.mark.parametrize("ends", ["in order", "with an error"])
async def test_what_ended_with_an_error_after_its_caller_had_left_is_in_the_log(app, caplog, ends):
    begun, go = asyncio.Event(), asyncio.Event()

    async def work():
        begun.set()
        await go.wait()
        if ends == "with an error":
            raise OSError("the disk is full")

    with caplog.at_level(logging.WARNING, "scheduler.app"):
        caller = asyncio.create_task(app.see_through(work()))
        await within(begun.wait(), "the work began")
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go.set()
        await within(app.finish(), "the work ended")
        await asyncio.sleep(0)  # a task tells its callbacks in the next turn
    told = ["a call whose client had left ended with OSError"] if ends == "with an error" else []
    assert [record.getMessage() for record in caplog.records] == told


async def test_what_has_ended_is_not_kept(app):
    async def work():
        return None

    ended = weakref.ref(app.begin(work()))
    await within(app.finish(), "the work ended")
    gc.collect()
    assert ended() is None
