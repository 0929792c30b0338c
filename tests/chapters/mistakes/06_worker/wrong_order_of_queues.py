"""The lists stand in alphabetical order."""

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_takes_from_the_most_urgent_queue_first"
SAYS = "the wrong order"


async def take(app, limit):
    queues = sorted(f"q:{priority}" for priority in Priority)
    popped = await app.queue.blocking.brpop(queues, timeout=1)
    return [] if popped is None else [decode_entry(popped[1])]
