"""It sleeps between two looks, with an entry in its hand."""

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "what it does when it has popped it"

import asyncio
import logging
import time

from scheduler.entry import decode_entry
from scheduler.jobs import Priority
from scheduler.redis_clients import BLOCK_SECONDS

log = logging.getLogger(__name__)


async def take(app, limit):
    names = [app.parts.queue_name(priority) for priority in Priority]
    entries = []
    end = asyncio.get_running_loop().time() + BLOCK_SECONDS
    while len(entries) < limit and asyncio.get_running_loop().time() < end:
        for name in names:
            raw = await app.queue.blocking.rpop(name)
            if raw is not None:
                break
        else:
            await asyncio.sleep(0.05)
            continue
        try:
            entries.append(decode_entry(raw))
        except ValueError as error:
            log.warning("no entry: %s", error)
        await asyncio.sleep(0.05)
    return entries
