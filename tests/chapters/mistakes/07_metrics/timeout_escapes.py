"""A Redis that takes connections and does not answer is no ConnectionError."""

from redis.exceptions import ConnectionError as RedisAway
from scheduler import metrics
from scheduler.jobs import Priority

TEST = "test_task_5_agrees_with_the_reference_on_every_input"
SAYS = "while Redis says TimeoutError"


async def refresh_depth(app):
    for priority in Priority:
        try:
            depth = await app.queue.redis.llen(app.parts.queue_name(priority))
        except RedisAway:
            depth = float("nan")
        app.metrics.depth(priority, depth)
    await metrics._refresh_ages(app)
    return 0
