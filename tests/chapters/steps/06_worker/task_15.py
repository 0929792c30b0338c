import asyncio

from redis.exceptions import RedisError
from scheduler.jobs import Job

from workbook.loader import earlier

GIVE_BACK = """
    UPDATE tasks
    SET status = 'queued', max_attempts = max_attempts + 1, queued_at = now(), pushed_at = now(), worker = NULL,
        lease_expires_at = NULL, version = version + 1, updated_at = now()
    WHERE task_id = %s AND attempts = %s AND status = 'running'
    RETURNING *
"""


async def give_back(app, jobs):
    given = []
    for job in jobs:
        row = await app.db.fetch_one(GIVE_BACK, [job.task_id, job.attempts])
        if row is not None:
            given.append(Job.from_row(row))
    return given


class Worker(earlier("Worker")):
    async def drain(self):
        app, grace = self.app, self.app.settings.shutdown_grace_seconds
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=grace)
        cut = list(self.handlers.values())
        for _, task in cut:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=grace)
        stopped = [job for job, task in cut if task.done() and not app.handlers.abandoned(job)]
        given = await app.parts.give_back(app, stopped)
        try:
            await app.queue.push_many(given)
        except RedisError:
            pass
