"""SELECT, and then INSERT: two clients that look at the same time both find nothing."""

import logging
from redis.exceptions import RedisError
from scheduler.jobs import Job, payload_errors

TEST = "test_task_6_agrees_with_the_reference_on_every_input"
SAYS = "is not yet committed"


FIND = "SELECT * FROM tasks WHERE task_id = %s OR idempotency_key = %s"
INSERT = """
    INSERT INTO tasks (task_id, type, priority, payload, max_attempts, idempotency_key)
    VALUES (%s, %s, %s, %s::jsonb, %s, %s) RETURNING *
"""


async def submit_job(app, new):
    row = await app.db.fetch_one(FIND, [new.task_id, new.idempotency_key])
    if row is None:
        first = [new.task_id, new.type, str(new.priority), new.payload_json]
        with payload_errors():
            row = await app.db.fetch_one(INSERT, [*first, new.max_attempts, new.idempotency_key])
    job = Job.from_row(row)
    if job.status == "queued":
        try:
            await app.queue.push(job)
        except RedisError as error:
            logging.warning("job %s is not pushed: %s", job.task_id, type(error).__name__)
    return job.task_id
