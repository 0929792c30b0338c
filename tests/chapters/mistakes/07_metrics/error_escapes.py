"""Redis is away, and refresh_depth fails."""

from scheduler.jobs import Priority
from scheduler.metrics import _refresh_ages

TEST = "test_task_5_says_that_nobody_knows_the_depth_while_redis_is_away"
SAYS = "the gauges keep their old numbers then"


async def refresh_depth(app):
    for priority in Priority:
        app.metrics.depth(priority, await app.queue.redis.llen(app.parts.queue_name(priority)))
    await _refresh_ages(app)
    return 0
