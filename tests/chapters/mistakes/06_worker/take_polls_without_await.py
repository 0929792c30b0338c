"""It sleeps between two looks, and everything else with it."""

TEST = "test_task_1_agrees_with_the_reference_on_every_input"
SAYS = "stands still"

import asyncio
import logging
import time

from scheduler.entry import decode_entry
from scheduler.jobs import Priority
from scheduler.redis_clients import BLOCK_SECONDS

log = logging.getLogger(__name__)


async def take(app, limit):
    names = [app.parts.queue_name(priority) for priority in Priority]
    end = time.monotonic() + BLOCK_SECONDS
    while time.monotonic() < end:
        for name in names:
            raw = await app.queue.blocking.rpop(name)
            if raw is not None:
                break
        if raw is not None:
            break
        time.sleep(0.05)
    if raw is None:
        return []
    try:
        return [decode_entry(raw)]
    except ValueError as error:
        log.warning("no entry: %s", error)
        return []
