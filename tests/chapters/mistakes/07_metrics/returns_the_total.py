"""It returns how many entries there are."""

from scheduler.jobs import Priority

TEST = "test_task_4_asks_for_no_second_run_at_once"
SAYS = "return 0"


async def refresh_depth(app):
    total = 0
    for priority in Priority:
        length = await app.queue.redis.llen(app.parts.queue_name(priority))
        app.metrics.depth(priority, length)
        total += length
    return total
