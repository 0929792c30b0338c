"""The client for ordinary commands gives up before the pop does."""

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_pops_with_the_patient_client"
SAYS = "app.queue.blocking is made for pops"


async def take(app, limit):
    queues = [f"q:{priority}" for priority in Priority]
    popped = await app.queue.redis.brpop(queues, timeout=1)
    return [] if popped is None else [decode_entry(popped[1])]
