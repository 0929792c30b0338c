"""asyncio.wait_for for the time limit; a finish, a pump and a reaper of one statement each, row by row."""

import asyncio

from redis.exceptions import RedisError
from scheduler.entry import Entry
from scheduler.jobs import Priority

TASKS = [3, 6, 7, 12, 13]


async def run_handler(app, job):
    try:
        await asyncio.wait_for(app.handlers.run(app, job), app.settings.handler_timeout_seconds)
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return error
    else:
        return None


FINISH = """
    WITH mine AS (
        UPDATE tasks SET status = %(status)s, last_error = %(error)s, worker = NULL, lease_expires_at = NULL,
            next_run_at = now() + NULLIF(%(delay)s, -1) * interval '1 second',
            finished_at = CASE %(status)s WHEN 'retry' THEN NULL ELSE now() END,
            version = version + 1, updated_at = now()
        WHERE (task_id, status, attempts) = (%(id)s, 'running', %(attempt)s)
        RETURNING task_id, attempts, started_at, last_error
    )
    INSERT INTO task_attempts SELECT task_id, attempts, started_at, now(), %(ok)s, last_error FROM mine RETURNING attempt
"""


async def finish(app, job, outcome):
    is_retry = outcome.status == "retry"
    rows = await app.db.fetch_all(
        FINISH,
        {
            "status": str(outcome.status),
            "error": outcome.error,
            "delay": outcome.delay if is_retry else -1,
            "ok": outcome.status == "succeeded",
            "id": job.task_id,
            "attempt": job.attempts,
        },
    )
    return bool(rows)


async def pump_retries(app):
    number = 0
    for row in await app.db.fetch_all(
        "SELECT task_id FROM tasks WHERE next_run_at <= now() ORDER BY next_run_at"
    ):
        won = await app.db.fetch_one(
            """UPDATE tasks SET (status, next_run_at, queued_at, pushed_at, version, updated_at)
                   = ('queued', NULL, now(), now(), version + 1, now())
               WHERE task_id = %s AND status = 'retry' AND next_run_at <= now() RETURNING task_id, type, priority""",
            [row["task_id"]],
        )
        if won:
            number += 1
            try:
                await app.queue.push(Entry(won["task_id"], won["type"], Priority(won["priority"])))
            except RedisError:
                print("not pushed")
    return number


ONE = """
    WITH dead AS (
        UPDATE tasks SET status = %s, {when} = now(), last_error = 'nobody heard of it any more', worker = NULL,
            lease_expires_at = NULL, version = version + 1, updated_at = now()
        WHERE task_id = %s AND lease_expires_at < now() AND status = 'running' AND attempts {left} max_attempts
        RETURNING *
    ) INSERT INTO task_attempts SELECT task_id, attempts, started_at, now(), false, last_error FROM dead RETURNING 1 AS one
"""


async def reap(app):
    number = 0
    for row in await app.db.fetch_all("SELECT task_id FROM tasks WHERE lease_expires_at < now()"):
        id = row["task_id"]
        for status, when, left in (("retry", "next_run_at", "<"), ("deadletter", "finished_at", ">=")):
            number += len(await app.db.fetch_all(ONE.format(when=when, left=left), [status, id]))
    return number
