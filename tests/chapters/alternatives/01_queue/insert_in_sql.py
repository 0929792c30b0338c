"""The row is inserted by hand, in one transaction, without insert_job; the push follows the commit."""

import logging

from redis.exceptions import RedisError
from scheduler.errors import InvalidRequest, Violation

TASKS = [5, 6, 7]

INSERT = """
    INSERT INTO tasks (task_id, type, priority, payload, max_attempts, idempotency_key)
    VALUES (%s, %s, %s, %s::jsonb, %s, %s) ON CONFLICT DO NOTHING
"""
FIND = """
    SELECT task_id, type, priority, status FROM tasks
    WHERE task_id = %s OR idempotency_key = %s ORDER BY (task_id = %s) DESC
"""


class Waiting:
    def __init__(self, row):
        self.task_id, self.type, self.priority = row["task_id"], row["type"], row["priority"]


async def submit_job(app, new):
    values = (
        new.task_id,
        new.type,
        str(new.priority),
        new.payload_json,
        new.max_attempts,
        new.idempotency_key,
    )

    async def work(connection):
        await connection.execute(INSERT, values)
        cursor = await connection.execute(FIND, (new.task_id, new.idempotency_key, new.task_id))
        return await cursor.fetchone()

    try:
        row = await app.db.transaction(work)
    except Exception as error:
        if getattr(error, "sqlstate", None) == "22003":
            raise InvalidRequest([Violation("job.payload_json", "is too large")]) from None
        raise
    if row["status"] == "queued":
        try:
            await app.queue.push(Waiting(row))
        except RedisError as error:
            logging.warning("not pushed: %s", error.__class__.__name__, extra={"job_id": row["task_id"]})
    return row["task_id"]
