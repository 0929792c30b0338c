"""Redis is away, so the queues look empty."""

from redis.exceptions import RedisError
from scheduler.jobs import Priority
from scheduler.metrics import _refresh_ages

TEST = "test_task_5_says_that_nobody_knows_the_depth_while_redis_is_away"
SAYS = "0 says that nothing waits"


async def refresh_depth(app):
    for priority in Priority:
        try:
            length = await app.queue.redis.llen(app.parts.queue_name(priority))
        except RedisError:
            length = 0
        app.metrics.depth(priority, length)
    await _refresh_ages(app)
    return 0
