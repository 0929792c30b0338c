"""The worker's name is no fence: the same process may have claimed the job again."""

TEST = "test_task_12_agrees_with_the_reference_on_every_input"
SAYS = "under the same worker's name"


F = """WITH d AS (UPDATE tasks SET status = %(status)s, last_error = %(error)s::text,
        worker = NULL,
        lease_expires_at = NULL, next_run_at = CASE WHEN %(status)s = 'retry' THEN now() + %(delay)s*interval '1 second' END,
        finished_at = CASE WHEN %(status)s <> 'retry' THEN now() END,
        version = version + 1, updated_at = now()
    WHERE task_id = %(id)s AND status = 'running' AND worker = %(worker)s
    RETURNING *)
    INSERT INTO task_attempts SELECT task_id, attempts, started_at, now(), %(status)s = 'succeeded', %(error)s::text FROM d
    RETURNING attempt"""


async def finish(app, job, outcome):
    rows = await app.db.fetch_all(
        F,
        dict(
            status=str(outcome.status),
            error=outcome.error,
            delay=outcome.delay,
            id=job.task_id,
            attempt=job.attempts,
            worker=job.worker,
        ),
    )
    return bool(rows)
