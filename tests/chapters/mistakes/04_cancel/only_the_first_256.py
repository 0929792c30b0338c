"""An entry is looked for among the newest 256 alone."""

TEST = "test_task_2_agrees_with_the_reference_on_every_input"
SAYS = "where there is 990 others, then an entry of job 1"


async def remove_entry(app, job):
    redis, name, entry = app.queue.redis, app.parts.queue_name(job.priority), app.parts.encode_entry(job)
    places = await redis.lpos(name, entry, count=0, maxlen=256)
    return await redis.lrem(name, len(places), entry) if places else 0
