"""A job without pushed_at is taken to have no entry, but the cancel has just cleared that column."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "remove_entry of job 1 (cancelled"


async def remove_entry(app, job):
    if job.pushed_at is None:
        return 0
    return await app.queue.redis.lrem(app.parts.queue_name(job.priority), 0, app.parts.encode_entry(job))
