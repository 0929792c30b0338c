"""The label is the name of the list."""

from scheduler.jobs import Priority

TEST = "test_task_4_shows_the_length_of_each_queue"
SAYS = "q:high is the name of the list"


async def refresh_depth(app):
    for priority in Priority:
        name = app.parts.queue_name(priority)
        app.metrics.depth(name, await app.queue.redis.llen(name))
    return 0
