"""More is popped than is returned."""

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_takes_no_more_than_the_limit"
SAYS = "are lost"


async def take(app, limit):
    queues = [f"q:{priority}" for priority in Priority]
    popped = await app.queue.blocking.blmpop(1, len(queues), *queues, direction="RIGHT", count=100)
    return [] if popped is None else [decode_entry(value) for value in popped[1]][:limit]
