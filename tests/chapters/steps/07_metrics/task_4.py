from scheduler.jobs import Priority
from workbook.loader import earlier


class Metrics(earlier("Metrics")):
    def depth(self, priority, entries):
        self.depth_of.labels(priority=priority).set(entries)


def build_metrics(registry):
    return Metrics(registry)


async def refresh_depth(app):
    for priority in Priority:
        app.metrics.depth(priority, await app.queue.redis.llen(app.parts.queue_name(priority)))
    return 0
