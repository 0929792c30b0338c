"""`<>` for `<`: a job with more attempts than it may have lives for ever."""

TEST = "test_task_13_agrees_with_the_reference_on_every_input"
SAYS = "status: expected 'deadletter', got 'retry'"


R = """WITH d AS (UPDATE tasks SET status = CASE WHEN attempts <> max_attempts THEN 'retry' ELSE 'deadletter' END, next_run_at = CASE WHEN attempts <> max_attempts THEN now() END,
        finished_at = CASE WHEN attempts <> max_attempts THEN NULL ELSE now() END, last_error = 'lost',
        worker = NULL,
        lease_expires_at = NULL,
        version = version + 1, updated_at = now()
    WHERE status = 'running' AND lease_expires_at < now()
    RETURNING *)
    INSERT INTO task_attempts SELECT task_id, attempts, started_at, now(), false, 'lost' FROM d
    RETURNING attempt"""


async def reap(app):
    rows = await app.db.fetch_all(R)
    return len(rows)
