"""The newest comes first."""

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_takes_the_oldest_entry_of_a_queue_first"
SAYS = "take from the right"


async def take(app, limit):
    queues = [f"q:{priority}" for priority in Priority]
    popped = await app.queue.blocking.blpop(queues, timeout=1)
    return [] if popped is None else [decode_entry(popped[1])]
