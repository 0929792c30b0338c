"""Nothing came, and the answer is taken apart."""

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_returns_an_empty_list_when_nothing_comes"
SAYS = "the client's answer is None"


async def take(app, limit):
    queues = [f"q:{priority}" for priority in Priority]
    _, value = await app.queue.blocking.brpop(queues, timeout=1)
    return [decode_entry(value)]
