"""Nobody hears of a bad entry."""

from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_says_in_the_log_what_it_dropped"
SAYS = "dropped a bad entry in silence"


async def take(app, limit):
    queues = [f"q:{priority}" for priority in Priority]
    popped = await app.queue.blocking.brpop(queues, timeout=1)
    try:
        return [] if popped is None else [decode_entry(popped[1])]
    except ValueError:
        return []
