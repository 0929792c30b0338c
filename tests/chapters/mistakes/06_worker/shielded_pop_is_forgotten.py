"""The pop is not cancelled, and nobody is there for its answer."""

import asyncio
import logging

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "those of the next take included"


async def take(app, limit):
    pop = asyncio.ensure_future(app.queue.blocking.brpop([f"q:{p}" for p in Priority], timeout=1))
    try:
        got = await asyncio.wait_for(asyncio.shield(pop), 1)
    except TimeoutError:
        return []
    try:
        return [decode_entry(got[1])] if got else []
    except ValueError:
        logging.warning("bad")
        return []
