"""One bad entry raises."""

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_drops_what_is_not_an_entry"
SAYS = "one bad entry must not stop a worker"


async def take(app, limit):
    queues = [f"q:{priority}" for priority in Priority]
    popped = await app.queue.blocking.brpop(queues, timeout=1)
    return [] if popped is None else [decode_entry(popped[1])]
