"""The whole queue goes."""

TEST = "test_task_2_leaves_the_entries_of_other_jobs"
SAYS = "remove the one, not the queue"


async def remove_entry(app, job):
    return await app.queue.redis.delete(app.parts.queue_name(job.priority))
