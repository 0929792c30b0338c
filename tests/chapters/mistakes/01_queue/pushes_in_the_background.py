"""The answer comes first, and the push in a task."""

import asyncio

from scheduler.jobs import insert_job

TEST = "test_task_5_pushes_the_entry"
SAYS = "none when submit_job returns, and one a little later"

_pushes = set()


async def submit_job(app, new):
    job, _ = await insert_job(app, new)
    _pushes.add(task := asyncio.create_task(app.queue.push(job)))
    task.add_done_callback(_pushes.discard)
    return job.task_id
