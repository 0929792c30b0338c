"""wait_for cancels the pop when its second is over, and Redis may have handed an entry out."""

import asyncio
import logging

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "the pop: expected 'goes on', got 'was cancelled"

log = logging.getLogger(__name__)


async def take(app, limit):
    names = [f"q:{p}" for p in Priority]
    try:
        got = await asyncio.wait_for(app.queue.blocking.brpop(names, timeout=5), 1)
    except asyncio.TimeoutError:
        return []
    if got is None:
        return []
    try:
        return [decode_entry(got[1])]
    except ValueError:
        log.warning("bad")
        return []
