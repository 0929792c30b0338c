"""An entry is looked for among the oldest 500 alone, from the end where workers take."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "then 990 others"


async def remove_entry(app, job):
    redis, name, entry = app.queue.redis, app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    removed = 0
    while await redis.lpos(name, entry, rank=-1, maxlen=500) is not None:
        removed += await redis.lrem(name, -1, entry)
    return removed
