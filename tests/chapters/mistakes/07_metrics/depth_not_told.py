"""The lengths are read and not told."""

from scheduler.jobs import Priority

TEST = "test_task_4_shows_the_length_of_each_queue"
SAYS = "nothing was set"


async def refresh_depth(app):
    depths = {priority: await app.queue.redis.llen(f"q:{priority}") for priority in Priority}
    return 0
