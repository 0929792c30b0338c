import math

from prometheus_client import Gauge
from redis.exceptions import RedisError
from scheduler.database import Unavailable
from scheduler.jobs import Priority
from workbook.loader import earlier

OLDEST = """
    SELECT extract(epoch FROM now() - min(queued_at))::float8 AS age
    FROM tasks WHERE status = 'queued' AND priority = %s
"""


class Metrics(earlier("Metrics")):
    def __init__(self, registry):
        super().__init__(registry)
        name = "scheduler_queue_oldest_age_seconds"
        self.oldest = Gauge(name, "Age of the oldest queued job", ["priority"], registry=registry)

    def oldest_age(self, priority, seconds):
        self.oldest.labels(priority=priority).set(seconds)


def build_metrics(registry):
    return Metrics(registry)


async def refresh_depth(app):
    for priority in Priority:
        app.metrics.depth(priority, await length(app, priority))
        app.metrics.oldest_age(priority, await age(app, priority))
    return 0


async def length(app, priority):
    try:
        return await app.queue.redis.llen(app.parts.queue_name(priority))
    except RedisError:
        return math.nan


async def age(app, priority):
    try:
        row = await app.db.fetch_one(OLDEST, [priority])
    except Unavailable:
        return math.nan
    return row["age"] or 0
