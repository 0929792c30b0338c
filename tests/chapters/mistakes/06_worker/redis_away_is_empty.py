"""Redis is away, and that counts as nothing to do."""

from redis.exceptions import RedisError
from scheduler.entry import decode_entry
from scheduler.jobs import Priority

TEST = "test_task_1_lets_the_error_of_redis_through"
SAYS = "its caller must hear of it"


async def take(app, limit):
    queues = [f"q:{priority}" for priority in Priority]
    try:
        popped = await app.queue.blocking.brpop(queues, timeout=1)
    except RedisError:
        return []
    return [] if popped is None else [decode_entry(popped[1])]
