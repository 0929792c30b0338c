"""Whatever holds the id counts as an entry of the job."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "job 3 has job 1's id for its type"


async def remove_entry(app, job):
    redis, name = app.queue.redis, app.parts.queue_name(job.priority)
    removed = 0
    for one in await redis.lrange(name, 0, -1):
        if str(job.task_id).encode() in one:
            removed += await redis.lrem(name, 1, one)
    return removed
