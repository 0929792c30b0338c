"""A row of task_attempts that is there already is taken for that of the lost attempt."""

TEST = "test_task_13_writes_both_rows_or_neither"
SAYS = "without one of its own"

REAP = """
    WITH lost AS (
        UPDATE tasks
        SET status = CASE WHEN attempts < max_attempts THEN 'retry' ELSE 'deadletter' END,
            next_run_at = CASE WHEN attempts < max_attempts THEN now() END,
            finished_at = CASE WHEN attempts >= max_attempts THEN now() END, last_error = 'the lease ran out',
            worker = NULL, lease_expires_at = NULL, version = version + 1, updated_at = now()
        WHERE status = 'running' AND lease_expires_at < now()
        RETURNING *
    ), written AS (
        INSERT INTO task_attempts (task_id, attempt, started_at, finished_at, ok, error)
        SELECT task_id, attempts, started_at, now(), false, last_error FROM lost
        ON CONFLICT DO NOTHING
    )
    SELECT task_id FROM lost
"""


async def reap(app):
    return len(await app.db.fetch_all(REAP))
