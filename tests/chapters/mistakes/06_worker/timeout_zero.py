"""BRPOP with a timeout of 0 waits for ever, and the client gives up first."""

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_returns_an_empty_list_when_nothing_comes"
SAYS = "A timeout of 0 means for ever"


async def take(app, limit):
    queues = [f"q:{priority}" for priority in Priority]
    popped = await app.queue.blocking.brpop(queues, timeout=0)
    return [] if popped is None else [decode_entry(popped[1])]
