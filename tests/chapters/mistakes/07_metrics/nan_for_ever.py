"""A gauge that is moved by the difference never leaves NaN again."""

import math

from redis.exceptions import RedisError
from scheduler import metrics
from scheduler.jobs import Priority

TEST = "test_task_5_shows_numbers_again_when_redis_is_back"
SAYS = "after Redis was away at one look, and is back at the next"


class Metrics(metrics.Metrics):
    def __init__(self, registry):
        super().__init__(registry)
        self.depths = dict.fromkeys(Priority, 0.0)

    def depth(self, priority, entries):
        self.queue_depth.labels(priority).inc(entries - self.depths[priority])
        self.depths[priority] = entries


def build_metrics(registry):
    return Metrics(registry)


async def refresh_depth(app):
    for priority in Priority:
        try:
            depth = await app.queue.redis.llen(app.parts.queue_name(priority))
        except RedisError:
            depth = math.nan
        app.metrics.depth(priority, depth)
    await metrics._refresh_ages(app)
    return 0
