"""The command is never sent."""

TEST = "test_task_2_removes_the_entry"
SAYS = "without await"


async def remove_entry(app, job):
    app.queue.redis.lrem(app.parts.queue_name(job.priority), 0, app.parts.encode_entry(job))
    return 1
