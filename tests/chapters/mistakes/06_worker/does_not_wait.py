"""The pop does not block."""

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_waits_for_an_entry"
SAYS = "take did not wait"


async def take(app, limit):
    for priority in Priority:
        value = await app.queue.redis.rpop(f"q:{priority}")
        if value is not None:
            return [decode_entry(value)]
    return []
